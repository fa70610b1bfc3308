# SPDX-License-Identifier: Apache-2.0
"""A report as JSON, as text, and as files: the same figures in each."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.datasets.clip import Clip, LeftOut
from oido.evaluation import report as report_module
from oido.evaluation.mistakes import SECONDS, excerpt, worst_mistakes
from oido.evaluation.predictions import JudgedWindows
from oido.evaluation.report import Report
from tests.datasets.recordings import record
from tests.evaluation.made_predictions import judged, random_judged
from tests.evaluation.report_pages import HOSTILE, Page, full_report, hostile_clips

pytest.importorskip("sklearn")


pytest.importorskip("matplotlib")


STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def test_json_has_the_figures_at_the_top(tmp_path: Path) -> None:
    report = full_report(random_judged(60, 3, background=True))
    report.save(tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert content == json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["clip_accuracy"] == report.clip_accuracy == report.metrics.clip_accuracy.value
    assert content["mAP"] == report.mAP == report.metrics.macro_ap.value
    low, high = content["intervals"]["mAP"]
    assert low <= content["mAP"] <= high
    assert content["window_accuracy"] is None  # windows were not given
    assert [entry["label"] for entry in content["classes"]] == ["class 0", "class 1", "class 2"]
    assert content["confusion"]["labels"][-1] == "(no event)"
    assert np.array(content["confusion"]["counts"]).sum() == content["clips"] == 60
    assert content["verdict"][0]["text"] == report.verdict[0].text
    assert content["baselines"][1] == {"name": "majority", "accuracy": 0.2, "mAP": None}


def test_infinite_figures_are_none_in_json_and_a_sign_in_text() -> None:
    report = Report.of(judged(np.eye(2)[[0, 1] * 5], np.eye(2)[[0, 1] * 5]), title="t")
    assert report.to_dict()["classes"][0]["d_prime"] is None
    assert "∞" in report.to_html()


def test_text_says_it_all_in_words() -> None:
    report = full_report(random_judged(60, 3))
    text = str(report)
    assert report.how in text
    assert all(remark.text in text for remark in report.verdict)
    row = next(line for line in text.splitlines() if line.startswith("class 1"))
    entry = report.metrics.classes[1]
    assert row.split()[2:] == [
        str(entry.clips),
        *(f"{e.value:.3f}" for e in (entry.precision, entry.recall, entry.f1)),
        *(f"{e.value:.3f}" for e in (entry.ap, entry.roc_auc)),
        "0.50",
    ]
    assert f"left out: 1\n  {HOSTILE[1]}: {HOSTILE[0]}" in text


def test_control_characters_of_names_are_spelled_out() -> None:
    made = full_report(random_judged(60, 3))
    name = "a\n\x1b[31m.wav"
    report = replace(
        made, left_out=(LeftOut(name, "no\rsound"),), notes=(name,), facts=((name, 1),)
    )
    shown = r"a\n\x1b[31m.wav"
    assert f"\n  {shown}: no\\rsound\n" in str(report)
    assert all(line.isprintable() for line in str(report).split("\n"))
    text = " ".join(Page(report.to_html()).words)
    assert text.count(shown) == 3
    assert "\x1b" not in report.to_html()


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("clips", [1, 2, 5])
def test_next_to_nothing_still_gives_a_report(clips: int, multi_label: bool) -> None:
    report = Report.of(random_judged(clips, 3, multi_label=multi_label), title="tiny")
    Page(report.to_html())
    json.dumps(report.to_dict(), allow_nan=False)
    assert "not enough data" in str(report)


def test_a_name_of_another_kind_is_refused(tmp_path: Path) -> None:
    report = Report.of(random_judged(), title="t")
    with pytest.raises(oido.OptionError, match=r"ends in \.html or \.json"):
        report.save(tmp_path / "report.pdf")
    report.save(tmp_path / "deep" / "report.HTML")
    assert (tmp_path / "deep" / "report.HTML").read_text("utf-8") == report.to_html()
    (tmp_path / "file").write_text("")
    with pytest.raises(oido.OutputError, match="cannot be written"):
        report.save(tmp_path / "file" / "report.json")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report.of(random_judged(), title="t")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(oido.MissingExtraError, match=r"oido\[train\]"):
        report.to_html()
    json.dumps(report.to_dict())  # which needs no pictures
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(oido.MissingExtraError, match=r"oido\[train\]"):
        Report.of(random_judged(), title="t")


def test_the_data_are_described(tmp_path: Path) -> None:
    paths = [
        str(record(tmp_path / f"{label}{n}.wav")) for n in range(2) for label in ("owl", "wren")
    ]
    clips = [Clip(path, (Path(path).stem[:-1],)) for path in paths]
    summary = oido.Dataset.from_clips([*clips, Clip(str(tmp_path / "gone.wav"), ("owl",))]).check()
    report = Report.of(random_judged(), title="t", dataset=summary)
    text = " ".join(Page(report.to_html()).words)
    assert str(summary) in text
    assert report.left_out == summary.left_out
    assert "gone.wav" in text
    assert report.to_dict()["dataset"]["recordings"] == 4


def test_how_it_was_judged_is_told() -> None:
    clips = random_judged(6, splits=("a", "b", "c") * 2)
    words = "6 clips from 6 sources, each judged by a model that had not seen its part of 3."
    assert Report.of(clips, title="t").how == words
    targets = clips.targets.copy()
    targets[0, 0] = np.nan
    partly = Report.of(replace(clips, targets=targets, splits=()), title="t")
    assert partly.how.startswith("6 clips from 6 sources; 1 of them")


pytest.importorskip("sklearn")


pytest.importorskip("matplotlib")


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


def test_an_excerpt_ends_with_its_clip(tmp_path: Path) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1_000 * np.arange(48_000 * 2) / 48_000)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], 1), 48_000)
    found = excerpt(Clip(str(tmp_path / "tone.wav"), start_time=0.5, end_time=1.25), 0.1)
    assert found is not None
    assert (found.start, found.seconds) == (0.5, pytest.approx(0.75))
    assert soundfile.info(io.BytesIO(found.flac)).samplerate == 24_000
    assert found.log_mel.shape == (1 + (12_000 - 400) // 160, 64)
    band = found.log_mel.mean(axis=0).argmax()
    edges = np.linspace(*(1127 * np.log1p(np.array([125, 7_500]) / 700)), 66)
    assert edges[band] < 1127 * np.log1p(1_000 / 700) < edges[band + 2]
    assert excerpt(Clip(str(tmp_path / "gone.wav"))) is None


def test_sounds_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = replace(
        judged([[1, 0]] * 3, [[0.1, 0.9]] * 3),
        clips=tuple(Clip(str(STREET), start_time=float(n)) for n in range(3)),
    )
    report = Report.of(clips, title="t")
    whole = report.to_html()
    assert len(Page(whole).all("audio")) == 3
    monkeypatch.setattr(report_module, "MOST_BYTES", 300_000)
    few = report.to_html()
    assert 0 < len(Page(few).all("audio")) < 3
    assert "cannot be played here" in few


def test_worst_mistakes_come_first() -> None:
    said = [[0.6, 0.4], [0.1, 0.9], [0.9, 0.1], [0.4, 0.6]]
    found = worst_mistakes(judged([[1, 0]] * 4, said))
    assert [mistake.clip.path for mistake in found] == ["1.wav", "3.wav"]
    assert [mistake.severity for mistake in found] == pytest.approx([0.8, 0.2])
    several = judged([[1, 1], [0, 0]], [[0.9, 0.3], [0.9, 0.1]], multi_label=True)
    first, second = worst_mistakes(several)
    assert (first.clip.path, first.label, first.severity) == ("1.wav", "owl", pytest.approx(0.9))
    assert (first.truth, first.predicted) == ("(no event)", "owl")
    assert (second.truth, second.predicted, second.label) == ("owl, wren", "owl", "wren")
    assert len(worst_mistakes(random_judged(200, skill=0))) == 12


pytest.importorskip("sklearn")


pytest.importorskip("matplotlib")
