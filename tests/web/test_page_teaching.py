# SPDX-License-Identifier: Apache-2.0
"""A sound that is taught on the page: recorded or marked, tried, used, kept, saved and removed."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import oido
from oido.cli.main import run
from tests.web.browsing import PHONE, Pages, hear_street, notice_of, rows_of, serving

NAME = "Our siren"
KEPT = "my-sounds.tflite"


def _open(page: Any, name: str = NAME) -> None:
    page.click("#teach-open")
    page.wait_for_selector("#teach-arm:has-text('microphone'), #teach-arm:has-text('micrófono')")
    page.fill("#teach-name", name)


def _wait_for(page: Any, element: str, text: str) -> None:
    page.wait_for_function(
        "([id, text]) => document.getElementById(id).textContent.includes(text)",
        arg=[element, text],
    )


def _mark(page: Any, *events: int, judged: str = "too few") -> None:
    """Take events of what is shown, newest first, as examples, until they are judged so."""
    for event in events:
        before = page.inner_text("#teach-count")
        page.select_option("#teach-event", index=event)
        page.click("#teach-event-add")
        page.wait_for_function(
            "before => document.getElementById('teach-count').textContent !== before", arg=before
        )
    _wait_for(page, "teach-judged", judged)


def _use(page: Any) -> None:
    page.click("#teach-use")
    page.wait_for_function("name => document.getElementById('model').value === name", arg=KEPT)


def _sirens(page: Any) -> list[int]:
    texts = page.eval_on_selector_all("#teach-event option", "all => all.map(o => o.text)")
    return [number for number, text in enumerate(texts) if "iren" in text]


def test_escape_closes_what_was_opened(pages: Pages, on_device: None) -> None:
    """A panel, and then a message; the focus goes back to what opened it."""
    page = pages.open("device")
    hear_street(page)
    page.set_input_files(
        "#own-model-file", {"name": "birds.tflite", "mimeType": "", "buffer": b"no" * 99}
    )
    page.wait_for_selector("#notice:not([hidden])")
    _open(page)
    page.keyboard.press("Escape")
    page.wait_for_selector("#teach-open:focus")
    assert page.is_hidden("#teach-panel")
    assert page.is_visible("#notice")
    page.keyboard.press("Escape")
    assert page.is_hidden("#notice")


def test_a_sound_is_recorded_while_a_button_is_held(pages: Pages, on_device: None) -> None:
    page = pages.open("device", size=PHONE)
    _open(page)
    page.click("#teach-arm")
    page.wait_for_selector("#teach-hold", state="visible")
    page.wait_for_selector("#teach-count:text-matches('· [2-9] moments')", timeout=40_000)
    for number in range(1, 3):
        page.locator("#teach-hold").scroll_into_view_if_needed()
        page.hover("#teach-hold")
        page.mouse.down()
        page.wait_for_selector("#teach-hold.recording:has-text('let go')")
        page.wait_for_timeout(400)  # more than a tap
        page.mouse.up()
        _wait_for(page, "teach-count", f"{number} of 5 examples")
    # By the keyboard, and by a tap that another one ends.
    page.focus("#teach-hold")
    page.keyboard.down("Space")
    page.wait_for_selector("#teach-hold.recording")
    page.wait_for_timeout(400)
    page.keyboard.up("Space")
    _wait_for(page, "teach-count", "3 of 5 examples")
    page.click("#teach-hold")
    page.wait_for_selector("#teach-hold.recording:has-text('press to end')")
    page.wait_for_timeout(1_200)
    assert "3 of 5" in page.inner_text("#teach-count")
    page.click("#teach-hold")
    _wait_for(page, "teach-count", "4 of 5 examples")

    page.click("#teach-sounds button:has-text('Take the last back')")
    _wait_for(page, "teach-count", "3 of 5 examples")
    _use(page)
    assert float(page.get_attribute("#teach", "data-fit-milliseconds")) > 0
    assert page.locator("#watch-labels option").count() == 0  # hundreds, for whoever types one
    page.focus("#watch-name")
    page.wait_for_selector(f"#watch-labels option[value='{NAME}']", state="attached")
    page.fill("#watch-name", NAME)
    page.click("#watch-form button")
    page.wait_for_selector(f"#watches li:has-text('{NAME}')")


def _look_at_clips(page: Any) -> None:
    """What is saved for `oido train`: two clips of the sound, some of others, a table of them."""
    with page.expect_download() as downloading:
        page.click("#teach-clips")
    with zipfile.ZipFile(downloading.value.path()) as clips:
        assert clips.testzip() is None
        table = clips.read("labels.csv").decode("utf-8").splitlines()
        names = clips.namelist()
        samples, rate_hz = soundfile.read(io.BytesIO(clips.read("Our-siren-1.wav")))
    assert table[0] == "file,label,group"
    assert table[1] == f"Our-siren-1.wav,{NAME},Our-siren-1.wav"
    assert sum(line.split(",")[1] == "other" for line in table) == len(names) - 3 >= 5
    assert rate_hz == 16_000
    assert len(samples) >= 15_600


def test_marked_events_are_taught_used_saved_and_removed(
    pages: Pages, on_device: None, tmp_path: Path
) -> None:
    page = pages.open("device")
    hear_street(page)
    _open(page)
    _mark(page, *_sirens(page)[:1], *_sirens(page)[:1])
    _wait_for(page, "teach-judged", "left out")
    _use(page)
    page.wait_for_selector(f"#status-by:has-text('{KEPT}')")
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_selector(f"#rows tr:has-text('{NAME}')")
    rows = rows_of(page)
    assert [time.split(" ")[0] for time, what in rows if NAME in what] == ["0:00.5"]
    assert {"Beep, bleep", "Rain", "Speech"} <= {what for _, what in rows}  # beside the 521

    with page.expect_download() as downloading:
        page.click("#teach-save")
    saved = tmp_path / downloading.value.suggested_filename
    downloading.value.save_as(saved)
    assert saved.name == KEPT
    classifier = oido.AudioClassifier(saved, jobs=1)
    assert classifier.labels[-1] == NAME
    assert len(classifier.labels) == 522

    _look_at_clips(page)

    # All of it is there after a reload, until it is taken away.
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.input_value("#model") == KEPT
    _open(page)
    _wait_for(page, "teach-sounds", f"{NAME} · 2×")
    page.click(f"#teach-sounds button[aria-label='Remove {NAME}']")
    assert notice_of(page) == f"{NAME} was removed."
    assert page.input_value("#model") == "yamnet/classification"
    assert page.is_hidden("#teach-sounds")
    page.wait_for_selector("#status-by:has-text('yamnet/classification')")  # it hears the street
    page.wait_for_selector("body[data-state=done]")
    page.click("#notice-action")  # undo
    _wait_for(page, "teach-sounds", f"{NAME} · 2×")
    page.click(f"#teach-sounds button[aria-label='Remove {NAME}']")
    page.reload()
    page.wait_for_selector("#badge:not([hidden])")
    assert page.input_value("#model") == "yamnet/classification"
    page.click("#teach-open")
    page.wait_for_selector("#teach-arm:has-text('Open the microphone')")
    assert page.is_hidden("#teach-sounds")


@pytest.mark.slow
def test_oido_trains_on_the_clips_and_hears_by_the_file(
    pages: Pages, on_device: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = pages.open("device")
    hear_street(page)
    _open(page)
    _mark(page, *_sirens(page)[:1] * 4)
    with page.expect_download() as downloading:
        page.click("#teach-clips")
    with zipfile.ZipFile(downloading.value.path()) as clips:
        clips.extractall(tmp_path / "clips")
    trained = tmp_path / "trained.tflite"
    table = str(tmp_path / "clips" / "labels.csv")
    assert run(["train", table, "-o", str(trained), "-q", "--jobs", "1"]) == 0
    labels = oido.AudioClassifier(trained).labels
    assert NAME in labels
    assert len(labels) == 2  # it calls the absence of events by a name of its own

    with page.expect_download() as downloading:
        page.click("#teach-save")
    downloading.value.save_as(tmp_path / KEPT)
    first = next((tmp_path / "clips").glob("Our-siren-*.wav"))
    capsys.readouterr()
    assert run(["classify", str(first), "--model", str(tmp_path / KEPT), "--jobs", "1"]) == 0
    assert NAME in capsys.readouterr().out


_OWN = ("Dog bark", "Rain", "Rooster")


def _esc10(folder: Path, label: str, folds: str, count: int) -> list[Path]:
    with open(folder / "esc10" / "clips.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] == label]
    return [folder / "esc10" / row["file"] for row in rows if row["fold"] in folds][:count]


def _one_after_another(path: Path, clips: Sequence[Path]) -> Path:
    """Clips with two seconds of a quiet place between them."""
    quiet = np.random.default_rng(0).normal(0, 3e-4, 2 * 44_100)
    sounds = [soundfile.read(clip)[0] for clip in clips]
    soundfile.write(
        path, np.concatenate([part for each in sounds for part in (each, quiet)]), 44_100
    )
    return path


def _hear(page: Any, recording: Path) -> list[tuple[str, str]]:
    """Its events: their times and sounds."""
    page.set_input_files("#file", recording)
    page.wait_for_function(
        "name => document.body.dataset.state === 'done' && "
        "document.querySelector('#tab-list [aria-pressed=true]').title.includes(name)",
        arg=recording.stem,
    )
    return rows_of(page)


@pytest.mark.slow
@pytest.mark.parametrize("listed", [False, True])
def test_what_nobody_taught_stays_unknown(
    pages: Pages, on_device: None, shared_audio: Path, tmp_path: Path, listed: bool
) -> None:
    """To a model of three classes that is taught a fourth on the page: clips of four others.

    listed: the page comes with that model; else it is a file that somebody opens."""
    table = tmp_path / "own.csv"
    rows = [f"{clip},{label}" for label in _OWN for clip in _esc10(shared_audio, label, "123", 8)]
    table.write_text("\n".join(["file,label", *rows]), encoding="utf-8")
    own = tmp_path / "own.tflite"
    oido.train(table, jobs=1).export(own)
    cries = _one_after_another(tmp_path / "cries.wav", _esc10(shared_audio, "Baby cry", "123", 6))
    others = [
        clip
        for label in ("Clock tick", "Chainsaw", "Helicopter", "Person sneeze")
        for clip in _esc10(shared_audio, label, "45", 4)
    ]
    strangers = _one_after_another(tmp_path / "strangers.wav", others)
    known = _one_after_another(
        tmp_path / "known.wav",
        [_esc10(shared_audio, label, "45", 1)[0] for label in (*_OWN, "Baby cry")],
    )

    with serving(*(("--model", str(own)) if listed else ())) as started:
        page = pages.open("device", address=started.address)
        if not listed:
            page.set_input_files("#own-model-file", own)
            page.wait_for_selector("#model-about:has-text('calibration')")
        alone = _hear(page, strangers)
        _hear(page, cries)
        _open(page, "Baby cry")
        _mark(page, *range(6), judged="of 6 examples found")
        _use(page)
        page.wait_for_selector(f"#status-by:has-text('{KEPT}')")
        page.reload()  # what it is taught on is known later, too
        page.wait_for_selector("#badge:not([hidden])")
        _open(page, "Baby cry")
        _use(page)
        taught = _hear(page, strangers)
        own_sounds = {what for _, what in _hear(page, known)}
    unknown = [what for _, what in taught].count("Unknown sound")
    assert unknown >= 12  # of 16 clips
    assert len(taught) - unknown <= 8
    assert len(taught) <= len(alone) + 8
    assert own_sounds >= {*_OWN, "Baby cry"}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("", "Give the sound a name first"),
        ("other", "has a meaning of its own"),
        ("  Silence ", "has a meaning of its own"),
        ("=1+1", "begins with a letter or a number"),
        ("x" * 41, "up to 40 characters"),
        ("dog", "knows a sound of the name dog"),
        ("perro", "llamado perro"),
    ],
)
def test_a_name_that_cannot_be_is_said(pages: Pages, on_device: None, name: str, part: str) -> None:
    spanish = name == "perro"
    page = pages.open("device", language="es-ES" if spanish else "en-US")
    _open(page, name)
    page.click("#teach-arm")
    page.wait_for_selector("#teach-problem", state="visible")
    assert part in page.inner_text("#teach-problem")
    assert page.is_hidden("#teach-hold")
    page.wait_for_selector("#teach-name:focus")


def test_a_microphone_that_is_refused_is_said(pages: Pages, on_device: None) -> None:
    refuse = """navigator.mediaDevices.getUserMedia = () =>
        Promise.reject(new DOMException("no", "NotAllowedError"));"""
    page = pages.open("device", before=refuse)
    _open(page)
    page.click("#teach-arm")
    assert notice_of(page).startswith("The microphone is not allowed")
    assert page.is_visible("#teach-arm")
    assert page.is_enabled("#teach-arm")


def test_a_browser_that_keeps_no_examples_says_so(pages: Pages, on_device: None) -> None:
    page = pages.open("device", before="indexedDB.open = () => { throw new Error('private'); };")
    hear_street(page)
    _open(page)
    _mark(page, _sirens(page)[0])
    assert notice_of(page).startswith("The examples are here until this page is closed")
    _use(page)


_RECORDER = """async ({ blocks, presses }) => {
  const { Recorder } = await import("./ui/taught_examples.js");
  const told = [];
  const recorder = new Recorder({ sampleRateHz: 10, windowSamples: 10 }, {
    onExample: (samples) => told.push(["example", samples[0], samples.length]),
    onOther: (samples) => told.push(["other", samples[0], samples.length]),
  });
  for (let block = 0; block < blocks; block++) {
    if (presses[block]) recorder[presses[block]]();
    recorder.push(Float32Array.from({ length: 5 }, (_, n) => 5 * block + n + 1));
  }
  return told;
}"""


def test_examples_and_moments_beside_them_keep_apart(pages: Pages, on_device: None) -> None:
    """Of samples 1, 2, 3 … at 10 Hz, with windows of a second."""
    page = pages.open(None)

    def told(blocks: int, **presses: str) -> list[list[Any]]:
        at = {int(block[1:]): what for block, what in presses.items()}
        return page.evaluate(_RECORDER, {"blocks": blocks, "presses": at})

    # Moments follow each other, half a second late.
    assert told(7) == [["other", 1, 10], ["other", 11, 10], ["other", 21, 10]]
    # What was heard right before a press is no moment, and none begins right behind it.
    assert told(11, b3="hold", b6="release") == [
        ["other", 1, 10], ["example", 16, 15], ["other", 36, 10],
    ]  # fmt: skip
    # A short press is as long as a window; a long one ends by itself.
    assert told(5, b1="hold", b2="release")[0] == ["example", 6, 10]
    assert told(22, b1="hold")[0] == ["example", 6, 100]


_JUDGE = """async ({ clips, nClasses }) => {
  const { judgeHead } = await import("./core/head_judge.js");
  const learnt = clips.map(([label, ...values]) => {
    const rows = values.map((value) => Float32Array.of(value, 1 - value, 0.5));
    return { label, rows, weights: rows.map(() => 1) };
  });
  return await judgeHead(learnt, nClasses);
}"""


def test_each_example_is_judged_by_the_others(pages: Pages, on_device: None) -> None:
    page = pages.open(None)
    high, low = [0, 0.9], [1, 0.1]
    clear = {"clips": [high] * 5 + [low] * 5, "nClasses": 2}
    assert page.evaluate(_JUDGE, clear) == {
        "nFound": 5, "nExamples": 5, "nMistaken": 0, "nOther": 5, "isTooFew": False,
    }  # fmt: skip
    # One that is like the others' opposite is not found; a moment with the sound is mistaken.
    mixed = {"clips": [high] * 4 + [[0, 0.1]] + [low] * 5 + [[1, 0.1, 0.9]], "nClasses": 2}
    assert page.evaluate(_JUDGE, mixed) == {
        "nFound": 4, "nExamples": 5, "nMistaken": 1, "nOther": 6, "isTooFew": False,
    }  # fmt: skip
    # What has no second one cannot be judged, and few are said to be few.
    few = {"clips": [high, low, low], "nClasses": 2}
    assert page.evaluate(_JUDGE, few) == {
        "nFound": 0, "nExamples": 0, "nMistaken": 0, "nOther": 2, "isTooFew": True,
    }  # fmt: skip
