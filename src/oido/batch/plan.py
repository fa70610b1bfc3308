# SPDX-License-Identifier: Apache-2.0
"""What to do with every recording of a run, and what came of each. No NumPy is loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from oido.heads import SCORES_ARE, ScoreKind
from oido.messages import text_of, tr
from oido.options import Level
from oido.params import DEFAULT_TOP, Detection, Hop, PlaceOnEarth, Selection

_LATER = ("labels_file", "place")


@dataclass(frozen=True)
class Plan:
    """How every recording of a run is classified: one object, the same for all workers.

    what: labels (of events, windows, frames or clips), scores (all of them, of frames), or
    embeddings (of windows or clips; l2_normalize: of length 1). model: a catalogue name or a path.
    channel: "mix", "each" or a number. top: at most this many rows per window, frame or clip, or,
    for events, the strongest of a recording. locale: the language of labels in rows. head: of a
    model with several, or None.
    calibrated: the model has a score calibration, so that tables have a column for probabilities;
    calibration: the path of one that is not in the model. labels_file: of the labels in another
    language. place: where the recordings were made, each in the week that its name tells: of the
    allowed labels only species of that week are.
    """

    what: Literal["labels", "scores", "embeddings"] = "labels"
    model: str = "yamnet/classification"
    level: Level = "events"
    hop: Hop = None
    channel: Literal["mix", "each"] | int = "mix"
    aggregation: str | None = None
    detection: Detection = field(default_factory=Detection)
    selection: Selection = field(default_factory=Selection)
    top: int | None = None
    l2_normalize: bool = False
    locale: str = "en"
    rollup: bool = False
    precision: Literal["int8", "float32"] | None = None
    head: str | None = None
    calibrated: bool = False
    calibration: str | None = None
    labels_file: str | None = None
    place: PlaceOnEarth | None = None

    @property
    def table_name(self) -> str:
        """The name of the combined table in a results folder, without its ending."""
        if self.what == "embeddings":
            return "embeddings"
        return "clips" if self.level == "clip" else self.level

    def parameters(self) -> dict[str, Any]:
        """All parameters as plain values, for the manifest; later ones where they say something.

        What older archives are resumed by stays as it was.
        """
        return {k: v for k, v in asdict(self).items() if v is not None or k not in _LATER}


def marks(model: str, head: str | None) -> tuple[dict[str, str], str]:
    """What a manifest says of a model beside its name and hash, and what of its scores.

    A licence is told if it must be accepted: that of a published model, or of what a model was made
    of.
    """
    from oido.models.registry import BIRDNET, CATALOG

    kind: ScoreKind = "logits" if model == BIRDNET else "sigmoid"
    licence = next((entry.licence for entry in CATALOG if entry.name == model), "")
    if model.lower().endswith(".tflite"):
        # An import that the command does without otherwise: it starts sooner.
        from oido.models.loading import licence_and_head

        licence, found = licence_and_head(model, head)
        kind = kind if found is None else found.kind
    is_restricted = licence in {entry.licence for entry in CATALOG if entry.terms}
    return {"licence": licence} if is_restricted else {}, SCORES_ARE[kind]


def make_plan(
    values: Mapping[str, Any],
    *,
    model: str,
    precision: Literal["int8", "float32"] | None = None,
    calibrated: bool = False,
) -> Plan:
    """The plan of options by their names (`oido.options`), of a command line or of a request.

    model: where it is; calibrated: whether it has a score calibration. Raises OptionError.
    """
    is_events = values["level"] == "events"
    top, threshold = values["top"], values["threshold"]
    is_limited = top is not None or threshold is not None
    names = ("level", "hop", "channel", "aggregation", "locale", "rollup", "head")
    return Plan(
        model=model,
        precision=precision,
        calibrated=calibrated,
        calibration=values.get("calibration"),
        labels_file=values.get("labels_file"),
        place=values.get("place_by_week"),
        detection=make_detection(values if is_events else {**values, "threshold": None}),
        selection=Selection(
            top,
            None if is_events else threshold,
            tuple(values["allow"]),
            tuple(values["deny"]),
            values["labels"],
        ),
        top=top if is_events or is_limited else DEFAULT_TOP,
        **{name: values[name] for name in names},
    )


def make_detection(values: Mapping[str, Any]) -> Detection:
    """How these options make events of scores. Raises OptionError."""
    thresholds: tuple[tuple[str, float], ...] = ()
    if values.get("thresholds"):
        from oido.events.thresholds import read_thresholds  # NumPy comes with it

        thresholds = tuple(read_thresholds(values["thresholds"]))
    names = ("threshold", "off_ratio", "min_duration", "merge_gap", "unknown")
    return Detection(**{name: values[name] for name in names}, thresholds=thresholds)


@dataclass(frozen=True)
class Task:
    """One recording to classify: where it is, and its name in rows.

    relative: its path below the folder that was named, for results that mirror that folder.
    threads: how many may work on it. size_bytes: for the progress.
    """

    number: int
    path: str
    name: str
    relative: str
    threads: int = 1
    size_bytes: int = 0


@dataclass(frozen=True)
class Failure:
    """Why a recording failed, perhaps midway: the error's class and its sentence."""

    kind: str
    reason: str

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """An error that oido raised on purpose."""
        return cls(type(error).__name__, text_of(error))

    @classmethod
    def internal(cls, name: str, error: Exception) -> Failure:
        """A defect of ours: it must cost one recording, and say enough to be found."""
        return cls(
            "InternalError",
            tr(
                "{name}: internal error, {kind_name}: {error}",
                name=name,
                kind_name=type(error).__name__,
                error=error,
            ),
        )


@dataclass(frozen=True)
class FileSummary:
    """What came of one recording.

    duration: seconds done; padded_share: of the last window, 0..1; damaged_packets: pieces left
    out; unknown: whether it is unlike all of the training data, None if the model cannot know;
    unknown_stretches: of sound in it that are (`Detection.unknown` makes rows of them);
    failure: None if it was classified to its end. Rows of windows before a failure stay.
    gaps_seconds: of silence inserted where its clock goes on without sound; notes: how it was read,
    where that is not plain; findings: what is wrong with its sound.
    """

    name: str
    duration: float = 0.0
    channels: int = 0
    windows: int = 0
    rows: int = 0
    padded_share: float = 0.0
    damaged_packets: int = 0
    unknown: bool | None = None
    unknown_stretches: int = 0
    failure: Failure | None = None
    gaps_seconds: float = 0.0
    notes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
