# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation: whole, asking for nothing, and safe with any label."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.datasets.clip import Clip
from oido.evaluation import report_html
from oido.evaluation.mistakes import SECONDS, worst_mistakes
from oido.evaluation.predictions import JudgedWindows
from oido.evaluation.report import Report
from tests.evaluation.made_predictions import judged, random_judged
from tests.evaluation.report_pages import HOSTILE, Page, full_report, hostile_clips

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def test_strangers_labels_stay_text() -> None:
    page = Page(full_report(hostile_clips()).to_html())
    assert page.all("script") == []
    assert all(set(image) == {"src", "alt"} for image in page.all("img"))
    assert page.elements[0] == ("html", {"lang": "en"})
    text = " ".join(page.words)
    assert all(label in text for label in HOSTILE)
    assert any(HOSTILE[1] in (image["alt"] or "") for image in page.all("img"))


def test_the_page_asks_for_nothing() -> None:
    html = full_report(hostile_clips()).to_html()
    assert not re.search(r"(?:https?:)?//\w", re.sub(r"base64,[A-Za-z0-9+/=]+", "", html))
    page = Page(html)
    sources = [a[key] for _, a in page.elements for key in ("src", "href", "srcset") if key in a]
    assert sources
    assert all(source is not None and source.startswith("data:") for source in sources)
    [policy] = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy
    assert "url(" not in html
    assert "@import" not in html


def test_every_picture_has_words_and_is_an_svg() -> None:
    page = Page(full_report(hostile_clips()).to_html())
    images = page.all("img")
    assert len(images) == 5  # confusion, reliability, precision-recall, baselines, learning curve
    for image in images:
        assert image["alt"]
        content = base64.b64decode((image["src"] or "").partition("base64,")[2])
        assert b"<svg" in content
        assert b"<script" not in content


def test_rows_can_be_sorted_without_a_script() -> None:
    clips = random_judged(60, 4)
    page = Page(Report.of(clips, title="t").to_html())
    styles = [row["style"] or "" for row in page.all("tr") if "style" in row]
    assert len(styles) == 4
    for column in range(10):
        places = [re.search(rf"--by{column}: (\d+)", style) for style in styles]
        assert sorted(int(place[1]) for place in places if place) == [0, 1, 2, 3]
    entries = Report.of(clips, title="t").metrics.classes
    by_f1 = sorted(entries, key=lambda entry: entry.f1.value)
    place = {entry.label: by_f1.index(entry) for entry in entries}
    for entry, style in zip(entries, styles):
        assert f"--by5: {place[entry.label]};" in style
    radios = [a for a in page.all("input") if a["type"] == "radio"]
    assert [radio["id"] for radio in radios] == [f"by{n}" for n in range(10)]


def test_mistakes_can_be_seen_and_heard() -> None:
    clips = judged([[1, 0], [0, 1]], [[0.1, 0.9], [0.2, 0.8]])
    times = np.array([[0.0, 0.96], [9.0, 9.96], [0.0, 0.96]])
    said = np.array([[0.1, 0.5], [0.1, 0.95], [0.2, 0.8]], np.float32)
    wrong = Clip(str(STREET), start_time=1.0, end_time=15.0)
    clips = replace(
        clips,
        clips=(wrong, Clip(str(STREET))),
        windows=JudgedWindows(said, np.array([0, 0, 1]), times),
    )
    [mistake] = worst_mistakes(clips)
    assert (mistake.truth, mistake.predicted, mistake.label) == ("owl", "wren", "wren")
    assert mistake.centre == pytest.approx(9.48)
    [player] = Page(Report.of(clips, title="t").to_html()).all("audio")
    kind, _, content = (player["src"] or "").partition(";base64,")
    assert kind == "data:audio/flac"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert samples.ndim == 1
    assert len(samples) / rate == pytest.approx(SECONDS)
    street, own_rate = soundfile.read(STREET)
    start = round((1.0 + 9.48 - SECONDS / 2) * own_rate)
    mono = street if street.ndim == 1 else street.mean(axis=1)
    assert rate == own_rate  # no more than 24 kHz
    np.testing.assert_allclose(samples, mono[start : start + len(samples)], atol=2e-4)


def test_sounds_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = replace(
        judged([[1, 0]] * 3, [[0.1, 0.9]] * 3),
        clips=tuple(Clip(str(STREET), start_time=float(n)) for n in range(3)),
    )
    report = Report.of(clips, title="t")
    whole = report.to_html()
    assert len(Page(whole).all("audio")) == 3
    monkeypatch.setattr(report_html, "MOST_BYTES", 300_000)
    few = report.to_html()
    assert 0 < len(Page(few).all("audio")) < 3
    assert "cannot be played here" in few
