# SPDX-License-Identifier: Apache-2.0
"""A head as the page gets one by teaching, and the file that its modules write, run in Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oido.errors import ModelFormatError
from oido.server.page_files import WEB_FOLDER
from oido.training.head import Dense, EmbeddingHead

SOUNDS = ["Our doorbell", 'La puerta, "la vieja"']


def head_of(inputs: int, square_root: bool = True) -> EmbeddingHead:
    """A head of two sounds and what is none of them, sure of nothing."""
    dice = np.random.default_rng(inputs)
    weights = dice.normal(0, 0.2, (3, inputs)).astype(np.float32)
    dense = Dense(weights, dice.normal(0, 0.2, 3).astype(np.float32))
    return EmbeddingHead((*SOUNDS, "other"), (dense,), "softmax", square_root)


def written(folder: Path, base: bytes, head: EmbeddingHead, **options: Any) -> Path:
    """What `taughtModel` of core/head_export.js writes of a base's file and a head.

    Raises ModelFormatError where it refuses the base; skips the test without Node.js.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js (Debian: apt install nodejs)")
    core = folder / "core"  # as Node wants modules: with a package.json that says so
    shutil.copytree(WEB_FOLDER / "core", core, dirs_exist_ok=True)
    (core / "package.json").write_text('{"type": "module"}')
    (layer,) = head.layers
    described = {
        "weights": layer.weights.tolist(),
        "bias": layer.bias.tolist(),
        "squareRoot": head.square_root,
        "labels": list(head.classes[:-1]),
        "name": "my-sounds.tflite",
        "threshold": 0.5,
        **options,
    }
    (folder / "base.tflite").write_bytes(base)
    (folder / "head.json").write_text(json.dumps(described), encoding="utf-8")
    made = folder / "taught.tflite"
    made.unlink(missing_ok=True)
    script = Path(__file__).with_name("export_in_node.mjs")
    files = [core, folder / "base.tflite", folder / "head.json", made]
    command = [node, str(script), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if done.stdout:
        raise ModelFormatError(done.stdout.strip())
    return made
