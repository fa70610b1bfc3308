# SPDX-License-Identifier: Apache-2.0
"""A model's head: labels of its scores, score calibration, thresholds; plain data.

The texts are those of the files packed in a model. A score calibration has a line per label,
``scale,slope,offset[,min_score]``, or an empty one; its definition is TensorFlow Lite's
metadata_schema.fbs (AssociatedFileType TENSOR_AXIS_SCORE_CALIBRATION), its grammar that of
tensorflow/tflite-support (cc/task/core/score_calibration.cc) and of google-ai-edge/mediapipe
(tasks/cc/components/calculators/score_calibration_utils.cc). Thresholds are CSV,
``label,threshold``.
"""

from __future__ import annotations

import csv
import enum
import io
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from oido.errors import OptionError
from oido.messages import tr

_SHOWN_CHARACTERS = 80

ScoreKind = Literal["sigmoid", "softmax", "logits"]
"""What the output of a network gives; of logits, a head's scores are the sigmoid."""

SCORES_ARE: dict[str, str] = {
    "sigmoid": tr("raw model outputs, 0..1; not probabilities"),
    "softmax": tr("raw model outputs, 0..1; not probabilities"),
    "logits": tr("sigmoid of the model's logits, 0..1; not probabilities"),
}
"""What files say of scores, by their `ScoreKind`."""

NON_EVENTS = frozenset({"background", "noise", "other", "silence"})
"""Names, in any case, of classes that were taught as the absence of events."""


def no_event_columns(labels: Iterable[str]) -> list[int]:
    """Of the classes that are in `NON_EVENTS`."""
    return [column for column, label in enumerate(labels) if label.casefold() in NON_EVENTS]


class ScoreTransformation(enum.Enum):
    """g of a calibration, by its number in metadata_schema.fbs."""

    IDENTITY = 0
    LOG = 1
    INVERSE_LOGISTIC = 2


@dataclass(frozen=True)
class Sigmoid:
    """One label's parameters: scale / (1 + exp(-(slope · g(score) + offset))).

    scale is 0 or more; a score below min_score gets the default score instead (None: none does).
    All are float32, as the metadata's readers take them: other values are rounded to it.
    """

    scale: float
    slope: float
    offset: float
    min_score: float | None = None

    def __post_init__(self) -> None:
        for name in ("scale", "slope", "offset", "min_score"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _float32(name, value))
        if self.scale < 0.0:
            raise OptionError(tr("scale must be 0 or more, not {scale:g}", scale=self.scale))

    @classmethod
    def parse(cls, line: str) -> Sigmoid:
        """Of ``scale,slope,offset[,min_score]``. Raises OptionError."""
        fields = line.split(",")
        # Python's float takes more than C's strtof: underscores, and digits of other scripts.
        if len(fields) not in (3, 4) or not line.isascii() or "_" in line:
            raise OptionError(tr("must be scale,slope,offset[,min_score], all numbers"))
        try:
            values = [float(field) for field in fields]
        except ValueError as error:
            raise OptionError(tr("must be scale,slope,offset[,min_score], all numbers")) from error
        return cls(*values)

    def text(self) -> str:
        """The line; it is read back as the same numbers."""
        values = (self.scale, self.slope, self.offset, self.min_score)
        return ",".join(_shortest_text(value) for value in values if value is not None)


@dataclass(frozen=True)
class ScoreCalibration:
    """How a head's scores become probabilities (`oido.events.calibration` applies it).

    sigmoids: by label, None for one without parameters, which always gets default_score;
    not all may be None. default_score is float32 too.
    """

    sigmoids: tuple[Sigmoid | None, ...]
    transformation: ScoreTransformation = ScoreTransformation.IDENTITY
    default_score: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "default_score", _float32(tr("default score"), self.default_score))
        if all(sigmoid is None for sigmoid in self.sigmoids):
            raise OptionError(tr("score calibration has parameters for no label at all"))

    @classmethod
    def parse(
        cls,
        text: str,
        n_labels: int,
        transformation: ScoreTransformation = ScoreTransformation.IDENTITY,
        default_score: float = 0.0,
    ) -> ScoreCalibration:
        """Of a calibration file. Raises OptionError naming the line."""
        # A line feed at the end begins one more, empty line: both readers count it, and so refuse.
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        if len(lines) != n_labels:
            raise OptionError(
                tr(
                    "score calibration has {n_lines} line(s) for {n_labels} "
                    "label(s), must have one for each and no line feed at the end; "
                    "line {n_labels_2} is {more}",
                    n_lines=len(lines),
                    n_labels=n_labels,
                    n_labels_2=min(len(lines), n_labels) + 1,
                    more=tr("missing") if len(lines) < n_labels else tr("too many"),
                )
            )
        sigmoids = []
        for number, line in enumerate(lines, start=1):
            try:
                sigmoids.append(Sigmoid.parse(line) if line else None)
            except OptionError as error:
                shown = line[:_SHOWN_CHARACTERS]
                raise OptionError(
                    tr(
                        "score calibration, line {number}: {error} (it is {shown!r})",
                        number=number,
                        error=error,
                        shown=shown,
                    )
                ) from error
        return cls(tuple(sigmoids), transformation, default_score)

    def text(self) -> str:
        """The file's text: a line per label, no line feed behind the last."""
        return "\n".join("" if sigmoid is None else sigmoid.text() for sigmoid in self.sigmoids)


@dataclass(frozen=True)
class Head:
    """One output of scores.

    labels: in the order of its columns. calibration: None if there is none. thresholds: (label,
    0..1) pairs, of labels whose events need another threshold than the common one.
    score_threshold: the model's advice, below which no category is reported (float32), or None.
    aggregation: how windows become a clip for this head, or None if it does not say. kind: what
    the network's output gives, from which these are made.
    """

    name: str
    labels: tuple[str, ...]
    calibration: ScoreCalibration | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    score_threshold: float | None = None
    description: str = ""
    aggregation: str | None = None
    kind: ScoreKind = field(default="sigmoid", compare=False)

    def __post_init__(self) -> None:
        if self.calibration is not None and len(self.calibration.sigmoids) != len(self.labels):
            raise OptionError(
                tr(
                    "head {name!r} has {n_labels} labels, but a score calibration of {n_sigmoids}",
                    name=self.name,
                    n_labels=len(self.labels),
                    n_sigmoids=len(self.calibration.sigmoids),
                )
            )
        named = [label for label, _ in self.thresholds]
        unknown = sorted(set(named) - set(self.labels))
        if unknown:
            raise OptionError(
                tr(
                    "head {name!r} has a threshold, but no label {unknown!r}",
                    name=self.name,
                    unknown=unknown[0],
                )
            )
        if len(set(named)) != len(named):
            raise OptionError(tr("a label of head {name!r} has two thresholds", name=self.name))
        for label, value in self.thresholds:
            if not 0.0 <= value <= 1.0:
                raise OptionError(
                    tr(
                        "threshold of {label!r} must be from 0 to 1, not {value:g}",
                        label=label,
                        value=value,
                    )
                )
        if self.score_threshold is not None:
            rounded = _float32(tr("score threshold"), self.score_threshold)
            object.__setattr__(self, "score_threshold", rounded)


def parse_thresholds(text: str) -> tuple[tuple[str, float], ...]:
    """(label, threshold) pairs of CSV: ``label,threshold`` a line, with or without that header.

    Spaces around a label are not part of it; empty lines do not count. Raises OptionError naming
    the line.
    """
    pairs = []
    # Only line feeds end a line, as in label files: str.splitlines would cut at rarer separators.
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            row = next(csv.reader([line.removesuffix("\r")], strict=True), [])
            if not row or (number == 1 and [c.strip() for c in row] == ["label", "threshold"]):
                continue
            label, value = row
            pairs.append((label.strip(), _ratio(float(value))))
        except (csv.Error, ValueError) as error:
            raise OptionError(
                tr(
                    "line {number}: must be label,threshold, the threshold from 0 to "
                    "1 and labels that hold a comma in quotes, not {line!r}",
                    number=number,
                    line=line[:_SHOWN_CHARACTERS],
                )
            ) from error
    return tuple(pairs)


def thresholds_text(thresholds: tuple[tuple[str, float], ...]) -> str:
    """The CSV of thresholds, with its header; `parse_thresholds` gives the same pairs back."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["label", "threshold"])
    for label, value in thresholds:
        if label != label.strip() or "\n" in label or "\r" in label:
            raise OptionError(
                tr(
                    "a label with a threshold must be one line, no spaces around, not {label!r}",
                    label=label,
                )
            )
        writer.writerow([label, repr(float(value))])
    return stream.getvalue()


def _ratio(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(value)
    return value


def _float32(name: str, value: float) -> float:
    """The nearest float32. Raises OptionError unless it is finite."""
    rounded = _round_to_float32(value)
    if not math.isfinite(rounded):
        raise OptionError(
            tr("{name} must be a finite float32 number, not {value:g}", name=name, value=value)
        )
    return rounded


def _round_to_float32(value: float) -> float:
    """The nearest float32, infinity if there is none."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _shortest_text(value: float) -> str:
    """The fewest digits that give this float32 back; nine always do."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next(text for text in texts if _round_to_float32(float(text)) == value)


OutputKind = Literal["softmax", "sigmoid"]
"""softmax: one class out of all; sigmoid: each class by itself."""
