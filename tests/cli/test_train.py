# SPDX-License-Identifier: Apache-2.0
"""``oido train``, as people run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.training.taught_sounds import make_sounds


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "folder.tflite").mkdir()
    (folder / "sounds.tflite").write_text("a file")
    (folder / "readme.txt").write_text("a file")
    make_sounds(folder / "sounds")
    (folder / "sounds" / "beep" / "broken.wav").write_bytes(b"RIFF")
    (folder / "sounds" / "readme.txt").write_text("not a recording")
    return folder


def oido(desk: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oido", *map(str, arguments)],
        cwd=desk,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
    )


def test_a_folder_becomes_a_classifier_a_report_and_then_events(desk: Path) -> None:
    done = oido(
        desk, "train", "sounds", "-o", "s.tflite", "--report", "s.html", "--no-cache", "--seed", "3"
    )
    assert done.returncode == 3, done.stderr  # one recording was left out
    assert "left out: " in done.stderr
    assert "broken.wav" in done.stderr
    assert "clip accuracy" in done.stdout
    assert "its scores differ by at most" in done.stdout
    assert (desk / "s.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    heard = oido(
        desk, "classify", "sounds/click/click-1.wav", "--model", "s.tflite", "--format", "jsonl"
    )
    rows = [json.loads(line) for line in heard.stdout.splitlines()]
    assert {row["label"] for row in rows} == {"click"}
    assert all(0.0 < row["probability"] <= 1.0 for row in rows)
    judged = oido(desk, "evaluate", "s.tflite", "sounds", "--json", "s.json")
    assert judged.returncode == 3, judged.stderr
    assert json.loads((desk / "s.json").read_text())["clip_accuracy"] >= 0.9


def test_a_check_tells_what_is_there_and_writes_nothing(desk: Path) -> None:
    before = sorted(desk.iterdir())
    done = oido(desk, "train", "sounds", "--check")
    assert done.returncode == 0, done.stderr
    for word in ("beep", "click", "hiss", "broken.wav"):
        assert word in done.stdout
    assert sorted(desk.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sounds",), "say where to write"),
        (("sounds", "-o", "s.h5"), "name it so"),
        (("nowhere", "-o", "s.tflite"), "no such folder"),
        (("sounds", "-o", "s.tflite", "--jobs", "0"), "must be 1 or more"),
        (("sounds", "-o", "s.tflite", "--seed", "-1"), "must be from 0 to 4294967295, not -1"),
        (("sounds/beep", "-o", "s.tflite"), ""),
        # What could be told only after the training is told before.
        (("sounds", "-o", "s.tflite", "--report", "r.pdf"), "--report needs a name"),
        (("sounds", "-o", "s.tflite", "--report", "report"), "--report needs a name"),
        (("sounds", "-o", "sounds.tflite/x.tflite"), "is no folder"),
        (("sounds", "-o", "s.tflite", "--report", "readme.txt/r.html"), "is no folder"),
        (("sounds", "-o", "folder.tflite"), "is a folder"),
        # What would do nothing is not passed over in silence.
        (("sounds", "-o", "s.tflite", "--minutes", "1"), "--minutes goes with --student or --fine"),
        (("sounds", "-o", "s.tflite", "--finetune", "--augment", "2"), "--augment is not for"),
        (("sounds", "-o", "s.tflite", "--finetune", "--weak-from", "0"), "--weak-from is not for"),
        (("sounds", "-o", "s.tflite", "--student", "--keep-base"), "--keep-base is not for"),
        (("sounds", "-o", "s.tflite", "--student", "--minutes", "0"), "must be above 0"),
    ],
)
def test_a_wrong_command_is_one_sentence(
    desk: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = oido(desk, "train", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("oido: ")
    assert "recordings heard" not in done.stderr  # nothing was begun
    assert not done.stdout
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("mn04_is_here")
def test_both_networks_teach_one_file(desk: Path) -> None:
    train = ("train", "sounds", "-o", "both.tflite", "--model", "ensemble", "--no-cache")
    refused = oido(desk, *train, "--keep-base")
    assert refused.returncode == 2
    assert "leave the base's out" in refused.stderr
    assert "recordings heard" not in refused.stderr
    done = oido(desk, *train)
    assert done.returncode == 3, done.stderr  # one recording was left out
    assert "both.tflite: 7." in done.stdout  # MB
    heard = oido(
        *(desk, "classify", "sounds/click/click-1.wav", "--model", "both.tflite"),
        *("--format", "jsonl"),
    )
    rows = [json.loads(line) for line in heard.stdout.splitlines()]
    assert {row["label"] for row in rows} == {"click"}


@pytest.mark.slow
def test_train_says_what_a_check_says(desk: Path) -> None:
    shutil.copytree(desk / "sounds", desk / "odd")
    for number in range(3):  # takes of one recording in a class, and one sound in two classes
        shutil.copy(desk / "odd" / "click" / f"click-{number}.wav", desk / "odd" / "hiss")
    for number, name in enumerate(["rex-1", "rex-2", "ben", "max"]):
        (desk / "odd" / "beep" / f"beep-{number}.wav").rename(desk / "odd" / "beep" / f"{name}.wav")
    checked = oido(desk, "train", "odd", "--check").stdout.partition("\n\n")[2].splitlines()
    done = oido(desk, "train", "odd", "--report", "odd.json", "--no-cache")
    assert done.returncode == 3, done.stderr
    told = [line.removeprefix("oido: ") for line in done.stderr.splitlines()]
    assert "same content with different labels: 3" in told
    assert [line for line in told if line.startswith("by their names, 4 recordings")]
    for line in checked:
        if "broken.wav" not in line and not line.startswith("left out"):
            assert line in told
    # A file that is left out is named once, and its sentence does not name it again.
    (broken,) = [line for line in told if "broken.wav" in line]
    assert broken.count("broken.wav") == 1
    report = json.loads((desk / "odd.json").read_text("utf-8"))
    assert report["dataset"]["conflicts"]
    assert "with different labels" in json.dumps(report["verdict"])


@pytest.mark.slow
def test_the_report_begins_with_three_figures_and_a_sentence(desk: Path) -> None:
    done = oido(desk, "train", "sounds", "--report", "lead.html")
    _, _, *figures, _, sentence, empty = done.stdout.splitlines()[:8]
    assert [line.split()[0] for line in figures] == ["clip", "precision", "recall"]
    assert "it names the class of" in sentence
    assert not empty
    page = (desk / "lead.html").read_text("utf-8")
    lead = page[page.index("<main>") : page.index("<section>")]
    assert lead.count("<strong>") == 3
    assert "it names the class of" in lead
    assert page.index("More figures") < page.index("ROC-AUC")


def test_one_clip_of_each_is_no_classifier_to_rely_on(desk: Path) -> None:
    for label in ("click", "hiss"):
        (desk / "one" / label).mkdir(parents=True)
        shutil.copy(desk / "sounds" / label / f"{label}-1.wav", desk / "one" / label)
    done = oido(desk, "train", "one", "-o", "one.tflite")
    assert done.returncode == 0
    assert "NOTHING is known of how good it is" in done.stderr


@pytest.mark.slow
def test_one_recording_with_its_label_track_is_judged_by_its_own_stretches_if_wanted(
    desk: Path,
) -> None:
    (desk / "long").mkdir()
    pieces, lines, at = [], [], 0.0
    for path in sorted((desk / "sounds").rglob("*-?.wav")):
        samples, rate_hz = soundfile.read(path)
        pieces += [samples, np.zeros(2 * rate_hz)]
        lines.append(f"{at}\t{at + len(samples) / rate_hz}\t{path.parent.name}\n")
        at += len(samples) / rate_hz + 2
    soundfile.write(desk / "long" / "day.wav", np.concatenate(pieces), rate_hz)
    (desk / "long" / "day.txt").write_text("".join(lines))
    done = oido(desk, "train", "long", "-o", "long.tflite")
    assert "NOTHING is known of how good it is" in done.stderr
    assert "--each-is-a-source judges it by other stretches" in done.stderr
    done = oido(desk, "train", "long", "-o", "long.tflite", "--each-is-a-source")
    assert done.returncode == 0
    assert "comes out better than it is elsewhere" in done.stderr
    assert f"from {2 * len(lines)} sources" in done.stdout  # and as many gaps


def test_one_class_alone_is_refused_by_one_sentence(desk: Path) -> None:
    shutil.copytree(desk / "sounds" / "click", desk / "alone" / "click")
    done = oido(desk, "train", "alone", "-o", "alone.tflite")
    assert done.returncode == 2
    assert done.stderr.count("'click' is the only class") == 1


@pytest.mark.slow
def test_a_report_that_cannot_be_written_costs_no_classifier(desk: Path) -> None:
    """A disk may fill while the report is made; the file is there by then."""
    script = (
        "import sys, oido.evaluation.report as r, oido.errors as e, oido.cli.main as m\n"
        "def full(*_): raise e.OutputError('r.html cannot be written: No space left on device')\n"
        "r.Report.save = full\n"
        "sys.exit(m.run(['train', 'sounds', '-o', 'kept.tflite', '--report', 'r.html']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=desk, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert (desk / "kept.tflite").stat().st_size > 1_000_000
