# SPDX-License-Identifier: Apache-2.0
"""A calibration as a file of its own, ``calibration.json``, and a model to which it is applied."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from oido.dialects import MOST_BYTES_OF_HEADS, read_text, split_lines
from oido.dialects import number as number_of
from oido.errors import OptionError, OutputError
from oido.heads import Head, ScoreCalibration, ScoreTransformation, Sigmoid
from oido.messages import tr
from oido.models.cache import write_whole
from oido.models.model import AudioModel

_FORMAT, _VERSION = "oido calibration", 1
_TEXTS = ("model", "model_sha256", "precision", "head")
_MADE_FOR = ("model", "model_sha256", "precision", "window_samples", "head", "aggregation")


@dataclass(frozen=True)
class Evidence:
    """What one class was calibrated by: clips with it, from so many recordings, and clips without.

    note: "", or why it shares the pooled sigmoid.
    """

    clips: int = 0
    recordings: int = 0
    others: int = 0
    note: str = ""


@dataclass(frozen=True)
class Calibration:
    """Sigmoids and thresholds for one head of one model.

    model, model_sha256, precision, window_samples: whose scores they are for. aggregation: how
    windows became the clips that it was fitted on. scores, evidence: by label, in order (no
    evidence at all is allowed). thresholds: of events, as those of a `Head`. facts: how it was
    made and how good it is, plain JSON values.
    """

    model: str
    model_sha256: str
    precision: str
    window_samples: int
    head: str
    aggregation: str | None
    labels: tuple[str, ...]
    scores: ScoreCalibration
    thresholds: tuple[tuple[str, float], ...] = ()
    evidence: tuple[Evidence, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.evidence and len(self.evidence) != len(self.labels):
            raise OptionError(
                tr(
                    "a calibration of {n_labels} labels has evidence for {n_evidence}",
                    n_labels=len(self.labels),
                    n_evidence=len(self.evidence),
                )
            )
        Head(self.head, self.labels, self.scores, self.thresholds)  # raises

    @classmethod
    def of(cls, model: AudioModel, head: Head, **rest: Any) -> Calibration:
        """What this head has, which must be calibrated, or else ``scores`` be passed."""
        scores = rest.pop("scores", head.calibration)
        if scores is None:
            raise OptionError(tr("{name} has no score calibration", name=model.name))
        return cls(
            model.name,
            model.sha256,
            model.precision,
            model.windows.window_samples,
            head.name,
            head.aggregation,
            head.labels,
            scores,
            **{"thresholds": head.thresholds, **rest},
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Calibration:
        """Of a file. Raises OptionError."""
        try:
            text = read_text(path, most_bytes=MOST_BYTES_OF_HEADS)
        except OptionError as error:
            raise OptionError(tr("calibration {error}", error=error)) from error
        try:
            return cls.parse(text)
        except OptionError as error:
            raise OptionError(tr("calibration {path}: {error}", path=path, error=error)) from error

    @classmethod
    def parse(cls, text: str) -> Calibration:
        """Of what `text` gives. Raises OptionError saying what is wrong."""
        try:
            values = json.loads(text)
            if values["format"] != _FORMAT:
                raise OptionError(tr("its format is not {format!r}", format=_FORMAT))
            if values["version"] != _VERSION:
                raise OptionError(
                    tr("it is of version {version}; update oido", version=values["version"])
                )
            return cls._of_values(values)
        except KeyError as error:
            raise OptionError(
                tr("it has no {args!r}; is it a calibration?", args=error.args[0])
            ) from error
        except json.JSONDecodeError as error:
            raise OptionError(
                tr(
                    "it is no JSON (line {line}, column {column})",
                    line=error.lineno,
                    column=error.colno,
                )
            ) from error
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise OptionError(tr("it is damaged ({error})", error=error)) from error

    @classmethod
    def _of_values(cls, values: dict[str, Any]) -> Calibration:
        rows = values["classes"]
        labels = tuple(_text(row["label"]) for row in rows)
        sigmoids = tuple(_sigmoid(row) for row in rows)
        thresholds = [(r["label"], r["threshold"]) for r in rows if r["threshold"] is not None]
        evidence = [Evidence(**row["evidence"]) for row in rows if "evidence" in row]
        made_for: dict[str, Any] = {name: _text(values[name]) for name in _TEXTS}
        aggregation = values["aggregation"]
        return cls(
            **made_for,
            window_samples=int(values["window_samples"]),
            aggregation=None if aggregation is None else _text(aggregation),
            labels=labels,
            scores=ScoreCalibration(
                sigmoids,
                _transformation(values["transformation"]),
                _number(values["default_score"]),
            ),
            thresholds=tuple((label, _number(value)) for label, value in thresholds),
            evidence=tuple(evidence),
            facts=dict(values["facts"]),
        )

    def text(self) -> str:
        """The file: JSON, a line for each class; `parse` gives the same calibration back."""
        head = {
            "format": _FORMAT,
            "version": _VERSION,
            **{name: getattr(self, name) for name in _MADE_FOR},
            "transformation": self.scores.transformation.name,
            "default_score": shortest(self.scores.default_score),
            "facts": dict(self.facts),
        }
        lines = [f'  "{name}": {_json(value)},' for name, value in head.items()]
        thresholds = dict(self.thresholds)
        rows = []
        for number, (label, sigmoid) in enumerate(zip(self.labels, self.scores.sigmoids)):
            row: dict[str, Any] = {"label": label}
            for name in ("scale", "slope", "offset", "min_score"):
                value = None if sigmoid is None else getattr(sigmoid, name)
                row[name] = None if value is None else shortest(value)
            row["threshold"] = thresholds.get(label)
            if self.evidence:
                row["evidence"] = asdict(self.evidence[number])
            rows.append(f"    {_json(row)}")
        return "\n".join(["{", *lines, '  "classes": [', ",\n".join(rows), "  ]", "}", ""])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a .json. Raises OutputError."""
        try:
            write_whole(Path(path), self.text().encode())
        except OSError as error:
            raise OutputError(
                tr("{path} cannot be written: {reason}", path=path, reason=error.strerror or error)
            ) from error


def apply_calibration(model: AudioModel, calibration: Calibration) -> AudioModel:
    """The model with this calibration and its thresholds, in place of any that the head had.

    Raises OptionError if it was made for another model, precision, window or head.
    """
    made_for = tr("the calibration was made for {model}", model=calibration.model)
    if calibration.model_sha256 != model.sha256:
        raise OptionError(
            tr(
                "{made_for} (SHA-256 {model_sha256}…), and this is {name} "
                "({sha256}…); calibrate this one: oido calibrate",
                made_for=made_for,
                model_sha256=calibration.model_sha256[:12],
                name=model.name,
                sha256=model.sha256[:12],
            )
        )
    if calibration.precision != model.precision:
        raise OptionError(
            tr(
                "{made_for} in {precision}, and this is {model_precision}",
                made_for=made_for,
                precision=calibration.precision,
                model_precision=model.precision,
            )
        )
    if calibration.window_samples != model.windows.window_samples:
        raise OptionError(
            tr(
                "{made_for} with windows of {window_samples} samples, and these have "
                "{windows_window_samples}",
                made_for=made_for,
                window_samples=calibration.window_samples,
                windows_window_samples=model.windows.window_samples,
            )
        )
    names = [head.name for head in model.heads]
    if calibration.head not in names:
        raise OptionError(
            tr(
                "{made_for}'s head {head!r}, and there is only {names}",
                made_for=made_for,
                head=calibration.head,
                names=", ".join(names),
            )
        )
    number = names.index(calibration.head)
    head = model.heads[number]
    if calibration.labels != head.labels:
        raise OptionError(_label_difference(calibration.labels, head.labels))
    new = replace(head, calibration=calibration.scores, thresholds=calibration.thresholds)
    return replace(model, heads=(*model.heads[:number], new, *model.heads[number + 1 :]))


def read_sigmoids(
    path: str | os.PathLike[str],
    n_labels: int,
    transformation: ScoreTransformation,
    default_score: float,
) -> ScoreCalibration:
    """Of the Task Library's file, also as a spreadsheet writes it: with a line end at its end, with
    semicolons or tabs, and decimal commas. Raises OptionError.
    """
    text = read_text(path, most_bytes=MOST_BYTES_OF_HEADS)
    lines = split_lines(text)
    if len(lines) == n_labels - 1 and text != "\n".join(lines):  # the last label's line is empty
        lines.append("")
    for separator in ";\t":
        if any(separator in line for line in lines):
            lines = [",".join(map(_plain, line.split(separator))).rstrip(",") for line in lines]
    try:
        return ScoreCalibration.parse("\n".join(lines), n_labels, transformation, default_score)
    except OptionError as error:
        raise OptionError(tr("{path}: {error}", path=path, error=error)) from error


def _plain(cell: str) -> str:
    """A number as the Task Library has it; what is none stays."""
    try:
        return repr(number_of(cell))
    except ValueError:
        return cell.strip()


def shortest(value: float) -> float:
    """The number with the fewest digits that is the same float32."""
    return float(str(np.float32(value)))


def _label_difference(have: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    if missing := [label for label in wanted if label not in have]:
        return tr(
            "the calibration lacks {n_missing} label(s) of the model: {missing!r}, …",
            n_missing=len(missing),
            missing=missing[0],
        )
    if unknown := [label for label in have if label not in wanted]:
        return tr(
            "the calibration has {unknown!r}, and the model has no such label", unknown=unknown[0]
        )
    return tr("the calibration has the model's labels in another order")


def _sigmoid(row: Mapping[str, Any]) -> Sigmoid | None:
    if row["scale"] is None:
        return None
    lowest = row["min_score"]
    scale, slope, offset = (_number(row[name]) for name in ("scale", "slope", "offset"))
    return Sigmoid(scale, slope, offset, None if lowest is None else _number(lowest))


def _transformation(name: Any) -> ScoreTransformation:
    if name not in ScoreTransformation.__members__:
        known = ", ".join(ScoreTransformation.__members__)
        raise OptionError(
            tr("there is no transformation {name!r}; there are {known}", name=name, known=known)
        )
    return ScoreTransformation[name]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(tr("{value!r} is no number", value=value))
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(tr("{value!r} is no text", value=value))
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
