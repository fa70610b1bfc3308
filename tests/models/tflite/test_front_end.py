# SPDX-License-Identifier: Apache-2.0
"""Front ends inside a graph: the published formulas, computed by LiteRT."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.models.loading import ensemble, load_model
from oido.models.model import AudioModel, LogMelNetwork, WholeNetwork
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.front_end import log_mel, mn_log_mel, whole_graph
from oido.params import MnFrontEndParams
from oido.signal.frontend import MnFrontEnd
from tests.models.tflite.test_builder import run
from tests.signal import reference_frontend
from tests.signal.sounds import noise, sine

SOUNDS = {
    "noise": lambda n: noise(n, level=0.3),
    "quiet": lambda n: noise(n, seed=1, level=1e-4),
    "sine": lambda n: sine(1_000.0, 32_000, n).astype(np.float32),
    "silence": lambda n: np.zeros(n, np.float32),
}


@pytest.mark.parametrize("sound", SOUNDS.values(), ids=SOUNDS)
def test_yamnets_is_the_published_one(
    model: AudioModel, sound: Callable[[int], NDArray[np.float32]]
) -> None:
    assert isinstance(model.network, LogMelNetwork)
    writer = GraphWriter("a front end", batch=False)
    waveform = writer.input("waveform", (15_600,))
    patch = log_mel(writer, waveform, model.network.front_end, model.network.graph)
    values = sound(15_600)
    (found,) = run(writer.finish([patch]), values)
    np.testing.assert_allclose(found[0], reference_frontend.log_mel(values), atol=1e-3)


@pytest.mark.parametrize("seconds", [0.5, 1.0])
@pytest.mark.parametrize("sound", SOUNDS.values(), ids=SOUNDS)
def test_mn04s_is_that_of_the_signal_path(
    sound: Callable[[int], NDArray[np.float32]], seconds: float
) -> None:
    """Which itself is compared with the original's values, in tests/signal."""
    params = MnFrontEndParams(window_samples=int(seconds * 32_000))
    writer = GraphWriter("a front end", batch=False)
    waveform = writer.input("waveform", (params.window_samples,))
    values = sound(params.window_samples)
    (found,) = run(writer.finish([mn_log_mel(writer, waveform, params)]), values)
    expected = MnFrontEnd(params).patches(values, params.window_samples)
    assert found.shape == expected.shape == (1, params.bands, params.patch_frames, 1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_the_files_own_operators_keep_every_bit(model: AudioModel) -> None:
    content = model.path.read_bytes()
    graph = whole_graph(model, content)
    values = noise(15_600, level=0.3)
    scores, embedding = run(graph.writer.finish([*graph.scores, graph.embedding]), values)
    assert (scores == run(content, values)[0]).all()
    assert embedding.shape == (1, 1_024)


def test_two_networks_and_one_that_is_known_as_a_whole_are_refused(model: AudioModel) -> None:
    content = model.path.read_bytes()
    with pytest.raises(OptionError, match="two networks; export one of them"):
        whole_graph(ensemble(model, model), content)
    whole = dataclasses.replace(model, network=WholeNetwork(content, (0,)))
    with pytest.raises(OptionError, match="there is nothing to add to it"):
        whole_graph(whole, content)


def test_float_activations_have_a_front_end_of_ours(model: AudioModel) -> None:
    """A network that was written and not cut: its waveform goes through `log_mel`."""
    floats = load_model("yamnet/classification", precision="float32")
    graph = whole_graph(floats, floats.path.read_bytes())
    content = graph.writer.finish([*graph.scores, graph.embedding])
    scores, embedding = run(content, noise(15_600, level=0.3))
    assert scores.shape == (1, 521)
    assert embedding.shape == (1, 1_024)
    (quantised,) = run(model.path.read_bytes(), noise(15_600, level=0.3))
    assert scores[0].argmax() == quantised[0].argmax()
