# SPDX-License-Identifier: Apache-2.0
"""Small files that would be large in memory: each is refused in a sentence, and memory stays flat.

Each is loaded in a process of its own, whose peak is compared with that of one that loads a sound
model.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from oido.errors import ModelFormatError, OptionError
from oido.models.calibration_file import Calibration
from oido.models.loading import load_model
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.packing import pack
from tests.fuzz import made_models

linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is Linux's to say")
MOST_MORE_MB = 300
CHILD = """
import json, re, sys
from pathlib import Path
from oido.errors import OidoError
from oido.models.loading import load_model
said = "sound"
try:
    load_model(sys.argv[1])
except OidoError as error:
    said = f"{type(error).__name__}: {error}"
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([said, int(peak[1]) / 1e3]))
"""

ONE_LABEL = b"Dog\nDomestic animals, pets\nSiren"
LABELS_FILE = "head0_labels.txt"
SOUND = [
    (LABELS_FILE, ONE_LABEL),
    ("head0_calibration.csv", b"1,2,-1\n\n0.5,1,0,0.1"),
    ("head0_thresholds.csv", b"Dog,0.4"),
]


def loaded(path: Path) -> tuple[str, float]:
    """What was said of it, and the peak in MB."""
    command = [sys.executable, "-c", CHILD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    said, peak = json.loads(done.stdout)
    return said, peak


def lying_zip() -> bytes:
    """A member that says that it has three bytes, and unpacks to 600 MB."""
    content = made_models.with_zip([(LABELS_FILE, bytes(600 << 20))])
    size = (600 << 20).to_bytes(4, "little")
    assert content.count(size) == 2
    return content.replace(size, (3).to_bytes(4, "little"))


def many_members(n: int = 200_000) -> bytes:
    return made_models.with_zip([(f"{i}", b"") for i in range(n)], zipfile.ZIP_STORED)


def repeated_graph(kind: str) -> bytes:
    """A .tflite whose lists point at one thing from very many places."""
    builder = flatbuffers.Builder(1 << 16)
    name = builder.CreateString("n" * 1_000_000)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    tensor = schema.TensorEnd(builder)

    def vector(offset: int, times: int) -> int:
        builder.StartVector(4, times, 4)
        for _ in range(times):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    tensors = vector(tensor, 100_000 if kind == "tensors" else 1_000)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    graphs = vector(graph, 100_000 if kind == "graphs" else 1)
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def repeated_metadata(times: int, name_bytes: int) -> bytes:
    raw = made_models.metadata_that_repeat(times, name_bytes)
    return TfliteGraph(made_models.bare_tflite()).with_metadata(raw)


def huge_shape() -> bytes:
    graph = TfliteGraph(made_models.tflite())
    graph._graph.tensors[0].shape = np.array([1, 2**31 - 1], np.int32)
    return pack(graph._model)


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "labels of 600 MB": (
        "larger than 4 MB",
        lambda: made_models.with_zip([(LABELS_FILE, b"a\n" * (300 << 20))]),
    ),
    "a member that lies of its size": ("damaged|labels|larger", lying_zip),
    "bzip2": (
        "packed in a strange way",
        lambda: made_models.with_zip([(LABELS_FILE, bytes(600 << 20))], zipfile.ZIP_BZIP2),
    ),
    "200,000 members": ("list of files packed in the model is too long", many_members),
    "one tensor 100,000 times": (
        "names are longer than the file",
        lambda: repeated_graph("tensors"),
    ),
    "one graph 100,000 times": ("more than the file can hold", lambda: repeated_graph("graphs")),
    "metadata of one name": (
        "the same thing too many times",
        lambda: repeated_metadata(1_000, 50_000),
    ),
    "metadata of a million": (
        r"a list of|larger than a megabyte",
        lambda: repeated_metadata(250_000, 1),
    ),
    "a shape of gigabytes": ("more than a gigabyte", huge_shape),
}


@pytest.fixture(scope="module")
def usual_mb(tmp_path_factory: pytest.TempPathFactory) -> float:
    path = tmp_path_factory.mktemp("usual") / "sound.tflite"
    path.write_bytes(made_models.tflite())
    said, peak = loaded(path)
    assert said == "sound"
    return peak


@linux
@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_and_takes_little(name: str, usual_mb: float, tmp_path: Path) -> None:
    says, make = BOMBS[name]
    path = tmp_path / "bomb.tflite"
    path.write_bytes(make())
    assert path.stat().st_size < 20e6
    said, peak = loaded(path)
    assert said.startswith("ModelFormatError: ")
    with pytest.raises(ModelFormatError, match=says):
        load_model(path)
    assert peak < usual_mb + MOST_MORE_MB, f"{name}: {said}: {peak:.0f} MB"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": 100_000}, "classes make no sense"),
        ({"maxshape": (None, None), "chunks": (1024, 400_000)}, "chunks are larger"),
    ],
)
@linux
@pytest.mark.slow
def test_a_bomb_of_weights(
    change: dict[str, object], says: str, usual_mb: float, tmp_path: Path
) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "bomb.h5"
    path.write_bytes(made_models.weights_h5(**change))
    said, peak = loaded(path)
    assert says in said
    assert peak < usual_mb + MOST_MORE_MB, f"{said}: {peak:.0f} MB"


def test_a_made_model_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "made.tflite"
    for heads in (1, 3):
        path.write_bytes(made_models.tflite(heads))
        assert len(load_model(path).heads) == heads
    assert load_model(path).labels == made_models.LABELS


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([(LABELS_FILE, ONE_LABEL), (LABELS_FILE, ONE_LABEL)], f"{LABELS_FILE} is packed .* twice"),
        ([(LABELS_FILE, b"x\n" * 100_001)], "more than 100,000 lines"),
        ([*SOUND, ("oido.json", b'{"a":' * 100_000)], r"oido\.json in the model"),
        ([("other.zip", b"")], "not packed in it|no label file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_packed_files_that_make_no_sense(
    files: list[tuple[str, bytes]], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(made_models.with_zip(files))
    with pytest.raises(ModelFormatError, match=says):
        load_model(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_packed_files_that_are_not_read_may_be_anything(tmp_path: Path) -> None:
    """A ZIP in the ZIP, names that lead elsewhere, large files of other programs, of one name."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr(LABELS_FILE, "no label")
    others = [
        ("in.zip", inner.getvalue()),
        ("../../x", b"x"),
        ("big", bytes(50 << 20)),
        ("big", b""),
    ]
    rest = [
        (LABELS_FILE, b"Dog\x1b[2J\nDomestic animals, pets\r\nSi\rren"),
        ("head0_calibration.csv", b"1,2,-1\n\n0.5,1,0,0.1"),
    ]
    path = tmp_path / "m.tflite"
    path.write_bytes(made_models.with_zip([*others, *rest]))
    with pytest.raises(ModelFormatError, match=r"head0_thresholds\.csv is not packed"):
        load_model(path)
    path.write_bytes(
        made_models.with_zip([*others, *rest, ("head0_thresholds.csv", b"Dog\x1b[2J,1")])
    )
    assert load_model(path).labels == ("Dog\x1b[2J", "Domestic animals, pets", "Si\rren")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "damaged"),
        (made_models.calibration().replace("-1.0", "9" * 400), "damaged"),
        (made_models.calibration().replace("-1.0", "1e999"), "finite"),
        ("{}" + " " * (9 << 20), "more than 8 MB"),
    ],
)
def test_calibrations_without_end_are_told(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(OptionError, match=says):
        Calibration.read(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device without an end")
def test_a_device_without_an_end_is_no_calibration() -> None:
    with pytest.raises(OptionError, match="more than 8 MB"):
        Calibration.read("/dev/zero")
