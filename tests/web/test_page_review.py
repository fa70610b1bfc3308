# SPDX-License-Identifier: Apache-2.0
"""Events that somebody judged, saved so that oido learns from them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
import soundfile

from oido.datasets.dataset import Dataset
from tests.web.browsing import STREET, Pages, hear_street, rows_of


def test_what_was_judged_is_a_table_that_oido_reads(pages: Pages, tmp_path: Path) -> None:
    page = pages.open("server")
    hear_street(page)
    rows = rows_of(page)
    assert len(rows) > 4
    assert page.is_visible("#review-start")

    page.click("#review-start")
    assert page.inner_text("#review-what").startswith(f"1 of {len(rows)}: {rows[0][1]}")
    page.wait_for_function("() => !document.querySelector('#audio').paused")
    for key in "yn":
        page.keyboard.press(key)
    assert page.inner_text("#review-what").startswith("3 of")
    page.keyboard.press("r")
    page.keyboard.type("dog")  # as the model calls it
    page.keyboard.press("Enter")
    page.keyboard.press("r")
    page.keyboard.type("my own doorbell")
    page.keyboard.press("Enter")
    assert page.inner_text("#review-count") == "4 reviewed"
    page.keyboard.press("k")
    assert page.inner_text("#review-said") == "my own doorbell"
    marks = page.eval_on_selector_all("#rows .what", "all => all.map(c => c.dataset.verdict)")
    assert marks[:5] == ["right", "wrong", "renamed", "renamed", ""]
    with page.expect_download() as downloading:
        page.click("#review-save")
    assert downloading.value.suggested_filename == "street.labels.csv"
    table = tmp_path / "street.labels.csv"
    downloading.value.save_as(table)

    with table.open(newline="", encoding="utf-8") as file:
        saved = list(csv.DictReader(file))
    assert [row["label"] for row in saved] == [rows[0][1], "Dog", "my own doorbell"]
    for row, place in zip(saved, (0, 2, 3)):
        start, end = float(row["start_time"]), float(row["end_time"])
        assert f"0:{start:04.1f} – 0:{end:04.1f}" == rows[place][0]
    (tmp_path / STREET.name).write_bytes(STREET.read_bytes())
    dataset = Dataset.from_table(table)
    assert dataset.left_out == ()
    assert {label for clip in dataset for label in clip.labels} == {row["label"] for row in saved}


def test_a_reviewed_event_keeps_its_mark_in_another_language(pages: Pages) -> None:
    page = pages.open("server")
    hear_street(page)
    page.click("#review-start")
    page.keyboard.press("n")
    page.click("#language")
    assert page.inner_text("#review-count") == "1 revisados"
    first = page.locator("#rows .what").first
    assert first.get_attribute("data-verdict") == "wrong"
    page.keyboard.press("Escape")  # not from here: the panel has the keys
    page.click("#review-end")
    assert page.is_hidden("#review")
    page.wait_for_selector("#review-start:focus")


@pytest.mark.parametrize("shares", [False, True])
def test_the_sound_of_an_event_is_saved_or_shared(pages: Pages, shares: bool) -> None:
    before = """
    window.shared = [];
    navigator.canShare = () => %s;
    navigator.share = async ({files: [file], text}) =>
      window.shared.push([file.name, file.size, text]);
    """ % ("true" if shares else "false")
    page = pages.open("server", before=before)
    hear_street(page)
    (time, label), *_ = rows_of(page)
    start, end = (float(part.split(":")[1]) for part in time.split(" – "))
    seconds = end - max(0, start - 0.5) + 0.5
    page.click("#review-start")

    if shares:
        page.click("#review-clip:has-text('Share clip')")
        page.wait_for_function("() => window.shared.length > 0")
        ((name, size, text),) = page.evaluate("() => window.shared")
        assert name.endswith(".wav")
        assert text.startswith(label)
        assert size == pytest.approx(44 + 2 * 16_000 * seconds, abs=2 * 16_000 * 0.2)
    else:
        with page.expect_download() as downloading:
            page.click("#review-clip:has-text('Save clip')")
        samples, rate_hz = soundfile.read(io.BytesIO(downloading.value.path().read_bytes()))
        assert len(samples) / rate_hz == pytest.approx(seconds, abs=0.2)
        original, _ = soundfile.read(STREET)
        first = round(max(0, start - 0.5) * rate_hz)
        window = original[max(0, first - 3000) : first + len(samples) + 3000]
        assert abs(samples).max() == pytest.approx(abs(window).max(), rel=0.5)


def test_an_event_is_looked_at_from_near(pages: Pages, on_device: None) -> None:
    page = pages.open("device")
    hear_street(page)
    rows = rows_of(page)
    page.click("#rows .what button >> nth=1")
    assert page.inner_text("#review-what").startswith(f"2 of {len(rows)}: {rows[1][1]}")
    page.wait_for_selector("#review-play:focus")
    assert page.evaluate("() => document.querySelector('#audio').paused")
    said = page.get_attribute("#closeup", "aria-label")
    scores = r"its sound, and the scores of its (\d+) frames; the highest is ([\d.]+)"
    found = re.fullmatch(rf"(.+) at (0:[\d.]+): {scores}", said)
    assert found is not None
    name, time, n, highest = found.groups()
    start, end = (float(part.split(":")[1]) for part in rows[1][0].split(" – "))
    assert (name, time) == (rows[1][1], rows[1][0].split(" – ")[0])
    assert int(n) == pytest.approx((end - start + 1) / 0.16, abs=3)
    assert 0.2 < float(highest) <= 1
    colours = page.eval_on_selector(
        "#closeup",
        """canvas => {
          const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }""",
    )
    assert colours > 50

    page.click("#review-play")
    page.wait_for_function("() => !document.querySelector('#audio').paused")
    page.fill("#review-label", "my own doorbell")
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tr:nth-child(2) .what[data-verdict=renamed]")
    assert page.get_attribute("#closeup", "aria-label") != said  # the next one


def test_the_scores_from_near_are_those_of_the_events_frames(pages: Pages) -> None:
    page = pages.open("server")
    found = page.evaluate(
        """async () => {
          const {Session} = await import("./ui/session.js");
          const {frameScores} = await import("./ui/closeup.js");
          const info = {labels: ["a", "b"], sampleRateHz: 16000, windowSamples: 15600,
                        hopSamples: 7680, calibrated: false, thresholds: null};
          const session = new Session({name: "x", engine: {info}, audio: null});
          for (let index = 0; index < 20; index++)
            session.add({index, scores: Float32Array.of(0.5, index / 32), probabilities: null});
          session.finish(20 * 7680 + 7920);
          const found = frameScores(session, 1, 4.8, 6.0);
          return found.map(({start, end, score}) => [start, end, score]);
        }"""
    )
    cell, edge = 0.48, 0.2475
    wanted = [
        [pytest.approx(n * cell + edge), pytest.approx((n + 1) * cell + edge), n / 32]
        for n in range(20)
        if (n + 1) * cell + edge > 4.8 and n * cell + edge < 6.0
    ]
    assert found == wanted
    assert len(wanted) == 3
