# SPDX-License-Identifier: Apache-2.0
"""What events are made of, sent with windows: whoever gets it makes the very events of Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.errors import OptionError
from oido.inference.block import Block
from oido.inference.postprocess import HeadPostprocessor
from oido.options import read_header_options, read_query
from oido.params import Detection, Selection, Windowing
from oido.server.evidence import evidence_of, framewise_floor
from oido.signal.level import LevelMeter
from tests.server.clients import HEADER, messages, opened, pieces_of, streamed
from tests.server.uploading import flac, post

pytest.importorskip("websockets")

FLOOR = 0.0025


def made_of(
    model: Any, told: Sequence[dict[str, Any]], levels: NDArray[np.float32], n_samples: int
) -> list[oido.Event]:
    """The events that a client makes of what it was told."""
    framewise = np.zeros((len(told), len(told[0]["framewise"]), len(model.labels)), np.float32)
    for window, message in enumerate(told):
        for part, scores in enumerate(message["framewise"]):
            for index, score in scores.items():
                framewise[window, part, int(index)] = score
    n = len(told)
    windowing = Windowing.from_seconds(model.windows, None)
    postprocessor = HeadPostprocessor(
        model.head, slice(0, len(model.labels)), Selection(), locale="en", rolls_up=False
    )
    detector = postprocessor.detector(windowing, model.image_samples, Detection())
    nothing = np.zeros((n, 0), np.float32)
    block = Block(
        0,
        np.zeros((n, len(model.labels)), np.float32),
        nothing,
        np.ones(n),
        np.zeros(n),
        windowing.times(0, n),
        framewise=framewise,
        levels=levels,
    )
    events = detector.push(block) + detector.flush(n_samples)
    return sorted(events, key=lambda event: (event.start_time, event.label_index))


def test_a_stream_tells_what_its_events_are_made_of(
    server: Any, street_samples: NDArray[np.int16], classifier: oido.AudioClassifier
) -> None:
    expected = classifier.classify(street_samples, 16_000).events()
    pieces = list(pieces_of(street_samples, 8_000, 333))

    found = streamed(server, {**HEADER, "framewise": FLOOR}, pieces)
    plain = streamed(server, HEADER, pieces)

    told = [message for message in found if message["type"] == "rows"]
    assert len(told) == 62
    assert {len(message["framewise"]) for message in told} == {3}
    levels = LevelMeter(16_000).push(street_samples.astype(np.float32) / 32_768)
    assert len(expected) > 5
    assert made_of(classifier.model, told, levels, len(street_samples)) == expected
    # Who does not ask gets what there was before, and nothing more.
    for message in told:
        del message["framewise"]
    assert told == [message for message in plain if message["type"] == "rows"]
    assert {tuple(message) for message in told} == {("type", "time", "rows")}


def test_an_upload_tells_its_levels_too(
    server: Any, street: Path, classifier: oido.AudioClassifier
) -> None:
    result = classifier.classify(street)
    answer = post(server, street.read_bytes(), f"?level=windows&top=3&framewise={FLOOR}")
    plain = post(server, street.read_bytes(), "?level=windows&top=3")

    assert answer.status_code == 200
    told = answer.json()
    assert [row for window in told for row in window["rows"]] == plain.json()
    assert [window["start_time"] for window in told] == [round(t, 6) for t, _ in result.times]
    assert {tuple(window)[:4] for window in told} == {("channel", "start_time", "end_time", "rows")}
    levels = np.array([x for window in told for x in window.get("levels", [])], np.float32)
    assert levels.shape == (1_500,)
    assert made_of(classifier.model, told, levels, 480_000) == result.events()


def test_each_channel_is_told_by_itself(server: Any, street: Path) -> None:
    query = f"?level=windows&channel=each&framewise={FLOOR}"
    told = post(server, street.read_bytes(), query).json()
    assert [window["channel"] for window in told] == [0] * 62


@pytest.mark.parametrize("floor", [0.0, 0.1, 1.0])
def test_the_floor_is_the_lowest_score_and_nothing_is_never_told(floor: float) -> None:
    framewise = np.array([[[0, 0.1, 0.25, 1 / 3], [1, 0, 0.0999, 1e-9]]], np.float32)
    block = _block(np.zeros((1, 4), np.float32), framewise)
    assert evidence_of(block, 0, floor)["framewise"] == [
        {str(i): round(float(v), 8) for i, v in enumerate(part) if v >= floor and v > 0}
        for part in framewise[0]
    ]


def test_a_window_without_parts_is_one_and_a_taught_model_tells_how_near_it_is() -> None:
    scores = np.array([[0.5, 0.0], [0.25, 1.0]], np.float32)
    block = _block(scores, None)._replace(similarities=np.array([0.75, -0.5], np.float32))
    assert evidence_of(block, 1, 0.0) == {"framewise": [{"0": 0.25, "1": 1.0}], "similarity": -0.5}


def test_it_is_for_windows_and_a_score() -> None:
    assert framewise_floor(read_header_options({"framewise": None})) is None
    assert framewise_floor(read_header_options({"framewise": 0})) == 0.0
    for options in (
        read_header_options({"level": "events", "framewise": 0.1}),
        read_query([("framewise", "0.1")]),
        read_query([("framewise", "0.1"), ("level", "frames")]),
    ):
        with pytest.raises(OptionError, match="framewise is for windows: ask for the level window"):
            framewise_floor(options)
    for wrong in (True, "all", 1.5, -0.1, []):
        with pytest.raises(OptionError, match="framewise must be"):
            read_header_options({"framewise": wrong})


def test_a_wrong_one_is_refused_before_anything_is_sent(server: Any) -> None:
    with opened(server, {**HEADER, "level": "events", "framewise": 0.1}) as socket_:
        (error,) = messages(socket_)
        assert socket_.close_code == 1008
    assert (error["type"], error["error"]) == ("error", "OptionError")
    answer = post(server, flac(1), "?framewise=0.1")
    assert (answer.status_code, answer.json()["error"]) == (400, "OptionError")


@pytest.mark.slow
def test_an_answer_stays_within_its_rows(server: Any, street: Path) -> None:
    """The server of these tests answers with 20000 rows at most; ten scores count as one."""
    content = street.read_bytes()
    query = "?level=windows&top=1&hop=0.01&framewise="
    assert post(server, content, query.partition("&framewise")[0]).status_code == 200
    refused = post(server, content, f"{query}0.001")
    assert refused.status_code == 413
    assert refused.json()["message"].endswith(
        "ask for a smaller top, a longer hop or a higher framewise"
    )
    assert post(server, content, f"{query}0.5").status_code == 200


def _block(scores: NDArray[np.float32], framewise: NDArray[np.float32] | None) -> Block:
    n = len(scores)
    embeddings, numbers = np.zeros((n, 0), np.float32), np.zeros(n)
    return Block(0, scores, embeddings, numbers, numbers, np.zeros((n, 2)), framewise=framewise)
