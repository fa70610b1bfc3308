# SPDX-License-Identifier: Apache-2.0
"""Reading .pt files: tensors come out as they are, and everything else is refused.

The files are assembled here, byte by byte, as torch.save writes them, so that no torch is needed.
"""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from oido.errors import ModelFormatError
from oido.models.networks.torch_file import read_state_dict
from tests.fuzz.mutations import mutate
from tests.signal.test_frontend_mn04 import models_folder

TYPES = {
    "<f8": "DoubleStorage",
    "<f4": "FloatStorage",
    "<f2": "HalfStorage",
    "<i8": "LongStorage",
    "<i4": "IntStorage",
    "<i2": "ShortStorage",
    "|i1": "CharStorage",
    "|u1": "ByteStorage",
}
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(value):
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value):
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def tensor(storage_type, key, count, offset, shape, strides):
    storage = tuple_of(
        text("storage"), b"ctorch\n" + storage_type + b"\n", text(key), text("cpu"), number(count)
    )
    arguments = tuple_of(
        storage + b"Q",
        number(offset),
        tuple_of(*map(number, shape)),
        tuple_of(*map(number, strides)),
        b"\x89",
        ORDERED_DICT,
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def plain(array, key):
    strides = [s // array.itemsize for s in array.strides]
    kind = TYPES[array.dtype.str].encode()
    return tensor(kind, key, array.size, 0, array.shape, strides)


def program(items, start=b"}"):
    """A dictionary of name → pickled value, by SETITEMS."""
    body = b"".join(text(name) + value for name, value in items.items())
    return b"\x80\x02" + start + b"q\x00(" + body + b"u."


def archive(pickled, storages, compression=zipfile.ZIP_STORED, **extra):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        for key, data in storages.items():
            file.writestr(f"archive/data/{key}", data)
        for name, data in extra.items():
            file.writestr(f"archive/{name}", data)
        file.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def file_of(arrays):
    items = {name: plain(a, str(k)) for k, (name, a) in enumerate(arrays.items())}
    storages = {str(k): a.tobytes() for k, a in enumerate(arrays.values())}
    return archive(program(items), storages)


def one_tensor(count=12, offset=0, shape=(3, 4), strides=(4, 1), storage=bytes(48), key="0"):
    return archive(
        program({"x": tensor(b"FloatStorage", key, count, offset, shape, strides)}), {"0": storage}
    )


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "features.0.weight": rng.standard_normal((8, 1, 3, 3)).astype(np.float32),
        "features.0.bias": rng.standard_normal(8).astype(np.float32),
        "steps": np.array(12_345, np.int64),
    }


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    read = read_state_dict(file_of({"x": array}))["x"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_names_order_and_scalars(arrays):
    read = read_state_dict(file_of(arrays))
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)


def test_an_ordered_dict_with_metadata():
    array = np.arange(6, dtype=np.float32)
    items = program({"x": plain(array, "0")}, start=ORDERED_DICT).removesuffix(b".")
    metadata = b"}" + text("_metadata") + ORDERED_DICT + b"s"
    read = read_state_dict(archive(items + metadata + b"b.", {"0": array.tobytes()}))
    assert list(read) == ["x"]


def test_views_of_one_storage():
    values = np.arange(12, dtype=np.float32)
    content = archive(
        program(
            {
                "transposed": tensor(b"FloatStorage", "0", 12, 0, (4, 3), (1, 4)),
                "tail": tensor(b"FloatStorage", "0", 12, 8, (4,), (1,)),
            }
        ),
        {"0": values.tobytes()},
    )
    read = read_state_dict(content)
    np.testing.assert_array_equal(read["transposed"], values.reshape(3, 4).T)
    np.testing.assert_array_equal(read["tail"], values[8:])


@pytest.mark.parametrize(
    "what",
    [
        {"offset": 1},
        {"shape": (3, 5)},
        {"strides": (5, 1)},
        {"strides": (-4, 1)},
        {"strides": (0, 0), "shape": (1 << 40, 1 << 7)},  # an expanded tensor
        {"shape": (1 << 47, 1 << 47), "strides": (0, 0)},
        {"shape": (0, 4)},
        {"shape": (3,)},
        {"shape": (1,) * 9, "strides": (1,) * 9},
        {"count": 13},
        {"count": -1},
        {"count": 1 << 60},
        {"storage": bytes(47)},
        {"key": "1"},
        {"key": "../data.pkl"},
        {"offset": 1 << 70},
    ],
)
def test_what_leaves_its_storage_is_refused(what):
    assert read_state_dict(one_tensor())["x"].shape == (3, 4)
    with pytest.raises(ModelFormatError):
        read_state_dict(one_tensor(**what))


HOSTILE = {
    "a call of the system": b"\x80\x02cposix\nsystem\n" + text("true") + b"\x85R.",
    "a builtin": b"\x80\x02cbuiltins\neval\n" + text("1") + b"\x85R.",
    "another function of torch": b"\x80\x02ctorch._utils\n_rebuild_parameter\n)R.",
    "a name within a name": b"\x80\x04" + text("os") + text("system") + b"\x93.",
    "an instance": b"\x80\x02(ios\nsystem\n.",
    "an ordered dict of something": b"\x80\x02ccollections\nOrderedDict\n"
    + tuple_of(tuple_of(text("a"), text("b")))
    + b"R.",
    "an extension": b"\x80\x02\x82\x01.",
    "a string in quotes": b"\x80\x02S'\\V'\n.",
    "a long number in digits": b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
    "a huge string": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "a huge eight-byte string": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
    "a memo never written": b"\x80\x02h\x05.",
    "an empty stack": b"\x80\x020.",
    "nothing": b"",
    "no stop": b"\x80\x02}",
    "a list": b"\x80\x02].",
    "a number": b"\x80\x02K\x01.",
    "a dictionary of numbers": b"\x80\x02}" + text("a") + b"K\x01s.",
    "a key that is no string": b"\x80\x02}K\x01K\x01s.",
    "two results": b"\x80\x02}}.",
    "an odd number of items": b"\x80\x02}(" + text("a") + b"u.",
    "a tuple whose hash takes years": b"\x80\x02})" + b"q\x01h\x01\x86" * 200 + b"K\x01s.",
    "a deep tuple": b"\x80\x02})" + b"\x85" * 100_000 + b"K\x01s.",
    "the memo's huge index read": b"\x80\x02}j\xff\xff\xff\xff.",
    "a storage of a function": b"\x80\x02"
    + tuple_of(text("storage"), b"ccollections\nOrderedDict\n", text("0"), text("cpu"), number(1))
    + b"Q.",
    "a strange persistent id": b"\x80\x02K\x01Q.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused(name):
    with pytest.raises(ModelFormatError):
        read_state_dict(archive(HOSTILE[name], {"0": bytes(48)}))


def test_a_huge_memo_index_costs_nothing():
    """The C unpickler of Python would allocate 64 GB here; and the program itself is valid."""
    tracemalloc.start()
    try:
        assert read_state_dict(archive(b"\x80\x02}r\xff\xff\xff\xff.", {})) == {}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_old_format_and_other_files_are_refused():
    for content in (b"", b"PK", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"TFL3" * 100):
        with pytest.raises(ModelFormatError, match=r"not a \.pt file"):
            read_state_dict(content)


def test_other_zips_are_refused(arrays):
    good = program({"x": plain(arrays["features.0.bias"], "0")})
    data = arrays["features.0.bias"].tobytes()
    with pytest.raises(ModelFormatError, match="compressed"):
        read_state_dict(archive(good, {"0": data}, zipfile.ZIP_DEFLATED))
    with pytest.raises(ModelFormatError, match="big-endian"):
        read_state_dict(archive(good, {"0": data}, byteorder=b"big"))
    assert list(read_state_dict(archive(good, {"0": data}, byteorder=b"little"))) == ["x"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("readme.txt", b"hello")
    with pytest.raises(ModelFormatError, match=r"no data\.pkl"):
        read_state_dict(buffer.getvalue())


def outcome(content):
    """1 if it was read, 0 if it was refused; anything else is an error of the test."""
    try:
        read = read_state_dict(content)
    except ModelFormatError:
        return 0
    assert all(isinstance(name, str) and a.nbytes <= len(content) for name, a in read.items())
    return 1


def test_damaged_files_and_programs(arrays):
    """2,000 mutants, half of them with a sound ZIP around a damaged pickle."""
    whole, other = file_of(arrays), bytes(range(256)) * 100
    items = {name: plain(a, str(k)) for k, (name, a) in enumerate(arrays.items())}
    storages = {str(k): a.tobytes() for k, a in enumerate(arrays.values())}
    pickled = program(items)
    read = 0
    tracemalloc.start()
    try:
        for seed in range(1_000):
            rng = np.random.default_rng(seed)
            read += outcome(mutate(whole, other, rng)[0])
            read += outcome(archive(mutate(pickled, other, rng)[0], storages))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert 0 < read < 1_000


def test_every_truncation_is_refused(arrays):
    whole = file_of(arrays)
    assert outcome(whole) == 1
    assert not any(outcome(whole[:n]) for n in range(len(whole) - 1))


@pytest.mark.slow
def test_damaged_copies_of_the_real_file():
    content = (models_folder() / "mn04_as_mAP_432.pt").read_bytes()
    assert len(read_state_dict(content)) == 312
    outcomes = [
        outcome(mutate(content, content, np.random.default_rng(seed))[0]) for seed in range(200)
    ]
    assert 0 in outcomes
