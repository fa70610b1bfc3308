# SPDX-License-Identifier: Apache-2.0
"""What a model's file may become in memory: no more than in proportion to its size.

A flatbuffer may point at one table, or one text, from a million places, a ZIP member may be packed
a thousandfold, and a shape is a few bytes whatever it promises. All are read only as far as a file
that is honest needs.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from oido.errors import ModelFormatError
from oido.messages import tr
from oido.models.damage import refuse_damage

MOST_BYTES = 4 << 20
"""Of all packed files that are read, and of the ZIP's own list: 100,000 labels need less."""

_MOST_VALUES = 1 << 28
"""In all tensors of a graph: a gigabyte of float32."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those that writers of metadata use; Python unpacks others a whole block at a time."""


def require_proportion(content: bytes) -> None:
    """Raise ModelFormatError for a .tflite with more tables or texts than its bytes can hold."""
    model = schema.Model.GetRootAs(content, 0)
    graphs = [model.Subgraphs(i) for i in range(_checked(model.SubgraphsLength(), content))]
    tables = len(graphs) + model.OperatorCodesLength() + model.BuffersLength()
    tables += model.MetadataLength() + model.MetadataBufferLength()
    for i in range(_checked(model.SignatureDefsLength(), content)):
        signature = model.SignatureDefs(i)
        tables += 1 + signature.InputsLength() + signature.OutputsLength()
    tables += sum(graph.TensorsLength() + graph.OperatorsLength() for graph in graphs)
    _checked(tables, content)
    values, letters = 0, 0
    for graph in graphs:
        for i in range(graph.TensorsLength()):
            tensor = graph.Tensors(i)
            shape = tensor.ShapeAsNumpy()
            values += math.prod(max(1, int(n)) for n in (shape if tensor.ShapeLength() else ()))
            letters += len(tensor.Name() or b"")
            tables += tensor.VariantTensorsLength()
            if values > _MOST_VALUES:
                raise ModelFormatError(tr("its tensors would need more than a gigabyte"))
            if letters > len(content):
                raise ModelFormatError(tr("its names are longer than the file"))
    _checked(tables, content)


def _checked(tables: int, content: bytes) -> int:
    """The number of tables, each of which is pointed at by four bytes."""
    if 4 * tables > len(content):
        raise ModelFormatError(
            tr("it promises {tables:,} tables, more than the file can hold", tables=tables)
        )
    return tables


class _Pieces(io.BytesIO):
    """A file of which nobody reads more at once than a ZIP that is honest needs."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._size = len(content)

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._size - self.tell()
        if left > MOST_BYTES + 1 and not 0 <= (-1 if size is None else size) <= MOST_BYTES + 1:
            raise ModelFormatError(tr("the list of files packed in the model is too long"))
        return super().read(size)


def packed_files(content: bytes, wanted: Iterable[str]) -> dict[str, bytes]:
    """The files of these names that are appended to a model as a ZIP; others are not unpacked.

    Raises ModelFormatError if they are damaged, stand there twice, or are larger than MOST_BYTES.
    """
    stream = _Pieces(content)
    if not zipfile.is_zipfile(stream):
        return {}
    found: dict[str, bytes] = {}
    left = MOST_BYTES
    damage = refuse_damage(tr("the files packed in the model are damaged"))
    with damage, zipfile.ZipFile(stream) as archive:
        count = Counter(archive.namelist())
        for name in dict.fromkeys(wanted):
            if name not in count:
                continue
            if count[name] > 1:
                raise ModelFormatError(
                    tr("the file {name} is packed in the model twice", name=name)
                )
            entry = archive.getinfo(name)
            if entry.compress_type not in _COMPRESSIONS:
                raise ModelFormatError(
                    tr("the file {name} in the model is packed in a strange way", name=name)
                )
            # What the entry says of its size is not what it has to unpack.
            with archive.open(entry) as member:
                found[name] = member.read(left + 1)
            left -= len(found[name])
            if left < 0:
                raise ModelFormatError(
                    tr(
                        "the files packed in the model are larger than {most_bytes} "
                        "MB ({name}); labels and calibrations are not",
                        most_bytes=MOST_BYTES >> 20,
                        name=name,
                    )
                )
    return found


class Allowance:
    """What may still be read of a flatbuffer's tables and texts, by what they take in memory."""

    def __init__(self, data: Any) -> None:
        if len(data) > MOST_BYTES // 4:
            raise ModelFormatError(tr("the model's metadata are larger than a megabyte"))
        self._left = 8 * len(data) + (1 << 16)

    def spend(self, size: int) -> None:
        """Raise ModelFormatError where an honest file would have ended."""
        self._left -= size
        if self._left < 0:
            raise ModelFormatError(tr("the model's metadata say the same thing too many times"))
