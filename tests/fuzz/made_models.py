# SPDX-License-Identifier: Apache-2.0
"""Small models, calibrations and thresholds, made here, of every format that oido reads."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import flatbuffers
import numpy as np

from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.models.calibration_file import Calibration, Evidence
from oido.models.model import Notes, Novelty
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.metadata_schema import IDENTIFIER, write, write_list
from oido.models.tflite.metadata_writer import annotate

WINDOW_SAMPLES = 160
LABELS = ("Dog", "Domestic animals, pets", "Siren")


def bare_tflite(heads: int = 1) -> bytes:
    """A window of waveform → scores of three labels, for each head."""
    rng = np.random.default_rng(0)
    writer = GraphWriter("made", batch=False)
    x = writer.input("waveform", (1, WINDOW_SAMPLES))
    outputs = {}
    for n in range(heads):
        weights = rng.normal(0, 0.1, (len(LABELS), WINDOW_SAMPLES)).astype(np.float32)
        dense = writer.dense(x, weights, np.zeros(len(LABELS), np.float32))
        outputs[f"head{n}"] = writer.sigmoid(dense)
    return writer.finish(outputs)


def tflite(heads: int = 1) -> bytes:
    """The same with all metadata that oido knows."""
    scores = ScoreCalibration((Sigmoid(1, 2, -1), None, Sigmoid(0.5, 1, 0, 0.1)))
    made = [
        Head(f"head{n}", LABELS, scores, (("Dog", 0.4),), 0.1, "what it is", "mean")
        for n in range(heads)
    ]
    notes = Notes({"head0": "max"}, 80, None, Novelty("head0", 0.2), {"clips": 3})
    facts = {"name": "made", "description": "d", "licence": "l", "author": "a", "notes": notes}
    return annotate(bare_tflite(heads), made, sample_rate_hz=16_000, **facts)


def with_zip(files: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A made model whose packed files are these; its labels are in head0_labels.txt."""
    whole = tflite()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as target:
        for name, content in files:
            target.writestr(name, content)
    return whole[: whole.index(b"PK\x03\x04")] + archive.getvalue()


def calibration() -> str:
    """A calibration.json of three classes."""
    scores = ScoreCalibration((Sigmoid(1, 2, -1), None, Sigmoid(0.5, 1, 0, 0.1)))
    made = Calibration("made", "0" * 64, "float32", WINDOW_SAMPLES, "head0", "mean", LABELS, scores)
    evidence = tuple(Evidence(n, 1, 5, "") for n in range(3))
    return Calibration(
        **{**vars(made), "thresholds": (("Dog", 0.4),), "evidence": evidence, "facts": {"x": [1]}}
    ).text()


def state_dict() -> bytes:
    """A .pt of two small tensors, assembled as torch.save writes it."""

    def text(value: str) -> bytes:
        data = value.encode()
        return b"X" + len(data).to_bytes(4, "little") + data

    def tensor(key: str, count: int) -> bytes:
        storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
        storage += b"K" + bytes([count]) + b"t"
        rest = b"K\x00(K" + bytes([count]) + b"t(K\x01t\x89ccollections\nOrderedDict\n)R"
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"Q" + rest + b"tR"

    program = b"\x80\x02}(" + text("classifier.5.weight") + tensor("0", 6)
    program += text("classifier.5.bias") + tensor("1", 3) + b"u."
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("made/data.pkl", program)
        archive.writestr("made/byteorder", b"little")
        archive.writestr("made/data/0", np.arange(6, dtype="<f4").tobytes())
        archive.writestr("made/data/1", np.ones(3, "<f4").tobytes())
        archive.writestr("made/version", b"3\n")
    return stream.getvalue()


def weights_h5(classes: int = 521, **dense: Any) -> bytes:
    """YAMNet's layout in HDF5, all zeros but for what is below a root, and so well compressed."""
    import h5py

    from oido.models.networks.yamnet import LAYERS

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:

        def add(path: str, shape: tuple[int, ...], **more: Any) -> None:
            facts = {"dtype": "f4", "compression": "gzip", "fillvalue": 0, **more}
            file.create_dataset(path, shape, **facts)

        for layer in LAYERS:
            first, height, width, last = layer.shape
            name = "depthwise_kernel" if layer.depthwise else "kernel"
            add(f"{layer.name}/{layer.name}/{name}:0", (height, width, last, first))
            for part in ("beta", "moving_mean", "moving_variance"):
                add(f"{layer.name}/bn/{layer.name}/bn/{part}:0", (layer.outputs,))
        add("logits/logits/kernel:0", (1024, classes), **dense)
        add("logits/logits/bias:0", (classes,))
    return stream.getvalue()


def onnx() -> bytes:
    """A made model as ONNX, which oido writes and does not read."""
    from oido.models.tflite.onnx import to_onnx

    return to_onnx(bare_tflite(), {})


def metadata_that_repeat(times: int, name_bytes: int = 0) -> bytes:
    """Metadata whose lists name one tensor so many times, and that tensor one file as often."""
    builder = flatbuffers.Builder(1 << 16)
    file = write(builder, "AssociatedFile", name="x" * name_bytes, type=2)
    files = write_list(builder, [file] * times)
    tensor = write(builder, "TensorMetadata", name="n" * name_bytes, associated_files=files)
    tensors = write_list(builder, [tensor] * times)
    graph = write(builder, "SubGraphMetadata", output_tensor_metadata=tensors)
    graphs = write_list(builder, [graph])
    builder.Finish(write(builder, "ModelMetadata", subgraph_metadata=graphs), IDENTIFIER)
    return bytes(builder.Output())
