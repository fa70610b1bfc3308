# SPDX-License-Identifier: Apache-2.0
"""Thresholds per label: read from a file, spread over a model's classes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from oido.arrays import F32
from oido.errors import OptionError
from oido.events.selection import LabelIndices
from oido.heads import parse_thresholds, read_text
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
                f"thresholds name one label twice: {named[column][0]!r} and {label!r}; leave one"
            )
        named[column] = label, value
    return {column: value for column, (_, value) in named.items()}


def read_thresholds(path: str | Path) -> tuple[tuple[str, float], ...]:
    """(label, threshold) pairs of a file.

    Either CSV, ``label,threshold`` a line, with or without that header, labels that hold a comma
    in quotes; or JSON, an object of thresholds by label. Raises OptionError naming the line, or a
    label that stands there twice.
    """
    text = read_text(path, "thresholds file")
    pairs = _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path)
    if not pairs:
        raise OptionError(f"thresholds file {path} holds no thresholds")
    count = Counter(label for label, _ in pairs)
    if (twice := next((label for label in count if count[label] > 1), None)) is not None:
        raise OptionError(f"thresholds file {path} names {twice!r} twice; leave one of them")
    return tuple(pairs)


def _from_json(text: str, path: str | Path) -> list[tuple[str, float]]:
    try:
        table = json.loads(text, object_pairs_hook=list)  # a dict would keep one of two
        return [(str(label), _checked(float(value))) for label, value in table]
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise OptionError(
            f'thresholds file {path} must be a JSON object like {{"Dog": 0.4}}, 0 to 1 ({error})'
        ) from error


def _from_csv(text: str, path: str | Path) -> tuple[tuple[str, float], ...]:
    try:
        return parse_thresholds(text)
    except OptionError as error:
        raise OptionError(f"thresholds file {path}, {error}") from error


def _checked(threshold: float) -> float:
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(threshold)
    return threshold
