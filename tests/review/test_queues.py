# SPDX-License-Identifier: Apache-2.0
"""What is asked, and in which order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from oido.errors import OptionError, UnknownLabelError
from oido.results import Results
from oido.review.items import ReviewItem
from oido.review.queues import FixedQueue, QueueChoice, frequent_labels, make_queue
from tests.results.results_folders import FolderMaker, event, recording
from tests.review.archives import NAMES


def scores(queue: FixedQueue) -> list[float]:
    return [item.score for item in queue.candidates(1_000)]


def test_the_first_places_are_a_sample_of_all_scores_too(results: Results) -> None:
    queue = make_queue(results, QueueChoice("owl", count=50))
    assert {item.label for item in queue.items} == {"Owl"}
    assert len(queue.items) == 50
    everything = sorted(scores(make_queue(results, QueueChoice("owl", choice="top", count=101))))
    tenths = [max(0, everything.index(score) - 1) // 10 for score in scores(queue)]
    for start in range(0, 50, 10):
        assert {*tenths[start : start + 10]} == {*range(10)}, "one from each in turn"
    assert scores(queue) != sorted(scores(queue), reverse=True)
    assert make_queue(results, QueueChoice("owl", count=50)).items == queue.items
    assert make_queue(results, QueueChoice("owl", count=50, seed=1)).items != queue.items


def test_the_best_and_what_a_condition_leaves(results: Results) -> None:
    best = make_queue(results, QueueChoice("Owl", choice="top", count=5, where="file like 'n%'"))
    assert scores(best) == sorted(scores(best), reverse=True)
    assert {item.recording for item in best.items} == {NAMES[0]}
    everything = make_queue(results, QueueChoice(choice="random", count=1_000))
    assert {item.label for item in everything.items} == {"Owl", "Dog"}
    assert len(everything.items) == 103
    with pytest.raises(OptionError, match="no event"):
        make_queue(results, QueueChoice(where="file = 'x'"))
    with pytest.raises(UnknownLabelError, match="Gargle"):
        make_queue(results, QueueChoice("Gargle"))
    with pytest.raises(OptionError, match="1 place or more"):
        make_queue(results, QueueChoice(count=0))


def test_uncertain_is_nearest_to_the_threshold_one_a_place(results: Results) -> None:
    queue = make_queue(results, QueueChoice("Owl", choice="uncertain", count=8, threshold=0.5))
    far = [abs(score - 0.5) for score in scores(queue)]
    assert far == sorted(far)
    assert max(far) < 0.05
    spans = sorted((item.start_time, item.end_time) for item in queue.items)
    assert all(end < start for (_, end), (start, _) in pairwise(spans))
    # The archive's own threshold, where none is named; here it says none, so that of events.
    low = make_queue(results, QueueChoice("Owl", choice="uncertain", count=4))
    assert max(abs(score - 0.2) for score in scores(low)) < 0.05
    # There is no window of a dog: then events.
    dogs = make_queue(results, QueueChoice("Dog", choice="uncertain"))
    assert scores(dogs) == pytest.approx([0.6, 0.7])
    with pytest.raises(UnknownLabelError):
        make_queue(results, QueueChoice("Gargle", choice="uncertain"))


def test_the_archives_own_thresholds_count(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    header = maker.folder / "oido-archive.json"
    own = '"detection": {"threshold": 0.6, "thresholds": [["Owl", 0.3]]}, "locale": "en"'
    header.write_text(header.read_text().replace('"locale": "en"', own))
    windows = [
        event("a.wav", 2.0 * n, 2.0 * n + 0.9, label, score)
        for n, (label, score) in enumerate([("Owl", 0.3), ("Owl", 0.6), ("Dog", 0.3), ("Dog", 0.6)])
    ]
    maker.commit({"recordings": [recording("a.wav", 20)], "windows": windows})
    with Results(str(maker.folder)) as results:
        queue = make_queue(results, QueueChoice(choice="uncertain", count=2))
    assert {(item.label, round(item.score, 2)) for item in queue.items} == {
        ("Owl", 0.3),
        ("Dog", 0.6),
    }


def test_hits_of_a_table(results: Results, tmp_path: Path) -> None:
    table = tmp_path / "hits.csv"
    rows = f"{NAMES[1]},,3.0,4.0,0.81\n{NAMES[0]},,7.5,8.5,0.7\n"
    table.write_text("file,channel,start_time,end_time,similarity\n" + rows)
    queue = make_queue(results, QueueChoice("my own owl", table=table))
    assert queue.items == [
        ReviewItem(NAMES[1], 3.0, 4.0, "my own owl", 0.81),
        ReviewItem(NAMES[0], 7.5, 8.5, "my own owl", 0.7),
    ]
    assert len(make_queue(results, QueueChoice("x", table=table, count=1)).items) == 1
    with pytest.raises(OptionError, match="--label owl"):
        make_queue(results, QueueChoice(table=table))


def test_channels_are_kept(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [{**event("a.wav", 1.0, 2.0, "Owl", 0.5 + n / 10), "channel": n} for n in range(2)]
    maker.commit({"recordings": [recording("a.wav", 9)], "events": rows})
    with Results(str(maker.folder)) as results:
        queue = make_queue(results, QueueChoice("Owl", choice="top"))
    assert [item.channel for item in queue.items] == [1, 0]


def embedded(file: str, groups: str) -> list[dict[str, object]]:
    rng = np.random.default_rng(len(file))
    rows = []
    for n, letter in enumerate(groups):
        values = np.full(16, 2.0)
        values[ord(letter) - 97] += 4
        place = {"file": file, "channel": None, "start_time": n * 0.48}
        noisy = (values + 0.1 * rng.standard_normal(16)).tolist()
        rows.append({**place, "end_time": n * 0.48 + 0.96, "embedding": noisy})
    return rows


def test_what_is_like_nothing_else_comes_first(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = embedded("a.wav", "c" * 40 + "f" + "c" * 40)
    rows += embedded("b.wav", "d" * 50 + "h" + "d" * 9)
    odd = event("a.wav", 40 * 0.48, 40 * 0.48 + 0.96, "Owl", 0.4)
    recordings = [recording("a.wav", 40.0), recording("b.wav", 30.0)]
    maker.commit({"recordings": recordings, "embeddings": rows, "windows": [odd]})
    with Results(str(maker.folder)) as results:
        queue = make_queue(results, QueueChoice(choice="novel", count=3))
        named = make_queue(results, QueueChoice("Dog", choice="novel", count=2))
        elsewhere = QueueChoice(choice="novel", count=2, where="file = 'b.wav'")
        assert {item.recording for item in make_queue(results, elsewhere).items} == {"b.wav"}
    first = {(item.recording, item.label): item.start_time for item in queue.items[:2]}
    odd_places = {("a.wav", "Owl"): 40 * 0.48, ("b.wav", "unknown"): 50 * 0.48}
    assert first == pytest.approx(odd_places)
    assert {item.label for item in named.items} == {"Dog"}


def test_novel_without_embeddings_is_what_the_model_did_not_know(
    results: Results, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="--embeddings"):
        make_queue(results, QueueChoice(choice="novel"))
    maker = FolderMaker(tmp_path / "taught")
    strange = [event("a.wav", 1.0, 2.0, "unknown", 0.3), event("a.wav", 4.0, 5.0, "unknown", 0.9)]
    maker.commit({"recordings": [recording("a.wav", 9)], "events": strange})
    with Results(str(maker.folder)) as taught:
        assert scores(make_queue(taught, QueueChoice(choice="novel"))) == pytest.approx([0.9, 0.3])


def test_what_answers_say_of_their_place(tmp_path: Path) -> None:
    assert QueueChoice("Owl", where="true").query == (
        "oido review --label 'Owl' --choose stratified --where 'true'"
    )
    listed = QueueChoice("owl", table=tmp_path / "hits.csv")
    assert (listed.name, listed.query) == ("listed", "oido review --label 'owl' --from hits.csv")


def test_the_most_frequent_labels(results: Results) -> None:
    assert frequent_labels(results, 9) == ["Owl", "Dog"]
    assert frequent_labels(results, 1) == ["Owl"]
