# SPDX-License-Identifier: Apache-2.0
"""What a comparison of two sets of recordings means, in sentences that follow by stated rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from oido.datasets.clip import LeftOut
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.verdict import Remark

__all__ = ["Drift", "MovedClass", "MovedFact", "SetSize"]

FEW_RECORDINGS = 30
SLIGHT, CLEAR = 0.65, 0.8
"""Areas under ROC: below the first a shift is called slight, from the second on clear."""

_LISTED = 10
_MARKS = {"good": "+", "fair": "~", "poor": "!"}


class SetSize(NamedTuple):
    """Files that were heard, the source recordings they are of, and the stretches of them kept."""

    files: int
    recordings: int
    stretches: int


class MovedClass(NamedTuple):
    """A class whose scores (probabilities, where the model is calibrated) moved.

    area: how often a new stretch scores higher than one of reference, 0..1. p: of so large a move
    of any class. …_mean: the mean score; …_share: the share of stretches at or above the threshold.
    distance: Wasserstein's, how far a score moved on average.
    """

    label: str
    area: float
    p: float
    reference_mean: float
    new_mean: float
    reference_share: float
    new_share: float
    distance: float


class MovedFact(NamedTuple):
    """A fact of how recordings sound (`Acoustics`), the medians of both sets, and if it differs."""

    name: str
    reference: float
    new: float
    p: float
    differs: bool


@dataclass(frozen=True)
class Drift:
    """Whether new recordings are heard as those of reference are.

    shifted: they are not; said of at most ``level`` of pairs of sets without a difference. p: of
    all three tests together. area: how well a linear classifier of embeddings tells new stretches
    from those of reference, 0.5 is not at all. mmd: squared maximum mean discrepancy, 0 is none,
    and chance may make it negative. moved: the classes whose scores moved, most first.
    ``str`` is for reading, `to_dict` for JSON.
    """

    model: str
    calibrated: bool
    level: float
    reference: SetSize
    new: SetSize
    shifted: bool
    p: float
    area: Estimate
    area_p: float
    mmd: float
    mmd_p: float
    classes_looked_at: int
    classes_p: float
    moved: tuple[MovedClass, ...]
    facts: tuple[MovedFact, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def verdict(self) -> tuple[Remark, ...]:
        """The sentences, most important first; each function states its rule."""
        what = "calibration and thresholds" if self.calibrated else "thresholds"
        return (*_trust(self, what), *_classes(self.moved), *_sound(self.facts, self.shifted))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = (*self.__dataclass_fields__, "verdict")
        content = {name: _plain(getattr(self, name)) for name in names}
        for entry in content["moved"]:
            entry["reference_heard"] = entry.pop("reference_share")
            entry["new_heard"] = entry.pop("new_share")
        return content

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        lines = [f"{_MARKS[tone]} {text}" for tone, text in self.verdict]
        lines += [
            "",
            f"reference  {self.reference.recordings} recordings, {self.reference.stretches} "
            f"stretches of 5 s or less",
            f"new        {self.new.recordings} recordings, {self.new.stretches} stretches",
            f"new told from reference: AUC {self.area.value:.2f} [{self.area.low:.2f}, "
            f"{self.area.high:.2f}], p {self.area_p:.3f}; MMD² {self.mmd:.4f}, p {self.mmd_p:.3f}; "
            f"classes, p {self.classes_p:.3f}; together, p {self.p:.3f}",
        ]
        if self.moved:
            width = max(len(entry.label) for entry in self.moved[:_LISTED])
            lines += ["", f"{'class':{width}}  heard in: reference    new  mean: reference    new"]
            lines += [
                f"{e.label:{width}}  {e.reference_share:19.0%}  {e.new_share:5.0%}  "
                f"{e.reference_mean:15.3f}  {e.new_mean:5.3f}"
                for e in self.moved[:_LISTED]
            ]
            if len(self.moved) > _LISTED:
                lines.append(f"and {len(self.moved) - _LISTED} more")
        lines += [f"left out: {name}: {reason}" for name, reason in self.left_out]
        return "\n".join(lines)


def _trust(found: Drift, what: str) -> Iterator[Remark]:
    """No shift: trusted, with a caution below `FEW_RECORDINGS`. Else by the area."""
    fewest = min(found.reference.recordings, found.new.recordings)
    if not found.shifted:
        yield Remark("good", f"no shift found: {what} made on the reference can still be trusted")
        if fewest < FEW_RECORDINGS:
            text = f"with only {fewest} recordings on a side, none but a large shift would show"
            yield Remark("fair", text)
        return
    area = found.area.value
    facts = f"new recordings differ from the reference (AUC {area:.2f})"
    if area >= SLIGHT:
        size = "a clear shift" if area >= CLEAR else "a shift"
        yield Remark(
            "poor",
            f"{size}: {facts}; do not trust {what} made on the reference: label some new "
            f"recordings, and calibrate with them",
        )
    elif found.moved:
        yield Remark(
            "fair",
            f"a slight shift: {facts}; {what} may be off for the classes that moved: check these "
            f"on labelled new recordings",
        )
    else:
        yield Remark(
            "fair",
            f"a slight shift: {facts}, but no class scores differently; {what} are likely to hold: "
            f"check them on a few labelled new recordings",
        )


def _classes(moved: Sequence[MovedClass]) -> Iterator[Remark]:
    if not moved:
        return
    for tone, rising in (("higher", True), ("lower", False)):
        found = [e for e in moved if (e.area > 0.5) == rising]
        if found:
            names = ", ".join(repr(e.label) for e in found[: _LISTED // 2])
            more = len(found) - _LISTED // 2
            also = f" and {more} more" if more > 0 else ""
            verb = "scores" if len(found) == 1 else "score"
            yield Remark("fair", f"in new recordings {names}{also} {verb} {tone}")


_PHRASES = {
    "sample_rate_hz": ("have a higher sample rate", "have a lower sample rate", "{:.0f} Hz"),
    "seconds": ("are longer", "are shorter", "{:.1f} s"),
    "level_db": ("are louder", "are quieter", "{:.0f} dB"),
    "silent_share": ("are silent for more of their time", "are silent for less", "{:.0%}"),
    "bandwidth_hz": ("reach higher frequencies", "are duller, without highs", "up to {:.0f} Hz"),
}
"""Of a fact that is more, of one that is less, and how its values are written."""


def _sound(facts: Sequence[MovedFact], shifted: bool) -> Iterator[Remark]:
    """What differs in how recordings sound; it explains a shift, and is no matter without one."""
    for fact in facts:
        if not fact.differs or fact.new == fact.reference:
            continue
        more, less, form = _PHRASES[fact.name]
        new, old = (form.format(value) for value in (fact.new, fact.reference))
        text = f"new recordings {more if fact.new > fact.reference else less}, {new} against {old}"
        if shifted:
            yield Remark("fair", text)
        else:
            yield Remark("good", f"{text}, which the model does not mind")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(part) for name, part in value._asdict().items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
