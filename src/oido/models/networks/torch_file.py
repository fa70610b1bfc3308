# SPDX-License-Identifier: Apache-2.0
"""Reading a state dict from PyTorch's .pt file, without PyTorch.

A .pt file (torch.save since version 1.6) is a ZIP of uncompressed entries: NAME/data.pkl, a pickle
that describes the tensors, and NAME/data/0, 1, …, their values. A pickle may call anything, so this
unpickler knows only the opcodes of a dictionary of tensors and imports nothing: the ten names that
such a pickle has stand for values and functions of this module.

Arrays are views of the storages, and nothing but text is ever hashed: memory and
time are in proportion to the file's size. That is no defence against a file that is simply huge.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from oido.errors import ModelFormatError
from oido.messages import tr
from oido.models.damage import refuse_damage

_MAX_DIMENSIONS = 8
_NO_DICTIONARY = tr("the .pt file does not hold a dictionary of tensors")
_OPCODES = (
    *(pickle.PROTO + pickle.STOP + pickle.MARK + pickle.NONE + pickle.NEWTRUE + pickle.NEWFALSE),
    *(pickle.BININT + pickle.BININT1 + pickle.BININT2 + pickle.LONG1 + pickle.BINUNICODE),
    *(pickle.EMPTY_DICT + pickle.EMPTY_TUPLE + pickle.TUPLE + pickle.TUPLE1 + pickle.TUPLE2),
    *(pickle.TUPLE3 + pickle.BINPUT + pickle.LONG_BINPUT + pickle.BINGET + pickle.LONG_BINGET),
    *(pickle.GLOBAL + pickle.BINPERSID + pickle.REDUCE),
)
"""What torch.save writes for a state dict, beside the three opcodes that have steps of our own."""


def read_state_dict(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a .pt file, by name, as read-only arrays in the order of the file.

    Raises ModelFormatError for everything else than a dictionary of plain tensors: damaged files,
    whole pickled models, optimisers, tensors that repeat elements (expanded) or have none.
    """
    if content[:4] != b"PK\x03\x04":
        raise ModelFormatError(
            tr("not a .pt file of torch 1.6 or later (no ZIP); load it in torch and save it again")
        )
    with refuse_damage(tr("the .pt file is damaged or cut short")):
        return _Unpickler(*_open(content)).state_dict()


def _open(content: bytes) -> tuple[bytes, dict[str, bytes]]:
    """The pickle, and the storages by their keys."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(e.compress_type or e.compress_size != e.file_size for e in entries):
            raise ModelFormatError(
                tr("the .pt file has compressed entries, which torch never writes")
            )
        if len({e.filename for e in entries}) != len(entries):
            raise ModelFormatError(tr("the .pt file has two entries of one name"))
        if sum(e.file_size for e in entries) > len(content):
            raise ModelFormatError(tr("the .pt file promises more bytes than it has"))
        files = {e.filename: archive.read(e) for e in entries}
    programs = [name for name in files if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise ModelFormatError(tr("not a .pt file: there is no data.pkl in it, or more than one"))
    root = programs[0].removesuffix("data.pkl")
    if files.get(f"{root}byteorder", b"little") != b"little":
        raise ModelFormatError(tr("the .pt file was saved on a big-endian machine"))
    prefix = f"{root}data/"
    storages = {n.removeprefix(prefix): data for n, data in files.items() if n.startswith(prefix)}
    return files[programs[0]], storages


def _ordered_dict() -> dict[str, Any]:
    return {}


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *hooks: Any) -> NDArray[Any]:
    """A view of the storage, strides in elements; NumPy checks that it stays inside."""
    # Expanded tensors repeat elements by strides of 0: they could be of any size.
    if len(shape) > _MAX_DIMENSIONS or not 0 < math.prod(shape) <= storage.size:
        raise ModelFormatError(tr("the .pt file has a tensor larger than its storage, or empty"))
    byte_strides = tuple(stride * storage.itemsize for stride in strides)
    return np.ndarray(shape, storage.dtype, storage, offset * storage.itemsize, byte_strides)


_NAMES: dict[tuple[str, str], Any] = {
    ("torch", "DoubleStorage"): np.dtype("<f8"),
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "HalfStorage"): np.dtype("<f2"),
    ("torch", "LongStorage"): np.dtype("<i8"),
    ("torch", "IntStorage"): np.dtype("<i4"),
    ("torch", "ShortStorage"): np.dtype("<i2"),
    ("torch", "CharStorage"): np.dtype("<i1"),
    ("torch", "ByteStorage"): np.dtype("<u1"),
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("collections", "OrderedDict"): _ordered_dict,
}
"""All that a pickle may name, and what it gets."""


class _Unpickler(pickle._Unpickler):
    """Of one .pt file. The base is Python's own unpickler and not the one in C, whose opcodes
    cannot be restricted, and whose memo allocates for the largest index that a file names."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, program: bytes, storages: dict[str, bytes]) -> None:
        super().__init__(io.BytesIO(program))
        self._storages = storages

    def state_dict(self) -> dict[str, NDArray[Any]]:
        result = self.load()
        if not isinstance(result, dict) or self.stack:
            raise ModelFormatError(_NO_DICTIONARY)
        for name, value in result.items():
            if not isinstance(value, np.ndarray):
                raise ModelFormatError(
                    tr("{name!r} in the .pt file is not a tensor", name=name[:80])
                )
        return result

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise ModelFormatError(
                tr(
                    "the .pt file wants {text!r}, which is not needed for tensors of "
                    "plain numbers; save only model.state_dict(), in float32",
                    text=f"{module} {name}"[:80],
                )
            )
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise ModelFormatError(tr("the .pt file has a strange storage"))
        values = np.frombuffer(self._storages[key], dtype)
        if not 0 <= count <= values.size:
            raise ModelFormatError(tr("storage {key!r} of the .pt file is too short", key=key[:80]))
        return values[:count]

    def _refuse(self) -> None:
        raise ModelFormatError(
            tr("the .pt file has more than tensors in it; save only model.state_dict()")
        )

    def _set_items(self, items: list[Any]) -> None:
        # Only texts are hashed: a few bytes can build tuples whose hash would take years.
        if not isinstance(self.stack[-1], dict) or not all(isinstance(k, str) for k in items[::2]):
            raise ModelFormatError(_NO_DICTIONARY)
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **dict.fromkeys(range(256), _refuse),
        **{code: pickle._Unpickler.dispatch[code] for code in _OPCODES},
        pickle.SETITEM[0]: lambda self: self._set_items([self.stack.pop(-2), self.stack.pop()]),
        pickle.SETITEMS[0]: lambda self: self._set_items(self.pop_mark()),
        pickle.BUILD[0]: lambda self: self.stack.pop(),  # attributes, as _metadata: dropped
    }
