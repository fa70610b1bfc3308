# SPDX-License-Identifier: Apache-2.0
"""A model: a verified file, and everything that is known from the file itself.

What only oido writes into a model and reads from it is ``oido.json``, a packed file (`Notes`).
Other programs pass over it; what they need is in the metadata proper.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreKind
from oido.messages import tr
from oido.models.registry import ModelCard
from oido.models.tflite.editor import CutGraph
from oido.params import FixedPointParams, FrontEndParams, MnFrontEndParams, Windowing, WindowParams

NOTES_FILE = "oido.json"
_VERSION = 1
_LATER = ("kinds", "inputs", "window_samples", "front_end", "base_novelty")
"""Notes that are written only where they say something."""


@dataclass(frozen=True)
class Novelty:
    """An output with the similarity of a window to the nearest class that a head was taught, -1..1.

    output: its name. threshold: a clip below it is of no such class.
    """

    output: str
    threshold: float


class SimilarityColumn(NamedTuple):
    """Where a network's scores hold the similarity to what a head was taught.

    column: counted from the end, negative. least: below it a window is unknown.
    """

    column: int
    least: float


@dataclass(frozen=True)
class Notes:
    """aggregations: by head. hop_samples, repeat_pause_samples: as `oido.params.WindowParams`;
    None is what follows from the file. training: facts of how it was trained, for readers. kinds:
    what outputs give, by head; inputs: values of inputs beside the waveform; window_samples: of a
    graph that takes any length. front_end: what makes the input of one that takes no waveform.
    novelty, base_novelty: of the last head, and of that of the base model before it."""

    aggregations: dict[str, str] = field(default_factory=dict)
    hop_samples: int | None = None
    repeat_pause_samples: int | None = None
    novelty: Novelty | None = None
    training: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, ScoreKind] = field(default_factory=dict)
    inputs: dict[str, list[float]] = field(default_factory=dict)
    window_samples: int | None = None
    front_end: str | None = None
    base_novelty: Novelty | None = None

    def text(self) -> str:
        """The file; the same notes give the same bytes, and older ones those that they had."""
        values = {k: v for k, v in asdict(self).items() if v or k not in _LATER}
        return json.dumps({"version": _VERSION, **values}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def parse(cls, content: bytes) -> Notes:
        """Raises ModelFormatError for anything that `text` does not write."""
        try:
            values = json.loads(content)
            if values.pop("version") != _VERSION:
                raise ModelFormatError(
                    tr("{notes_file} is of a newer oido; update oido", notes_file=NOTES_FILE)
                )
            for name in ("novelty", "base_novelty"):
                if values.get(name) is not None:
                    values[name] = Novelty(**values[name])
            notes = cls(**values)
            notes._check()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelFormatError(
                tr(
                    "{notes_file} in the model is damaged ({error})",
                    notes_file=NOTES_FILE,
                    error=error,
                )
            ) from error
        return notes

    def _check(self) -> None:
        if not all(isinstance(v, str) for v in self.aggregations.values()):
            raise ValueError(tr("aggregations"))
        if not all(kind in get_args(ScoreKind) for kind in self.kinds.values()):
            raise ValueError(tr("kinds"))
        for values in self.inputs.values():
            if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
                raise ValueError(tr("inputs"))
        if self.front_end is not None and not isinstance(self.front_end, str):
            raise TypeError(tr("front_end"))
        for value in (self.hop_samples, self.repeat_pause_samples, self.window_samples):
            if value is not None and not (isinstance(value, int) and 0 < value < 1 << 31):
                raise ValueError(tr("samples {value!r}", value=value))
        for novelty in filter(None, (self.novelty, self.base_novelty)):
            if not (isinstance(novelty.output, str) and -1.0 <= novelty.threshold <= 1.0):
                raise ValueError(tr("novelty"))


EMBEDDING_OUTPUT = "embedding"
"""The name of an output that gives no scores, but what they are made from."""

EMBEDDING = tr("what the scores are made from")
"""What the metadata say of it."""

FRAMEWISE_PREFIX = "framewise_"
FRAMEWISE_OUTPUT = f"{FRAMEWISE_PREFIX}scores"
"""The name of an output with the only head's scores of each column of a window's last image; those
of several heads have the prefix and the head's name."""

FIXED_POINT = "fixed-point-1"
"""What the notes of a student call its front end (`oido.signal.fixed_point`)."""

Precision = Literal["int8", "float32"]
"""In which numbers a network computes."""


@dataclass(frozen=True)
class LogMelNetwork:
    """A network behind a log-mel front end of YAMNet's kind: quick, and gives embeddings.

    is_cut: the graph was cut out of the file, so that the whole file must give the same scores; or
    else it was written from weights.
    """

    front_end: FrontEndParams
    graph: CutGraph = field(repr=False)
    is_cut: bool = True


@dataclass(frozen=True)
class MnNetwork:
    """A network of EfficientAT's kind, with its front end and one length of windows.

    columns: of each window, whose scores are a third output, [N · columns, classes]; 0: none.
    """

    front_end: MnFrontEndParams
    content: bytes = field(repr=False)
    columns: int = 0


@dataclass(frozen=True)
class WholeNetwork:
    """A classifier that takes the waveform itself, run window by window.

    heads: the outputs that give scores; embedding: the output that is one, or None. is_file: what
    it has in common with the file is the same; or else it was changed to take a float32 window and
    give scores (`oido.models.tflite.waveform`), and is a whole file of its own, with metadata.
    framewise: the output with the scores of equal parts of the window, one part after the other,
    and how many parts there are. parts: the output with the embeddings of such parts, which a new
    head is put on too.
    """

    content: bytes = field(repr=False)
    heads: tuple[int, ...] = (0,)
    embedding: int | None = None
    is_file: bool = True
    framewise: tuple[int, int] | None = None
    parts: int | None = None


@dataclass(frozen=True)
class FixedPointNetwork:
    """A student: an int8 network that takes patches of the fixed-point front end."""

    front_end: FixedPointParams
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class EnsembleNetwork:
    """Two models whose scores are combined (`oido.inference.ensemble`).

    columns: for each label of the first, its column in the second's scores. pieces: the second's
    input, repeated until its window is full.
    """

    first: AudioModel
    second: AudioModel
    columns: tuple[int, ...]
    pieces: Windowing


Network = LogMelNetwork | MnNetwork | WholeNetwork | FixedPointNetwork | EnsembleNetwork
"""What computes scores, and how; `oido.inference.predictor` knows how to run each kind."""


@dataclass(frozen=True, repr=False)
class AudioModel:
    """What a classifier needs to know of its network; read from the file, never assumed.

    name: the catalogue's name, or the one in the metadata, if no model of the catalogue has it.
    path, sha256, size_bytes: of the file. heads: the outputs with scores. windows: the network's
    input. card: None for a file that is not in the catalogue. precision: of the computation, which
    is not always the file's. novelty: of a model whose last head recognises sounds of no class of
    its own; base_novelty: the same of the head before it, that of the model that it was taught on.
    These outputs' columns follow those of the heads, that of the last head last.
    """

    name: str
    path: Path
    sha256: str
    size_bytes: int
    heads: tuple[Head, ...]
    windows: WindowParams
    summary: str
    licence: str
    attribution: str
    card: ModelCard | None
    network: Network
    precision: Precision
    novelty: Novelty | None = None
    base_novelty: Novelty | None = None

    def __repr__(self) -> str:
        heads = ", ".join(f"{head.name} of {len(head.labels)} labels" for head in self.heads)
        return f"<AudioModel {self.name}: {self.precision}, {heads}>"

    @property
    def head(self) -> Head:
        """The default head: the last one.

        A classifier that keeps its base model's head has that one first, as TensorFlow Lite Model
        Maker wrote them, and its own last.
        """
        return self.heads[-1]

    def head_named(self, name: str | None) -> Head:
        """The head of this name; None: `head`. Raises OptionError naming those that there are."""
        heads = {head.name: head for head in self.heads}
        if name is not None and name not in heads:
            raise OptionError(
                tr(
                    "{name} has no head {name_2!r}; it has {heads}",
                    name=self.name,
                    name_2=name,
                    heads=", ".join(heads),
                )
            )
        return self.head if name is None else heads[name]

    def require_embeddings(self) -> None:
        """Raise OptionError for a model that shows nothing but scores."""
        if isinstance(self.network, FixedPointNetwork):
            raise OptionError(
                tr("{name} is a student, which gives scores only; choose another", name=self.name)
            )
        if isinstance(self.network, WholeNetwork) and self.network.embedding is None:
            raise OptionError(
                tr(
                    "{name} gives scores only, and no embeddings (there is no pool "
                    "before its head); choose another model",
                    name=self.name,
                )
            )

    def whole_file(self) -> bytes:
        """A .tflite that takes a window of float32 and gives what this model does: its own file, or
        what was made of it."""
        network = self.network
        if isinstance(network, WholeNetwork) and not network.is_file:
            return network.content
        return self.path.read_bytes()

    @property
    def novelties(self) -> tuple[Novelty, ...]:
        """Those that there are, in the order of their columns."""
        return tuple(filter(None, (self.base_novelty, self.novelty)))

    @property
    def least_similarity(self) -> float | None:
        """To what was taught; below it is unknown. None of a model that does not tell."""
        return None if self.novelty is None else self.novelty.threshold

    @property
    def similarity_columns(self) -> dict[str, SimilarityColumn]:
        """By head, of those that tell what is unknown to them."""
        found = {}
        if self.novelty is not None:
            found[self.head.name] = SimilarityColumn(-1, self.novelty.threshold)
        if self.base_novelty is not None:
            place = -len(self.novelties)
            found[self.heads[-2].name] = SimilarityColumn(place, self.base_novelty.threshold)
        return found

    @property
    def image_samples(self) -> int:
        """What the network's last image covers of a window, from its start on: YAMNet's 96 frames
        of 160 samples. Its columns are equal parts of that."""
        network = self.network
        if isinstance(network, EnsembleNetwork):
            return network.first.image_samples
        if isinstance(network, LogMelNetwork):
            return network.front_end.patch_frames * network.front_end.hop_samples
        return self.windows.window_samples

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of that head, in the order of its score columns."""
        return self.head.labels
