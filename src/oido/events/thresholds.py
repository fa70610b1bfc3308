# SPDX-License-Identifier: Apache-2.0
"""Thresholds per label: read from a file, spread over a model's classes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from oido.arrays import F32
from oido.dialects import MOST_BYTES_OF_HEADS, number, read_text, separator_of, split_lines
from oido.errors import OptionError
from oido.events.selection import LabelIndices
from oido.messages import tr
from oido.params import DEFAULT_THRESHOLD, Detection


def on_thresholds(
    n_classes: int,
    detection: Detection,
    indices: LabelIndices,
    own: tuple[tuple[str, float], ...] = (),
) -> F32:
    """f32[C]: the threshold of each class, the given one, or the model's own, or the common one."""
    common = DEFAULT_THRESHOLD if detection.threshold is None else detection.threshold
    on = np.full(n_classes, common, np.float32)
    for pairs in (own, detection.thresholds):
        for column, value in by_column(pairs, indices).items():
            on[column] = value
    return on


def by_column(pairs: Iterable[tuple[str, float]], indices: LabelIndices) -> dict[int, float]:
    """The threshold of each column that the pairs name.

    Raises OptionError if two of them name one, which spellings in upper and lower case may do.
    """
    named: dict[int, tuple[str, float]] = {}
    for label, value in pairs:
        column = indices([label])[0]
        if column in named:
            raise OptionError(
                tr(
                    "thresholds name one label twice: {named!r} and {label!r}; leave one",
                    named=named[column][0],
                    label=label,
                )
            )
        named[column] = label, value
    return {column: value for column, (_, value) in named.items()}


def read_thresholds(path: str | Path) -> tuple[tuple[str, float], ...]:
    """(label, threshold) pairs of a file.

    Either CSV, ``label,threshold`` a line, with or without that header, labels that hold a comma
    in quotes; or JSON, an object of thresholds by label. CSV as spreadsheets write it is read, too:
    more columns under a header, semicolons or tabs, decimal commas, percent. Raises OptionError
    naming the line, or a label that stands there twice.
    """
    try:
        text = read_text(path, most_bytes=MOST_BYTES_OF_HEADS)
    except OptionError as error:
        raise OptionError(tr("thresholds file {error}", error=error)) from error
    pairs = _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path)
    if not pairs:
        raise OptionError(tr("thresholds file {path} holds no thresholds", path=path))
    count = Counter(label for label, _ in pairs)
    if (twice := next((label for label in count if count[label] > 1), None)) is not None:
        raise OptionError(
            tr(
                "thresholds file {path} names {twice!r} twice; leave one of them",
                path=path,
                twice=twice,
            )
        )
    return tuple(pairs)


def _from_json(text: str, path: str | Path) -> list[tuple[str, float]]:
    try:
        table = json.loads(text, object_pairs_hook=list)  # a dict would keep one of two
        return [(str(label), _checked(float(value))) for label, value in table]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise OptionError(
            tr(
                'thresholds file {path} must be a JSON object like {{"Dog": 0.4}}, 0 '
                "to 1 ({error})",
                path=path,
                error=error,
            )
        ) from error


def _from_csv(text: str, path: str | Path) -> list[tuple[str, float]]:
    # Only ends of lines end a line, not quotes: one that is never closed shall cost its own line.
    lines = [(n, line) for n, line in enumerate(split_lines(text), start=1) if line.strip()]
    if lines and lines[0][1].lower().startswith("sep="):
        del lines[0]
    columns = _header_columns(lines[0][1]) if lines else None
    if columns is not None:
        separator = separator_of(lines.pop(0)[1])
    else:  # the separator by which most lines make sense
        separators = [[s for s in ";\t," if _pair(line, s, None)] for _, line in lines]
        separator = max(",;\t", key=lambda s: sum(s in fitting for fitting in separators))
    pairs = []
    for count, line in lines:
        pair = _pair(line, separator, columns)
        if pair is not None:
            pairs.append(pair)
        elif any(_cells(line, separator)):
            raise OptionError(
                tr(
                    "thresholds file {path}, line {count}: must be label,threshold, "
                    "the threshold from 0 to 1 and labels that hold a comma in "
                    "quotes, not {line!r}",
                    path=path,
                    count=count,
                    line=line[:80],
                )
            )
    return pairs


def _cells(line: str, separator: str) -> list[str]:
    try:
        row = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error:
        return [line]
    return [cell.strip() for cell in row]


def _header_columns(line: str) -> tuple[int, int] | None:
    """Where labels and thresholds stand, if the line is a header."""
    names = [name.lower() for name in _cells(line, separator_of(line))]
    for one, other, is_label in (("label", "threshold", True), ("threshold", "label", False)):
        if one in names and (other in names or len(names) == 2):
            first = names.index(one)
            second = names.index(other) if other in names else 1 - first
            return (first, second) if is_label else (second, first)
    return None


def _pair(line: str, separator: str, columns: tuple[int, int] | None) -> tuple[str, float] | None:
    """Label and threshold of a line, or None; without a header there is nothing else in it."""
    cells = _cells(line, separator)
    if columns is None and any(cells[2:]):
        return None
    try:
        label, text = (cells[column] for column in columns or (0, 1))
        value = number(text.removesuffix("%")) / 100 if text.endswith("%") else number(text)
        return label, _checked(value)
    except (ValueError, IndexError):
        return None


def _checked(threshold: float) -> float:
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(threshold)
    return threshold
