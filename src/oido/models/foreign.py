# SPDX-License-Identifier: Apache-2.0
"""Models of other kinds than those that can be read: what each is, and which file to take.

Whoever looks for YAMNet finds it in many forms: a SavedModel or a TensorFlow.js folder of the
TensorFlow Hub, an archive of either, an ONNX or Core ML file. A sentence for each says what it is.
"""

from __future__ import annotations

import os
from pathlib import Path

from oido.messages import tr

_TAKE = tr(
    "which oido does not read; take the network's .tflite, or for YAMNet "
    "yamnet.h5 (oido models fetch yamnet)"
)
_ARCHIVE = tr("an archive; unpack it, and take the .tflite or yamnet.h5 that is in it")
_SAVED_MODEL = tr("a TensorFlow SavedModel")
_TFJS = tr("a TensorFlow.js model")

ENDINGS = {
    ".pb": tr("part of {saved_model}, or a frozen graph", saved_model=_SAVED_MODEL),
    ".pbtxt": tr("a TensorFlow graph as text"),
    ".json": _TFJS,
    ".tfjs": _TFJS,
    ".bin": tr("weights of {tfjs}, or of another program", tfjs=_TFJS),
    ".index": tr("a TensorFlow checkpoint"),
    ".ckpt": tr("a checkpoint"),
    ".keras": tr("a whole Keras model"),
    ".onnx": tr("an ONNX model"),
    ".pth": tr("weights of PyTorch"),
    ".safetensors": tr("weights as safetensors"),
    ".mlmodel": tr("a Core ML model"),
    ".mlpackage": tr("a Core ML model"),
    ".task": tr("a MediaPipe bundle"),
    ".zip": _ARCHIVE,
    ".gz": _ARCHIVE,
    ".tgz": _ARCHIVE,
    ".tar": _ARCHIVE,
}
"""Of files that hold a model for another program, in small letters, and what they are."""


def file(path: Path) -> str:
    """Of a file with one of `ENDINGS`: what it is, and what to take in its place."""
    what = ENDINGS[path.suffix.lower()]
    return what if what == _ARCHIVE else tr("{what}, {take}", what=what, take=_TAKE)


def folder(path: Path) -> str:
    """Of a folder, likewise; a file in it that can be read is named."""
    names = sorted(os.listdir(path)) if os.access(path, os.R_OK) else []
    what = tr("no such model file: it is a folder")
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        what = tr("{saved_model} folder", saved_model=_SAVED_MODEL)
    elif "model.json" in names:
        what = tr("{tfjs} (a folder with model.json)", tfjs=_TFJS)
    readable = [n for n in names if n.lower().endswith((".tflite", ".h5", ".hdf5", ".pt"))]
    if readable:
        return tr("{what}; take a file in it, such as {path}", what=what, path=path / readable[0])
    return tr("{what}, {take}", what=what, take=_TAKE)
