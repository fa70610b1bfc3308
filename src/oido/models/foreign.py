# SPDX-License-Identifier: Apache-2.0
"""Models of other kinds than those that can be read: what each is, and which file to take.

Whoever looks for YAMNet finds it in many forms: a SavedModel or a TensorFlow.js folder of the
TensorFlow Hub, an archive of either, an ONNX or Core ML file. A sentence for each says what it is.
"""

from __future__ import annotations

import os
from pathlib import Path

_TAKE = (
    "which oido does not read; take the network's .tflite, or for YAMNet yamnet.h5 "
    "(oido models fetch yamnet)"
)
_ARCHIVE = "an archive; unpack it, and take the .tflite or yamnet.h5 that is in it"
_SAVED_MODEL = "a TensorFlow SavedModel"
_TFJS = "a TensorFlow.js model"

ENDINGS = {
    ".pb": f"part of {_SAVED_MODEL}, or a frozen graph",
    ".pbtxt": "a TensorFlow graph as text",
    ".json": _TFJS,
    ".tfjs": _TFJS,
    ".bin": f"weights of {_TFJS}, or of another program",
    ".index": "a TensorFlow checkpoint",
    ".ckpt": "a checkpoint",
    ".keras": "a whole Keras model",
    ".onnx": "an ONNX model",
    ".pth": "weights of PyTorch",
    ".safetensors": "weights as safetensors",
    ".mlmodel": "a Core ML model",
    ".mlpackage": "a Core ML model",
    ".task": "a MediaPipe bundle",
    ".zip": _ARCHIVE,
    ".gz": _ARCHIVE,
    ".tgz": _ARCHIVE,
    ".tar": _ARCHIVE,
}
"""Of files that hold a model for another program, in small letters, and what they are."""


def file(path: Path) -> str:
    """Of a file with one of `ENDINGS`: what it is, and what to take in its place."""
    what = ENDINGS[path.suffix.lower()]
    return what if what == _ARCHIVE else f"{what}, {_TAKE}"


def folder(path: Path) -> str:
    """Of a folder, likewise; a file in it that can be read is named."""
    names = sorted(os.listdir(path)) if os.access(path, os.R_OK) else []
    what = "no such model file: it is a folder"
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        what = f"{_SAVED_MODEL} folder"
    elif "model.json" in names:
        what = f"{_TFJS} (a folder with model.json)"
    readable = [n for n in names if n.lower().endswith((".tflite", ".h5", ".hdf5", ".pt"))]
    if readable:
        return f"{what}; take a file in it, such as {path / readable[0]}"
    return f"{what}, {_TAKE}"
