# SPDX-License-Identifier: Apache-2.0
"""A report as JSON, as text, and as files: the same figures in each."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.datasets.clip import Clip
from oido.evaluation.report import Report
from tests.datasets.recordings import record
from tests.evaluation.made_predictions import judged, random_judged
from tests.evaluation.report_pages import HOSTILE, Page, full_report

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
    words = "6 clips from 6 recordings, each judged by a model that had not seen its part of 3."
    assert Report.of(clips, title="t").how == words
    targets = clips.targets.copy()
    targets[0, 0] = np.nan
    partly = Report.of(replace(clips, targets=targets, splits=()), title="t")
    assert partly.how.startswith("6 clips from 6 recordings; 1 of them")
