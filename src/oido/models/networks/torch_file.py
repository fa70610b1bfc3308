# SPDX-License-Identifier: Apache-2.0
"""Reading a state dict from PyTorch's .pt file, without PyTorch and without running its pickle.

A .pt file (torch.save since version 1.6) is a ZIP of uncompressed entries: NAME/data.pkl, a pickle
that describes the tensors, and NAME/data/0, 1, …, their values. A pickle is a program for a stack
machine that may call anything; here a machine of our own knows only the two dozen instructions
that torch.save writes for a dictionary of tensors, and three things to call, each of which it
imitates. Arrays are views of the storages, so no file makes this allocate more than its own size.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.errors import ModelFormatError

__all__ = ["read_state_dict"]

_DTYPES: dict[str, np.dtype[Any]] = {
    "torch DoubleStorage": np.dtype("<f8"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("<i1"),
    "torch ByteStorage": np.dtype("<u1"),
}
_ORDERED_DICT = "collections OrderedDict"
_REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
_MAX_DIMENSIONS = 8

_FOREIGN_ERRORS = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,  # zipfile: an unknown compression
    OSError,
    RuntimeError,  # zipfile: an encrypted entry
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def read_state_dict(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a .pt file, by name, as read-only arrays in the order of the file.

    Raises ModelFormatError for everything else than a dictionary of plain tensors: damaged files,
    whole pickled models, optimisers, tensors that repeat elements (expanded) or have none.
    """
    if content[:4] != b"PK\x03\x04":
        raise ModelFormatError(
            "not a .pt file of torch 1.6 or later (no ZIP); load it in torch and save it again"
        )
    try:
        storages, program = _open(content)
        return _Machine(storages).run(program)
    except ModelFormatError:
        raise
    except _FOREIGN_ERRORS as error:
        raise ModelFormatError("the .pt file is damaged or cut short") from error


def _open(content: bytes) -> tuple[dict[str, bytes], bytes]:
    """The storages by their keys, and the pickle."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
            raise ModelFormatError("the .pt file has compressed entries, which torch never writes")
        if sum(e.file_size for e in entries) > len(content):
            raise ModelFormatError("the .pt file promises more bytes than it has")
        files = {e.filename: archive.read(e) for e in entries}
    if any(len(files[e.filename]) != e.file_size for e in entries):
        raise ModelFormatError("the .pt file has an entry that is cut short")
    programs = [name for name in files if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise ModelFormatError("not a .pt file: there is no data.pkl in it, or more than one")
    root = programs[0].removesuffix("data.pkl")
    if files.get(f"{root}byteorder", b"little") != b"little":
        raise ModelFormatError("the .pt file was saved on a big-endian machine")
    prefix = f"{root}data/"
    storages = {n.removeprefix(prefix): data for n, data in files.items() if n.startswith(prefix)}
    return storages, files[programs[0]]


@dataclass(frozen=True)
class _Global:
    """A name that the pickle would import."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """A flat array of values."""

    values: NDArray[Any]


_MARK = object()


class _Machine:
    """The pickle machine, reduced to dictionaries of tensors.

    Nothing on its stack is ever hashed, compared or printed but strings that were checked to be
    such: a few bytes can build tuples whose hash would take years.
    """

    def __init__(self, storages: dict[str, bytes]) -> None:
        self._storages = storages
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, program: bytes) -> dict[str, NDArray[Any]]:
        reader = io.BytesIO(program)
        while (opcode := _take(reader, 1)) != b".":
            if opcode not in _STEPS:
                raise ModelFormatError(
                    f"the .pt file has more than tensors in it (pickle's opcode {opcode!r}); "
                    "save only model.state_dict()"
                )
            read_argument, step = _STEPS[opcode]
            step(self, read_argument(reader))
        result = self._stack.pop()
        if not isinstance(result, dict) or self._stack:
            raise ModelFormatError("the .pt file does not hold a dictionary of tensors")
        for name, value in result.items():
            if not isinstance(value, np.ndarray):
                raise ModelFormatError(f"{name[:80]!r} in the .pt file is not a tensor")
        return result

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def name(self, argument: str) -> None:
        if argument not in _DTYPES and argument not in {_ORDERED_DICT, _REBUILD_TENSOR}:
            raise ModelFormatError(
                f"the .pt file wants {argument[:80]!r}, which is not needed for tensors of plain "
                "numbers; save only model.state_dict(), in float32"
            )
        self._stack.append(_Global(argument))

    def tuple_of(self, count: int) -> None:
        if count > len(self._stack):
            raise ModelFormatError("the .pt file is damaged")
        self._stack[len(self._stack) - count :] = [tuple(self._stack[len(self._stack) - count :])]

    def marked_tuple(self) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set(key, value)

    def set_items(self) -> None:
        items = self._pop_to_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._set(key, value)

    def build(self) -> None:
        """An attribute dictionary, as a state dict's ``_metadata``: dropped."""
        self._stack.pop()

    def load_storage(self) -> None:
        kind, storage_type, key, _, count = self._stack.pop()
        if not isinstance(kind, str) or kind != "storage" or not isinstance(key, str):
            raise ModelFormatError("the .pt file has a strange storage")
        if not isinstance(storage_type, _Global) or storage_type.name not in _DTYPES:
            raise ModelFormatError("the .pt file has a storage of a strange type")
        data, dtype = self._storages[key], _DTYPES[storage_type.name]
        if not _is_count(count) or count * dtype.itemsize > len(data):
            raise ModelFormatError(f"storage {key[:80]!r} of the .pt file is too short")
        self._stack.append(_Storage(np.frombuffer(data, dtype, count)))

    def call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise ModelFormatError("the .pt file makes a strange call")
        if function.name == _REBUILD_TENSOR:
            storage, offset, shape, strides = arguments[:4]
            self._stack.append(_tensor(storage, offset, shape, strides))
        elif function.name == _ORDERED_DICT and not arguments:
            self._stack.append({})
        else:
            raise ModelFormatError("the .pt file makes a strange call")

    def _set(self, key: Any, value: Any) -> None:
        if not isinstance(self._stack[-1], dict) or not isinstance(key, str):
            raise ModelFormatError("the .pt file does not hold a dictionary of tensors")
        self._stack[-1][key] = value

    def _pop_to_mark(self) -> list[Any]:
        mark = len(self._stack) - 1
        while self._stack[mark] is not _MARK:  # an IndexError where there is none
            mark -= 1
        items = self._stack[mark + 1 :]
        del self._stack[mark:]
        return items


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> NDArray[Any]:
    """A view of the storage, after checking that it stays inside; strides in elements."""
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple):
        raise ModelFormatError("the .pt file has a strange tensor")
    if not isinstance(strides, tuple) or not len(strides) == len(shape) <= _MAX_DIMENSIONS:
        raise ModelFormatError("the .pt file has a tensor with strange strides")
    if not all(map(_is_count, (offset, *shape, *strides))) or 0 in shape:
        raise ModelFormatError("the .pt file has a tensor of a strange shape")
    values, elements, last = storage.values, 1, offset
    for side, stride in zip(shape, strides):
        elements *= side
        last += (side - 1) * stride
    # Expanded tensors repeat elements by strides of 0: they could be of any size.
    if last >= len(values) or elements > len(values):
        raise ModelFormatError("the .pt file has a tensor larger than its storage")
    byte_strides = tuple(stride * values.itemsize for stride in strides)
    return np.ndarray(shape, values.dtype, values, offset * values.itemsize, byte_strides)


def _take(reader: io.BytesIO, count: int) -> bytes:
    data = reader.read(count)
    if len(data) < count:
        raise ModelFormatError("the .pt file's description of the tensors is cut short")
    return data


def _nothing(reader: io.BytesIO) -> None: ...


def _unsigned(size: int) -> Callable[[io.BytesIO], int]:
    return lambda reader: int.from_bytes(_take(reader, size), "little")


def _signed_4(reader: io.BytesIO) -> int:
    return int.from_bytes(_take(reader, 4), "little", signed=True)


def _long(reader: io.BytesIO) -> int:
    return int.from_bytes(_take(reader, _take(reader, 1)[0]), "little", signed=True)


def _text(reader: io.BytesIO) -> str:
    return _take(reader, int.from_bytes(_take(reader, 4), "little")).decode("utf-8")


def _module_and_name(reader: io.BytesIO) -> str:
    return " ".join(reader.readline().decode("utf-8").rstrip("\n") for _ in range(2))


_Step = tuple[Callable[[io.BytesIO], Any], Callable[[_Machine, Any], None]]
_STEPS: dict[bytes, _Step] = {  # the opcodes of Python's pickletools, which tells what each does
    b"\x80": (_unsigned(1), lambda m, _: None),  # PROTO
    b"(": (_nothing, lambda m, _: m.push(_MARK)),
    b"N": (_nothing, lambda m, _: m.push(None)),
    b"\x88": (_nothing, lambda m, _: m.push(True)),
    b"\x89": (_nothing, lambda m, _: m.push(False)),
    b"J": (_signed_4, _Machine.push),  # BININT
    b"K": (_unsigned(1), _Machine.push),
    b"M": (_unsigned(2), _Machine.push),
    b"\x8a": (_long, _Machine.push),  # LONG1
    b"X": (_text, _Machine.push),  # BINUNICODE
    b"}": (_nothing, lambda m, _: m.push({})),
    b")": (_nothing, lambda m, _: m.push(())),
    b"t": (_nothing, lambda m, _: m.marked_tuple()),
    b"\x85": (_nothing, lambda m, _: m.tuple_of(1)),
    b"\x86": (_nothing, lambda m, _: m.tuple_of(2)),
    b"\x87": (_nothing, lambda m, _: m.tuple_of(3)),
    b"q": (_unsigned(1), _Machine.put),  # BINPUT
    b"r": (_unsigned(4), _Machine.put),
    b"h": (_unsigned(1), _Machine.get),  # BINGET
    b"j": (_unsigned(4), _Machine.get),
    b"c": (_module_and_name, _Machine.name),  # GLOBAL
    b"Q": (_nothing, lambda m, _: m.load_storage()),  # BINPERSID
    b"R": (_nothing, lambda m, _: m.call()),  # REDUCE
    b"s": (_nothing, lambda m, _: m.set_item()),
    b"u": (_nothing, lambda m, _: m.set_items()),
    b"b": (_nothing, lambda m, _: m.build()),
}
