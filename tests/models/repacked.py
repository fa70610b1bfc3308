# SPDX-License-Identifier: Apache-2.0
"""The published model with something changed in it."""

from __future__ import annotations

from collections.abc import Callable

from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder


def changed(whole: bytes, change: Callable[[schema.ModelT], object]) -> bytes:
    """The model with its parsed form changed, packed again (without the ZIP behind it)."""
    parsed = schema.ModelT.InitFromPackedBuf(whole, 0)
    change(parsed)
    builder = Builder(1 << 20)
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def labels_zip(whole: bytes) -> bytes:
    return whole[whole.index(b"PK\x03\x04") :]
