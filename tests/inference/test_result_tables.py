# SPDX-License-Identifier: Apache-2.0
"""Results for the tools around: rows, plain values, pandas, files and notebooks."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import oido
from oido.heads import ScoreCalibration, Sigmoid
from oido.inference.result_tables import result_html
from oido.writers.formats import FORMATS

pandas = pytest.importorskip("pandas", reason="needs oido[pandas]")
pytest.importorskip("pyarrow", reason="needs oido[parquet]")

ROOT = Path(__file__).parents[2]
ALARM = ROOT / "examples" / "alarm.flac"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with recordings that is the working directory."""
    for name in ("street.flac", "alarm.flac"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def street(classifier, desk):
    return classifier.classify("street.flac")


def by_command(desk, *args):
    """What `oido classify` writes, as bytes."""
    name = str(desk / ("by-command" + args[0]))
    words = [sys.executable, "-m", "oido", "classify", *args[1:], "-q", "-o", name]
    subprocess.run(words, cwd=desk, check=True)
    return Path(name).read_bytes()


def test_files_of_every_format_are_those_of_the_command_line(street, desk):
    formats = ",".join(entry.name for entry in FORMATS)
    words = ["classify", "street.flac", "-q", "-o", "out/", "--format", formats]
    subprocess.run([sys.executable, "-m", "oido", *words], cwd=desk, check=True)
    for entry in FORMATS:
        path = f"mine{entry.suffix}"
        assert street.save(path) == Path(path)
        name = "events" if entry.combined else "street"
        assert Path(path).read_bytes() == Path(f"out/{name}{entry.suffix}").read_bytes()


@pytest.mark.parametrize(
    ("level", "options", "words"),
    [
        ("windows", {}, ["--windows"]),
        ("frames", {"top": 2}, ["--frames", "--top", "2"]),
        ("clip", {"top": 7}, ["--clip", "--top", "7"]),
        ("events", {"top": 3, "threshold": 0.3}, ["--top", "3", "--threshold", "0.3"]),
    ],
)
def test_levels_and_options_are_those_of_the_command_line(street, desk, level, options, words):
    street.save("mine.csv", level, **options)
    assert Path("mine.csv").read_bytes() == by_command(desk, ".csv", "street.flac", *words)


def test_one_channel_and_all_scores_of_frames(classifier, desk):
    result = classifier.classify("alarm.flac", channel=1)
    result.save("mine.csv")
    expected = by_command(desk, ".csv", "alarm.flac", "--channel", "1")
    assert Path("mine.csv").read_bytes() == expected
    result.save("mine.npz")
    expected = by_command(desk, ".npz", "alarm.flac", "--channel", "1", "--frames")
    assert Path("mine.npz").read_bytes() == expected
    with np.load("mine.npz") as arrays:
        np.testing.assert_array_equal(arrays["scores"], result.framewise_scores)


def test_an_address_is_no_file_of_this_computer(street, desk):
    for path in ("s3://bucket/mine.csv", "gs://bucket/out/"):
        with pytest.raises(oido.OptionError, match=f"{path}: is an address"):
            street.save(path)
    assert not Path("s3:").exists()


def test_a_named_file_is_replaced_and_a_folder_is_careful(street, desk):
    Path("mine.csv").write_text("old")
    street.save("mine.csv")
    assert "old" not in Path("mine.csv").read_text()
    assert street.save("out/") == Path("out/events.csv")
    assert street.save("out", "clip", top=1) == Path("out/clips.csv")
    street.save(Path("out"))  # as it was written: it may be replaced
    corrected = Path("out/events.csv").read_text() + "by hand\n"
    Path("out/events.csv").write_text(corrected)
    with pytest.raises(oido.OptionError, match=r"events\.csv would be overwritten"):
        street.save("out")
    assert Path("out/events.csv").read_text() == corrected


def test_a_recording_is_never_replaced(classifier, desk):
    os.symlink("alarm.flac", "alarm.csv")
    result = classifier.classify("alarm.csv")
    before = Path("alarm.flac").read_bytes()
    with pytest.raises(oido.OptionError, match="is the recording itself"):
        result.save("alarm.csv")
    assert Path("alarm.flac").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("mine.xyz",), {}, r"mine\.xyz: the name does not tell the format; .*\.csv, .*\.npz"),
        (("mine",), {}, "does not tell the format"),
        (("",), {}, "say which file"),
        (("mine.csv", "window"), {}, "level must be one of events, windows"),
        (("mine.npz", "windows"), {}, "npz has the scores of all frames"),
        (("mine.npz",), {"top": 3}, "npz has the scores of all labels"),
        (("mine.npz",), {"threshold": 0.3}, "npz has the scores of all labels"),
        (("mine.csv", "clip"), {"threshold": 0.3}, "threshold: only for events; a classifier"),
        (("mine.csv",), {"top": -1}, "top must be"),
        (("mine.csv",), {"threshold": 3}, "threshold must be"),
        (("mine.csv",), {"thresholds": {"Dgo": 0.2}}, "Dog"),
    ],
)
def test_what_cannot_be_saved_is_a_sentence_and_no_file(street, arguments, options, sentence):
    with pytest.raises(oido.OptionError, match=sentence):
        street.save(*arguments, **options)
    assert not arguments[0] or not Path(arguments[0]).exists()


def test_a_folder_that_cannot_be_written(street, desk):
    Path("file").write_text("")
    with pytest.raises(oido.OutputError, match="cannot be written"):
        street.save("file/mine.csv")


def test_a_name_that_is_no_utf8_is_escaped(classifier, desk):
    name = os.fsdecode(b"caf\xe9.flac")
    try:
        shutil.copy("alarm.flac", name)
    except OSError:
        pytest.skip("names are always Unicode here")
    result = classifier.classify(name)
    result.save("mine.csv")
    assert Path("mine.csv").read_bytes() == by_command(desk, ".csv", name)
    assert result.to_dict()["file"] == "caf\\udce9.flac"


def test_plain_values_are_json(street):
    values = json.loads(json.dumps(street.to_dict(top=3, threshold=0.4), allow_nan=False))
    assert values["file"] == "street.flac"
    assert (values["duration"], values["windows"], values["channel"]) == (30.0, 62, None)
    assert len(values["clip"]) == 3
    events = street.events(threshold=0.4)
    assert [event["label"] for event in values["events"]] == [event.label for event in events]
    columns = ["start_time", "end_time", "label", "label_index", "score", "also"]
    assert list(values["events"][0]) == columns
    assert "probabilities" in values["scores"]


@pytest.mark.parametrize("level", ["events", "windows", "frames", "clip"])
def test_a_data_frame_is_the_table(street, level):
    frame = street.to_dataframe(level)
    street.save("mine.csv", level)
    read = pandas.read_csv("mine.csv", dtype={"channel": "Int64"}, keep_default_na=False)
    pandas.testing.assert_frame_equal(
        frame.drop(columns="channel"), read.drop(columns="channel"), check_dtype=False
    )
    assert frame["channel"].isna().all()
    assert str(frame["start_time"].dtype) == "float64"


def test_a_data_frame_without_rows_has_its_columns(street):
    frame = street.to_dataframe(threshold=1.0)
    assert len(frame) == 0
    assert list(frame) == list(street.to_dataframe())
    assert str(frame["score"].dtype) == "float64"
    assert str(frame["channel"].dtype) == "Int64"


def test_scores_as_data_frames(street):
    scores = street.to_dataframe("scores")
    np.testing.assert_array_equal(scores.to_numpy(), street.scores)
    assert list(scores) == list(street.labels)
    assert scores.index.tolist() == street.times[:, 0].tolist()
    assert scores["Siren"].idxmax() < 6
    frames = street.to_dataframe("framewise_scores")
    np.testing.assert_array_equal(frames.to_numpy(), street.framewise_scores)
    with pytest.raises(oido.OptionError, match="no other options"):
        street.to_dataframe("scores", top=3)
    with pytest.raises(oido.OptionError, match="level must be one of"):
        street.to_dataframe("everything")


def test_without_pandas_the_extra_is_named(street, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(oido.MissingExtraError, match=r"pip install 'oido\[pandas\]'"):
        street.to_dataframe()


def test_the_classifiers_own_limits_come_before_the_five(model):
    few = oido.AudioClassifier(model, jobs=1, max_results=2).classify(ALARM)
    assert len(few.rows("clip")) == 2
    above = oido.AudioClassifier(model, jobs=1, score_threshold=0.01).classify(ALARM)
    assert len(above.rows("clip")) == len(above.top()) > 5
    assert len(oido.AudioClassifier(model, jobs=1).classify(ALARM).rows("clip")) == 5


def test_another_language_stands_in_every_form(model):
    spanish = oido.AudioClassifier(model, jobs=1, display_names_locale="es")
    result = spanish.classify(ROOT / "examples" / "street.flac")
    assert "Sirena" in repr(result)
    shown = [event.display_name for event in result.events()]
    assert shown != [event.label for event in result.events()]
    assert result.to_dataframe()["label"].tolist() == shown
    assert [event["label"] for event in result.to_dict()["events"]] == shown
    assert all(name in result._repr_html_() for name in shown)


@pytest.fixture(scope="module")
def calibrated(model):
    """The model with a made calibration: probabilities that are not the scores."""
    scores = ScoreCalibration(tuple(Sigmoid(1, 9, -4) for _ in model.labels))
    heads = (replace(model.head, calibration=scores),)
    return oido.AudioClassifier(replace(model, heads=heads), jobs=1)


def test_a_calibrated_model_has_probabilities_in_every_form(calibrated, desk):
    result = calibrated.classify("street.flac")
    events = result.events()
    assert all(event.probability is not None for event in events)
    frame = result.to_dataframe()
    np.testing.assert_allclose(frame["probability"], [e.probability for e in events], atol=1e-8)
    assert [e["probability"] for e in result.to_dict()["events"]] == frame["probability"].tolist()
    result.save("mine.csv")
    assert Path("mine.csv").read_text().startswith("file,channel,start_time,end_time,label,")
    assert ",probability," in Path("mine.csv").read_text().splitlines()[0]
    assert "not a probability" not in result._repr_html_()
    assert f"probability {events[0].probability:.2f}" in repr(events[0])


def test_a_notebook_shows_the_events(street):
    page = street._repr_html_()
    ElementTree.fromstring(f"<body>{page.replace('colspan=3', '')}</body>")  # well-formed
    for event in street.events():
        assert f"{event.start_time:.2f} – {event.end_time:.2f} s" in page
        assert event.label in page
    assert "score, not a probability" in page
    assert len(page) < 5_000


def test_a_notebook_shows_no_more_than_can_be_read_and_runs_nothing():
    events = [oido.Event(f"<b>{n}</b>", n, n, n + 1, 0.5) for n in range(50)]
    page = result_html("<script>", events, calibrated=False)
    assert "<b>" not in page
    assert "<script>" not in page
    assert "&lt;b&gt;19&lt;/b&gt;" in page
    assert "&lt;b&gt;20&lt;/b&gt;" not in page
    assert "and 30 more: result.events()" in page
    assert "no event reaches the threshold" in result_html("a", [], calibrated=True)
