# SPDX-License-Identifier: Apache-2.0
"""The reader of yamnet.h5, the original YAMNet's weights (extra ``oido[h5]``).

The file is a Keras weights file in HDF5, as `Model.save_weights` of Keras 2 wrote it: a group per
layer, and inside it one dataset per weight under the weight's whole name. The layers are named in
tensorflow/models, research/audioset/yamnet/yamnet.py; the full paths are those that
w-hc/torch_audioset, tf_2_torch/convert_yamnet.py, reads (and it checks that there are no others)::

    layer1/conv/layer1/conv/kernel:0                                f32[3, 3, 1, 32]
    layer1/conv/bn/layer1/conv/bn/{beta,moving_mean,moving_variance}:0          f32[32]
    layerN/depthwise_conv/layerN/depthwise_conv/depthwise_kernel:0  f32[3, 3, channels, 1]
    layerN/depthwise_conv/bn/layerN/depthwise_conv/bn/…             f32[channels]
    layerN/pointwise_conv/layerN/pointwise_conv/kernel:0            f32[1, 1, channels, out]
    layerN/pointwise_conv/bn/layerN/pointwise_conv/bn/…             f32[out]
    logits/logits/{kernel,bias}:0                                   f32[1024, 521], f32[521]

with N from 2 to 14. Only the ends of the paths are asked for, because a network built by a later
yamnet.py names its dense layer otherwise, and a whole saved model has a folder above the layers.
"""

from __future__ import annotations

import importlib
import io
import math
from typing import Any

import numpy as np

from oido.arrays import F64
from oido.errors import ModelFormatError, needs_extra
from oido.messages import tr
from oido.models.damage import refuse_damage
from oido.models.networks.yamnet import EMBEDDING_DIM, LAYERS, Convolution, Layer, YamNetWeights

BATCH_NORM_EPSILON = 1e-4
"""tensorflow/models, research/audioset/yamnet/params.py, as are: no gamma, but a beta."""

_MARK = b"\x89HDF\r\n\x1a\n"
_NORM = ("beta", "moving_mean", "moving_variance")
_MOST_CLASSES = 10_000
_CHUNK_VALUES = 1 << 20
"""HDF5 unpacks a whole chunk at a time, and a chunk may be larger than its dataset."""


def from_h5(content: bytes) -> YamNetWeights:
    """The weights in yamnet.h5, batch normalisation folded in.

    A dataset is found by the end of its path; its shape must be YAMNet's. Raises ModelFormatError
    for another or a damaged file, and MissingExtraError without h5py.
    """
    with needs_extra(tr("Keras weights (.h5) need h5py; install it with: pip install 'oido[h5]'")):
        h5py: Any = importlib.import_module("h5py")
    if not content.startswith(_MARK):
        raise ModelFormatError(tr("not an HDF5 file (no HDF mark), so it is no yamnet.h5"))
    damage = refuse_damage(tr("the weights file is damaged or cut short"))
    # In memory, so that a fault of reading is one of the content.
    with damage, np.errstate(all="ignore"), h5py.File(io.BytesIO(content), "r") as file:
        return _Weights(h5py, file).all()


class _Weights:
    """The datasets of one file by their paths, and YAMNet's layers made of them."""

    def __init__(self, h5py: Any, file: Any) -> None:
        self._datasets: dict[str, Any] = {}

        def keep(path: str, entry: Any) -> None:
            if isinstance(entry, h5py.Dataset):
                self._datasets["/" + path.removesuffix(":0")] = entry

        file.visititems(keep)

    def all(self) -> YamNetWeights:
        dense, classes = self._dense()
        kernel = self._array(f"{dense}/kernel", (EMBEDDING_DIM, classes))
        return YamNetWeights(
            tuple(self._convolution(layer) for layer in LAYERS),
            kernel.T.astype(np.float32, order="C"),
            self._array(f"{dense}/bias", (classes,)).astype(np.float32),
            "relu",
        )

    def _convolution(self, layer: Layer) -> Convolution:
        """Kernel · s and beta − mean · s, where s = gamma / √(variance + epsilon), in float64."""
        norm = {
            part: self._array_named(f"{layer.name}/bn/{part}", (layer.outputs,)) for part in _NORM
        }
        if (norm["moving_variance"] < 0).any():
            raise ModelFormatError(tr("{name}/bn: a variance is below zero", name=layer.name))
        scale = 1.0 / np.sqrt(norm["moving_variance"] + BATCH_NORM_EPSILON)
        if self._paths(f"{layer.name}/bn/gamma"):  # the official file has none
            scale = scale * self._array_named(f"{layer.name}/bn/gamma", (layer.outputs,))
        bias = norm["beta"] - norm["moving_mean"] * scale
        first, height, width, last = layer.shape
        name = "depthwise_kernel" if layer.depthwise else "kernel"
        # [height, width, channels, 1] or [height, width, in, out]; the last comes to the front
        kernel = self._array_named(f"{layer.name}/{name}", (height, width, last, first))
        along = scale if layer.depthwise else scale[:, None, None, None]
        folded = kernel.transpose(3, 0, 1, 2) * along
        return Convolution(
            folded.astype(np.float32, order="C"),
            bias.astype(np.float32),
            layer.stride,
            layer.depthwise,
        )

    def _dense(self) -> tuple[str, int]:
        """Path and classes of the one layer with a two-dimensional kernel, whatever its name."""
        found = [
            path.removesuffix("/kernel")
            for path, dataset in self._datasets.items()
            if path.endswith("/kernel") and len(dataset.shape or ()) == 2
        ]
        if len(found) != 1 or f"{found[0]}/bias" not in self._datasets:
            raise ModelFormatError(
                tr("YAMNet has one dense layer, and this file {n_found}", n_found=len(found))
            )
        classes = int(self._datasets[f"{found[0]}/kernel"].shape[1])
        if not 1 <= classes <= _MOST_CLASSES:
            raise ModelFormatError(tr("{classes} classes make no sense", classes=classes))
        return found[0], classes

    def _paths(self, ending: str) -> list[str]:
        return [path for path in self._datasets if path.endswith("/" + ending)]

    def _array_named(self, ending: str, shape: tuple[int, ...]) -> F64:
        paths = self._paths(ending)
        if len(paths) != 1:
            raise ModelFormatError(
                tr(
                    "it has {n_paths} weights named {ending}, and YAMNet one",
                    n_paths=len(paths),
                    ending=ending,
                )
            )
        return self._array(paths[0], shape)

    def _array(self, path: str, shape: tuple[int, ...]) -> F64:
        """One dataset as f64; what it says of itself is checked before it is read."""
        dataset = self._datasets[path]
        if dataset.shape != shape or dataset.dtype.kind != "f":
            raise ModelFormatError(
                tr(
                    "{path}: {dtype}{shape}, and YAMNet has float32{shape_2}",
                    path=path,
                    dtype=dataset.dtype,
                    shape=list(dataset.shape or ()),
                    shape_2=list(shape),
                )
            )
        if dataset.external is not None or dataset.is_virtual:
            raise ModelFormatError(tr("{path}: its numbers are kept in another file", path=path))
        if math.prod(dataset.chunks or ()) > max(dataset.size, _CHUNK_VALUES):
            raise ModelFormatError(tr("{path}: its chunks are larger than its numbers", path=path))
        return np.asarray(dataset[()], np.float64)
