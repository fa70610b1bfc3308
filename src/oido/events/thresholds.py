# SPDX-License-Identifier: Apache-2.0
"""Thresholds per label: read from a file, spread over a model's classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from oido.arrays import F32
from oido.errors import OptionError
from oido.events.selection import LabelIndices
from oido.heads import parse_thresholds
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
    for label, value in (*own, *detection.thresholds):
        on[indices([label])[0]] = value
    return on


def read_thresholds(path: str | Path) -> tuple[tuple[str, float], ...]:
    """(label, threshold) pairs of a file.

    Either CSV, ``label,threshold`` a line, with or without that header, labels that hold a comma
    in quotes; or JSON, an object of thresholds by label. Raises OptionError naming the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise OptionError(f"thresholds file {path} cannot be read: {reason}") from error
    pairs = _from_json(text, path) if text.lstrip().startswith("{") else _from_csv(text, path)
    if not pairs:
        raise OptionError(f"thresholds file {path} holds no thresholds")
    return tuple(pairs)


def _from_json(text: str, path: str | Path) -> list[tuple[str, float]]:
    try:
        table = json.loads(text)
        return [(str(label), _checked(float(value))) for label, value in table.items()]
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
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
