# SPDX-License-Identifier: Apache-2.0
"""Both networks in one graph: what each says of a window is what it says by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soxr

from oido.arrays import F32
from oido.errors import OptionError
from oido.inference.predictor import Predictor
from oido.models.joint import (
    LARGEST_SCALE,
    MEAN_SCALE,
    QUIET,
    TILES,
    as_one_network,
    half_band_filter,
)
from oido.models.loading import ensemble, load_model
from oido.models.model import AudioModel, EnsembleNetwork, WholeNetwork
from oido.models.tflite.evidence import with_evidence
from oido.runtime.litert import WholeRuntime
from tests.signal.sounds import noise, sine

WINDOW, TILE, COLUMNS = 307_200, 15_360, 30
FIRST, SECOND = 1_024, 384


def sounds() -> dict[str, F32]:
    """Windows of 9.6 s: noise, a tone in one half, silence, and two seconds that are repeated."""
    half = np.zeros(WINDOW, np.float32)
    half[WINDOW // 2 :] = sine(700.0, 32_000, WINDOW // 2) * 0.3
    short = np.concatenate([noise(64_000, level=0.1, seed=3), np.zeros(64_000, np.float32)])
    return {
        "noise": noise(WINDOW, level=0.2),
        "half": half + noise(WINDOW, level=1e-3, seed=1),
        "silence": np.zeros(WINDOW, np.float32),
        "short": np.resize(short, WINDOW),
    }


def of_tiles(model: AudioModel, waveform: F32) -> tuple[F32, F32]:
    """f32[10, 1024] embeddings of YAMNet by itself, and f32[10, 1] weights."""
    half = soxr.resample(waveform, 32_000, 16_000).astype(np.float32)
    padded = np.pad(half, (0, (TILES - 1) * TILE + 15_600 - len(half)))
    embeddings = Predictor.of(model).predict(padded, TILE).embeddings
    powers = (half.reshape(TILES, TILE) ** 2).mean(axis=1, keepdims=True)
    shares = (powers + 1e-12) / (powers + QUIET * powers.max() + 1e-12)
    return embeddings, shares / shares.mean()


def evidence_of(pair: EnsembleNetwork, waveform: F32) -> F32:
    """What a head gets of a window, by each network for itself: f32[1, D]."""
    embeddings, weights = of_tiles(pair.first, waveform)
    longer = load_model(pair.second.path, window_seconds=9.6)
    beside = Predictor.of(with_evidence(longer)).predict(waveform, 153_600).embeddings
    mean = MEAN_SCALE * np.sqrt((embeddings * weights).mean(axis=0, keepdims=True))
    largest = LARGEST_SCALE * np.sqrt(embeddings.max(axis=0, keepdims=True))
    return np.concatenate([mean, beside, largest], axis=1).astype(np.float32)


def pair_of(model: AudioModel) -> EnsembleNetwork:
    assert isinstance(model.network, EnsembleNetwork)
    return model.network


@pytest.mark.usefixtures("mn04_is_here")
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_evidence_is_what_both_networks_say(precision: str) -> None:
    both = load_model("ensemble", precision=precision)  # type: ignore[arg-type]
    joined = as_one_network(both)
    predictor = Predictor.of(joined)
    for name, waveform in sounds().items():
        found = predictor.predict(waveform, joined.windows.hop_samples)
        expected = evidence_of(pair_of(both), waveform)
        assert found.embeddings.shape == expected.shape
        difference = np.abs(found.embeddings - expected)
        # A quantised network rounds to steps, and a rounding before may move it to the next one.
        assert difference.mean() < (1e-3 if precision == "float32" else 2e-2), name
        assert difference.max() < (0.02 if precision == "float32" else 0.6), name
        assert found.scores.shape == (1, 527)


@pytest.mark.usefixtures("mn04_is_here")
def test_the_parts_of_a_window_are_its_columns_in_their_order() -> None:
    both = load_model("ensemble", precision="float32")
    joined = as_one_network(both)
    assert isinstance(joined.network, WholeNetwork)
    runtime = WholeRuntime(joined.network.content, (2,), embedding=1)
    waveform = sounds()["half"]
    outputs = runtime.run(waveform[None])
    rows = outputs.scores.reshape(COLUMNS, -1)
    assert rows.shape[1] == outputs.embeddings.shape[1]
    embeddings, _ = of_tiles(pair_of(both).first, waveform)
    of_first = (rows[:, :FIRST] / MEAN_SCALE) ** 2
    np.testing.assert_allclose(
        of_first.reshape(TILES, 3, FIRST).mean(axis=1), embeddings, atol=2e-2
    )
    np.testing.assert_allclose(
        rows[:, -FIRST:] / LARGEST_SCALE, rows[:, :FIRST] / MEAN_SCALE, atol=1e-5
    )
    second = slice(FIRST, FIRST + SECOND)
    np.testing.assert_allclose(
        rows[:, second].mean(axis=0), outputs.embeddings[0, second], atol=1e-4
    )
    # The tone is in the later half, and both networks' columns say so.
    for part in (slice(0, FIRST), second):
        early, late = rows[:13, part].mean(axis=0), rows[17:, part].mean(axis=0)
        within = rows[17:, part].std(axis=0).mean()
        assert np.abs(late - early).mean() > within


@pytest.mark.usefixtures("mn04_is_here")
def test_its_windows_are_mn04s_and_whole_tiles() -> None:
    joined = as_one_network(load_model("ensemble"))
    windows = joined.windows
    assert (windows.sample_rate_hz, windows.window_samples) == (32_000, WINDOW)
    assert (windows.hop_samples, windows.repeat_pause_samples) == (WINDOW // 2, 64_000)
    assert as_one_network(joined) is joined


def test_other_pairs_and_other_models(model: AudioModel) -> None:
    assert as_one_network(model) is model
    with pytest.raises(OptionError, match="no one graph can be made of"):
        as_one_network(ensemble(model, replace(model)))


def test_the_filter_keeps_what_yamnet_hears_and_nothing_that_would_fold_onto_it() -> None:
    taps = half_band_filter().astype(np.float64)
    np.testing.assert_array_equal(taps, taps[::-1])
    gains = np.abs(np.fft.rfft(taps, 1 << 14))
    hz = np.arange(len(gains)) * 32_000 / (1 << 14)
    assert np.abs(gains[hz <= 7_500] - 1).max() < 1e-3
    assert gains[hz >= 8_500].max() < 1e-3
