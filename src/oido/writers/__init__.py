# SPDX-License-Identifier: Apache-2.0
"""Rows to files that people and programs read: tables, label tracks, captions."""

from __future__ import annotations

from oido.writers.atomic import AtomicFile
from oido.writers.base import COLUMNS, RowWriter
from oido.writers.formats import (
    CALIBRATED_FORMATS,
    EMBEDDING_FORMATS,
    FORMATS,
    Format,
    format_named,
    format_of_path,
)

__all__ = [
    "CALIBRATED_FORMATS",
    "COLUMNS",
    "EMBEDDING_FORMATS",
    "FORMATS",
    "AtomicFile",
    "Format",
    "RowWriter",
    "format_named",
    "format_of_path",
]
