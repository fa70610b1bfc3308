# SPDX-License-Identifier: Apache-2.0
"""Two networks as one graph, for a head that learns from both: one waveform feeds them.

YAMNet hears 0.975 s at 16 kHz, mn04 up to 10 s at 32 kHz. The graph's window is the longer one,
9.6 s at 32 kHz: mn04 hears all of it, and YAMNet ten tiles of 0.96 s, at half the rate. Of the
tiles there are the mean, in which those that are faint beside the loudest weigh little, and the
largest value of each dimension. Beside that stands what mn04 says (`oido.models.tflite.evidence`).

Both networks end in images whose columns are 0.32 s: thirty of them in a window, at the same
times. The same numbers of each column are a further output, so that a head says when, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from oido.arrays import F32
from oido.errors import OptionError
from oido.messages import tr
from oido.models.loading import load_model
from oido.models.model import AudioModel, EnsembleNetwork, LogMelNetwork, MnNetwork, WholeNetwork
from oido.models.tflite.framewise import FramewiseWriter
from oido.models.tflite.front_end import cut_frames, log_mel, mn_log_mel

TILES = 10
"""Of the first network, in a window."""

MEAN_SCALE, LARGEST_SCALE = 0.95, 0.70
"""At which square roots of the first network's two parts spread as far as the second's embedding,
over everyday and environmental sounds; `benchmarks/evidence.py` compares other shares."""

QUIET = 1e-4
"""A tile of this share of the loudest one's power weighs half: 40 dB below it."""

_TAPS, _BLOCK, _KAISER = 191, 32, 8.0
"""Of the filter before every second sample is left out, and samples of its output made at once."""


def as_one_network(model: AudioModel) -> AudioModel:
    """An ensemble as one model whose embedding is what both networks say of a window of 9.6 s.

    Its scores are the second network's own. Other models are as they are. Raises OptionError for
    an ensemble of other networks than YAMNet at half the rate of mn04.
    """
    pair = model.network
    if not isinstance(pair, EnsembleNetwork):
        return model
    first, second = pair.first.network, pair.second.network
    rates = [each.windows.sample_rate_hz for each in (pair.first, pair.second)]
    is_known = isinstance(first, LogMelNetwork) and isinstance(second, MnNetwork)
    if not is_known or 2 * rates[0] != rates[1]:
        raise OptionError(
            tr("{name} is two networks that no one graph can be made of", name=model.name)
        )
    assert isinstance(first, LogMelNetwork)
    tile = first.front_end.patch_frames * first.front_end.hop_samples
    longer = load_model(pair.second.path, window_seconds=TILES * tile / rates[0])
    assert isinstance(longer.network, MnNetwork)
    content = _JointWriter(tr("two networks"), batch=False).both(first, longer.network)
    return replace(
        model,
        heads=pair.second.heads,
        windows=longer.windows,
        network=WholeNetwork(content, (0,), embedding=1, is_file=False, parts=2),
    )


def half_band_filter() -> F32:
    """f32[191]: a low pass at a quarter of the rate (Kaiser's window), 80 dB down beyond 0.264."""
    n = np.arange(_TAPS) - _TAPS // 2
    taps = np.sinc(n / 2) / 2 * np.kaiser(_TAPS, _KAISER)
    return np.asarray(taps / taps.sum(), np.float32)


class _JointWriter(FramewiseWriter):
    """A graph of both networks, from the waveform on."""

    def both(self, first: LogMelNetwork, second: MnNetwork) -> bytes:
        """f32[window] → scores of the second [1, C], evidence [1, D] and the columns' [30, D]."""
        waveform = self.input("audio_clip", (second.front_end.window_samples,))
        half = self.halved(waveform)
        tiles = self._embedded_tiles(first, half)
        image = mn_log_mel(self, waveform, second.front_end)
        scores, pooled = self._grafted(second.content, image)
        weights = self._weights_of_tiles(half)
        columns = self._rows_of(self._of_columns(tiles, axis=2))
        tiles = self._rows_of(tiles)
        mean = self.average(self.multiply(tiles, weights), axis=0)
        largest = self.maximum(tiles, axis=0)
        further = self._further(pooled)
        evidence = self._joined([mean, largest], pooled, further)
        images = self._pooled_images()
        means = [pooled, *(tensor for tensor, _ in further if tensor in images)]
        of_columns = {mean: columns, largest: columns}
        of_columns |= {tensor: self._of_columns(tensor, axis=1) for tensor in means}
        rows = self._repeated(of_columns, [evidence], self.shape(columns)[0])
        assert rows is not None
        return self.finish([scores, evidence, rows[0]])

    def halved(self, waveform: int) -> int:
        """f32[n] → f32[n / 2], every second sample of what a low pass leaves; n: of 64 samples.

        A block of 32 samples is a row of a matrix product.
        """
        samples, half = self.shape(waveform)[0], _TAPS // 2
        length = -(-(2 * _BLOCK + _TAPS - 1) // (2 * _BLOCK)) * 2 * _BLOCK
        count = samples // (2 * _BLOCK)
        padded = self.pad(waveform, (half, length - 2 * _BLOCK - half))
        blocks = cut_frames(self, padded, count, length, 2 * _BLOCK)
        taps, weights = half_band_filter(), np.zeros((_BLOCK, length), np.float32)
        for number, row in enumerate(weights):
            row[2 * number : 2 * number + _TAPS] = taps
        low = self.dense(blocks, weights, np.zeros(_BLOCK, np.float32))
        return self.reshape(low, (count * _BLOCK,))

    def _embedded_tiles(self, network: LogMelNetwork, waveform: int) -> int:
        """The first network's embeddings of all tiles, as it makes them."""
        tile = network.front_end
        whole = replace(tile, patch_frames=TILES * tile.patch_frames)
        missing = whole.patch_samples - self.shape(waveform)[0]
        patch = log_mel(self, self.pad(waveform, (0, missing)), whole, network.graph)
        bands = self.shape(patch)[-1]
        tiles = self.reshape(patch, (TILES, tile.patch_frames, bands))
        return self._grafted(network.graph.network, tiles)[-1]

    def _grafted(self, content: bytes, x: int) -> list[int]:
        """A network behind a batch of any size, which its tensors then have in the file."""
        before, batch = len(self._graph.operators), self.shape(x)[0]
        outputs = self.graft(content, x)
        for op in self._graph.operators[before:]:
            for tensor in (self._graph.tensors[int(t)] for t in op.outputs):
                tensor.shape = np.array([batch, *tensor.shape[1:]], np.int32)
        return outputs

    def _rows_of(self, tensor: int) -> int:
        """[n, 1, 1, D] or [n, D], of any type → float32 [n, D]."""
        rows, shape = self._floats(tensor), self.shape(tensor)
        return rows if len(shape) == 2 else self.reshape(rows, (shape[0], shape[-1]))

    def _weights_of_tiles(self, waveform: int) -> int:
        """[tiles, 1], of a mean of 1: near 0 for what is faint beside the loudest tile."""
        tiles = self.reshape(waveform, (TILES, self.shape(waveform)[0] // TILES))
        powers = self.average(self.multiply(tiles, tiles))
        loudest = self.maximum(powers, axis=0)
        floor = self.add(self._times(loudest, QUIET), self._number(1e-12))
        # Of digital silence all weigh alike.
        shares = self.divide(self.add(powers, self._number(1e-12)), self.add(powers, floor))
        return self.divide(shares, self.average(shares, axis=0))

    def _joined(
        self, of_tiles: Sequence[int], pooled: int, further: Sequence[tuple[int, float]]
    ) -> int:
        """What both say, side by side: f32[1, D]."""
        mean, largest = (
            self._times(self.sqrt(self.relu(values)), scale)
            for values, scale in zip(of_tiles, (MEAN_SCALE, LARGEST_SCALE))
        )
        others = [self._times(self._row(tensor), scale) for tensor, scale in further]
        return self.side_to_side([mean, self._row(pooled), *others, largest])

    def _of_columns(self, tensor: int, axis: int) -> int:
        """A mean over images, of each column of them: float32 [n · columns, …], as its own rows.

        axis: of the frequencies in the image.
        """
        image = self._pooled_images()[tensor]
        shape = list(self.shape(image))
        del shape[axis]
        mean = self._tensor_like(tensor, tuple(shape), "columns")
        axes = self.constant(np.array([axis], np.int32))
        self._add("MEAN", [image, axes], (), "ReducerOptions", output=mean, keepDims=False)
        rows = (shape[0] * shape[1], *self.shape(tensor)[1:])
        return self.reshape(self._floats(mean), rows)

    def _times(self, x: int, factor: float) -> int:
        return self.multiply(x, self._number(factor))

    def _number(self, value: float) -> int:
        return self.constant(np.array([value], np.float32))
