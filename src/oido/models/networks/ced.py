# SPDX-License-Identifier: Apache-2.0
"""CED-tiny and CED-mini (weights Apache-2.0) as whole TensorFlow Lite graphs: waveform to scores.

A vision transformer (Dosovitskiy et al. 2021) over patches of 16 × 16 of a log-mel image of 64
bands at 16 kHz, distilled on AudioSet by Dinkel et al. ("CED: Consistent ensemble distillation for
audio tagging", 2024; mAP 0.481 and 0.490). The front end is torchaudio's: frames of 512 samples
every 160, reflected at the ends, power, 64 mel bands to 8 kHz, decibels, and no lower than 120
below the loudest. Each block is x + attention(norm(x)), then x + mlp(norm(x)); norms' factors are
folded into the layers behind them in float64. The mean over patches is the embedding.

Nothing of this was run with the published weights; tests compare it with the same layers written
out in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F64
from oido.errors import ModelFormatError, OptionError
from oido.mel import hertz_mel_matrix, periodic_hann
from oido.messages import joined, tr
from oido.models.networks.mn04 import LayerWriter, classes_of
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.front_end import cut_frames

RATE_HZ = 16_000
_WINDOW, _HOP, _BANDS = 512, 160, 64
_PATCH, _HEAD_SIZE, _BLOCKS = 16, 64, 12
_BATCH_NORM_EPSILON, _BLOCK_EPSILON, _HEAD_EPSILON = 1e-5, 1e-6, 1e-5
_LEAST_POWER, _DECIBELS = 1e-10, 120.0
NAMES = {192: "CED-tiny", 256: "CED-mini"}
"""By the size of the embedding."""


_SHORTEST = _PATCH * _HOP
"""Samples of a window: what one column of patches covers."""


def name_of(state: Mapping[str, NDArray[Any]]) -> str:
    """As it is published: tiny or mini. Raises ModelFormatError for another size."""
    return NAMES[_size_of(state)].removeprefix("CED-")


def network(state: Mapping[str, NDArray[Any]], samples: int) -> bytes:
    """The .tflite of a window: f32[1, samples] at 16 kHz → scores f32[1, 527], embedding f32[1, D].

    state: the tensors of audiotransformer_tiny_mAP_4814.pt or audiotransformer_mini_mAP_4896.pt by
    their PyTorch names. Raises ModelFormatError for tensors that are missing, of another shape, or
    not finite; OptionError for a window that its positions do not reach over (10.1 s).
    """
    size = _size_of(state)
    net = _TransformerWriter(state, GraphWriter(NAMES[size], batch=False), NAMES[size])
    writer = net.writer
    waveform = writer.input("audio_clip", (1, samples))
    image = net.log_mel(writer.reshape(waveform, (samples,)), samples)  # [1, T, 64, 1]
    x = net.patches(image, size)  # [patches, D]
    for number in range(_BLOCKS):
        x = net.transformer_block(x, f"blocks.{number}", size)
    x = net.normalised(x, _BLOCK_EPSILON)
    x = net.scaled(x, net.tensor("norm.weight", (size,)), net.tensor("norm.bias", (size,)))
    embedding = writer.average(x, 0)
    scale, shift = (net.tensor(f"outputlayer.0.{part}", (size,)) for part in ("weight", "bias"))
    classes = classes_of(state, NAMES[size], "outputlayer.1.bias")
    normalised = net.normalised(embedding, _HEAD_EPSILON)
    logits = net.folded(normalised, "outputlayer.1", classes, scale, shift)
    return writer.finish([writer.sigmoid(logits), embedding])


def _size_of(state: Mapping[str, NDArray[Any]]) -> int:
    shape = state["patch_embed.proj.weight"].shape if "patch_embed.proj.weight" in state else ()
    if not shape or shape[0] not in NAMES:
        known = joined(tr(" and "), [f"{name} ({size})" for size, name in NAMES.items()])
        raise ModelFormatError(
            tr(
                "these are not the weights of a CED that is read, which are {known}: "
                "patch_embed.proj.weight is of shape {shape}",
                known=known,
                shape=list(shape),
            )
        )
    return int(shape[0])


class _TransformerWriter(LayerWriter):
    """Adds the layers of a transformer over rows [n, D]."""

    def log_mel(self, waveform: int, samples: int) -> int:
        """Waveform [samples] → normalised decibels [1, T, 64, 1], T = 1 + samples // 160."""
        writer, count = self.writer, 1 + samples // _HOP
        if samples < _SHORTEST or samples % _HOP:
            raise OptionError(
                tr(
                    "a window of this model is a multiple of {hop} samples, at least {shortest}",
                    hop=_HOP,
                    shortest=_SHORTEST,
                )
            )
        half = _WINDOW // 2
        reflected = writer.reflect(waveform, (half, half))
        frames = cut_frames(writer, reflected, count, _WINDOW, _HOP)
        magnitudes = writer.spectrum(
            writer.multiply(frames, writer.constant(periodic_hann(_WINDOW)))
        )
        bins_hz = np.linspace(0.0, RATE_HZ / 2, _WINDOW // 2 + 1)
        mel = hertz_mel_matrix(bins_hz, _BANDS, 0.0, RATE_HZ / 2).T.astype(np.float32)
        power = writer.multiply(magnitudes, magnitudes)
        energies = writer.dense(power, np.ascontiguousarray(mel), np.zeros(_BANDS, np.float32))
        floor = writer.constant(np.array([_LEAST_POWER], np.float32))
        logs = writer.log(writer.larger(energies, floor))
        decibels = writer.multiply(
            logs, writer.constant(np.array([10.0 / np.log(10.0)], np.float32))
        )
        highest = writer.maximum(writer.reshape(decibels, (1, count * _BANDS)))
        lowest = writer.subtract(highest, writer.constant(np.array([_DECIBELS], np.float32)))
        decibels = writer.larger(decibels, lowest)  # [T, 64]
        norm = {
            part: self.tensor(f"init_bn.1.{part}", (_BANDS,))
            for part in ("weight", "bias", "running_mean", "running_var")
        }
        if (norm["running_var"] < 0.0).any():
            raise ModelFormatError(tr("the variance init_bn.1.running_var is negative"))
        scale = norm["weight"] / np.sqrt(norm["running_var"] + _BATCH_NORM_EPSILON)
        image = self.scaled(decibels, scale, norm["bias"] - norm["running_mean"] * scale)
        return writer.reshape(image, (1, count, _BANDS, 1))

    def patches(self, image: int, size: int) -> int:
        """Patches of the image, where they stand added: [columns · 4, D]."""
        writer = self.writer
        columns, rows = writer.shape(image)[1] // _PATCH, _BANDS // _PATCH
        weights = self.tensor("patch_embed.proj.weight", (size, 1, _PATCH, _PATCH))  # bands first
        bias = self.tensor("patch_embed.proj.bias", (size,)).astype(np.float32)
        filters = weights.transpose(0, 3, 2, 1).astype(np.float32)
        x = writer.conv(image, filters, bias, stride=_PATCH, same_padding=False)
        found = self._state.get("time_pos_embed")
        longest = 0 if found is None or found.ndim != 4 else found.shape[3]
        time = self.tensor("time_pos_embed", (1, size, 1, longest))
        if columns > longest:
            seconds = longest * _PATCH * _HOP / RATE_HZ
            raise OptionError(
                tr("a window of this model is {seconds:g} s at the most", seconds=seconds)
            )
        time = time[..., :columns].transpose(0, 3, 2, 1)  # [1, columns, 1, D]
        band = self.tensor("freq_pos_embed", (1, size, rows, 1)).transpose(0, 3, 2, 1)
        x = writer.add(x, writer.constant((time + band).astype(np.float32)))
        return writer.reshape(x, (columns * rows, size))

    def transformer_block(self, x: int, name: str, size: int) -> int:
        """x + attention(norm(x)), then x + mlp(norm(x))."""
        writer = self.writer
        x = writer.add(x, self._attention(self.normalised(x, _BLOCK_EPSILON), name, size))
        scale, shift = (self.tensor(f"{name}.norm2.{part}", (size,)) for part in ("weight", "bias"))
        inside = self.folded(
            self.normalised(x, _BLOCK_EPSILON), f"{name}.mlp.fc1", 4 * size, scale, shift
        )
        return writer.add(x, self.dense(writer.gelu(inside), f"{name}.mlp.fc2", size))

    def _attention(self, x: int, name: str, size: int) -> int:
        """Each head's values, by the softmax of queries and keys: [n, D]."""
        writer, count, heads = self.writer, self.writer.shape(x)[0], size // _HEAD_SIZE
        scale, shift = (self.tensor(f"{name}.norm1.{part}", (size,)) for part in ("weight", "bias"))
        scales = np.ones(3 * size)
        scales[:size] = _HEAD_SIZE**-0.5  # of queries
        rows = self.folded(x, f"{name}.attn.qkv", 3 * size, scale, shift, scales)
        apart = writer.transpose(writer.reshape(rows, (count, 3 * heads, _HEAD_SIZE)), (1, 0, 2))
        queries, keys, values = (
            writer.cut(apart, (part * heads, 0, 0), (heads, count, _HEAD_SIZE)) for part in range(3)
        )
        shares = writer.softmax(writer.matrix_product(queries, keys, transposed=True))
        mixed = writer.transpose(writer.matrix_product(shares, values), (1, 0, 2))
        return self.dense(writer.reshape(mixed, (count, size)), f"{name}.attn.proj", size)

    def normalised(self, x: int, epsilon: float) -> int:
        """Rows less their mean, by their standard deviation."""
        writer = self.writer
        centred = writer.subtract(x, writer.average(x, 1))
        variance = writer.average(writer.multiply(centred, centred), 1)
        shifted = writer.add(variance, writer.constant(np.array([epsilon], np.float32)))
        return writer.multiply(centred, writer.reciprocal_sqrt(shifted))

    def scaled(self, x: int, scale: F64, shift: F64) -> int:
        """Each column by its factor, and its summand added."""
        writer = self.writer
        product = writer.multiply(x, writer.constant(scale.astype(np.float32)))
        return writer.add(product, writer.constant(shift.astype(np.float32)))

    def folded(
        self, x: int, name: str, out: int, scale: F64, shift: F64, scales: F64 | None = None
    ) -> int:
        """A linear layer of ``x · scale + shift``; scales: of its outputs."""
        weights = self.tensor(f"{name}.weight", (out, len(scale)))
        bias = self.tensor(f"{name}.bias", (out,)) + weights @ shift
        of_outputs = np.ones(out) if scales is None else scales
        folded = weights * scale * of_outputs[:, None]
        return self.writer.dense(
            x, folded.astype(np.float32), (bias * of_outputs).astype(np.float32)
        )
