# SPDX-License-Identifier: Apache-2.0
"""Students from end to end: distilled, exported, run, judged beside their teacher."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.batch.plan import Plan
from oido.batch.unit_worker import UnitWorker
from oido.batch.units import RunSpec
from oido.inference.predictor import Predictor
from oido.models.loading import load_model
from oido.models.model import FixedPointNetwork
from oido.params import FixedPointParams
from oido.runtime.litert import WholeRuntime
from oido.server.device_model import device_model
from tests.signal.decode.wav_bytes import wav
from tests.training.taught_sounds import KINDS, make_sounds

pytest.importorskip("torch", reason="needs oido[torch]")

from oido.training.student import StudentResult, train_student


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_sounds(tmp_path_factory.mktemp("student") / "sounds", each=8)
    dice = np.random.default_rng(3)
    for _ in range(8):
        path = folder / "background" / f"{dice.integers(10**9):09}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(wav(dice.normal(0, 10 ** dice.uniform(-4, -3), 32_000), 16_000))
    return folder


@pytest.fixture(scope="module")
def student(sounds: Path) -> StudentResult:
    return train_student(oido.Dataset.load(sounds), steps=250)


@pytest.fixture(scope="module")
def exported(student: StudentResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return student.export(tmp_path_factory.mktemp("exported") / "small.tflite")


def test_the_report_has_what_a_microcontroller_asks_for(student: StudentResult) -> None:
    facts = student.facts
    assert facts["weights"] <= 100_000
    assert facts["bytes of the file"] == len(student.content) < 130_000
    assert 15_000 < facts["bytes of the arena"] < 40_000
    assert facts["accuracy of the student, held out"] >= 0.75
    assert facts["accuracy of the teacher, held out"] >= 0.75
    assert 0 <= facts["false events per hour, student"] < 7_200  # one in each half second
    assert facts["false events per hour, teacher"] >= 0
    text = str(student.report)
    for name in ("weights", "bytes of the arena", "false events per hour, student"):
        assert name in text
    assert "planned greedily" in text
    assert "a student of yamnet/classification: " in text
    held_out = {clip.group for clip in student.test}
    assert not held_out & {clip.group for clip in student.train}


def test_a_student_is_a_model_as_others_are(exported: Path, sounds: Path) -> None:
    model = load_model(exported)
    assert isinstance(model.network, FixedPointNetwork)
    assert model.precision == "int8"
    assert model.windows == FixedPointParams().windows
    assert set(model.labels) == {*KINDS, "background"}
    classifier = oido.AudioClassifier(exported)
    right = 0
    for kind in KINDS:
        for path in sorted((sounds / kind).iterdir()):
            right += classifier.classify(path).top(1)[0].label == kind
    assert right >= 20  # of 24, most of them learnt
    with pytest.raises(oido.OptionError, match="is a student, which gives scores only"):
        oido.AudioEmbedder(exported)
    with pytest.raises(oido.OptionError, match="copy it instead"):
        oido.export(str(exported), exported.with_name("again.tflite"))
    with pytest.raises(oido.OptionError, match="whose features a browser does not make"):
        device_model(model)


def test_students_are_run_by_the_kernels_that_microcontrollers_have(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def runtime(content: bytes, **options: bool) -> WholeRuntime:
        asked.append(options)
        return WholeRuntime(content, **options)

    monkeypatch.setattr("oido.inference.predictor.WholeRuntime", runtime)
    Predictor.of(load_model(exported))
    assert asked == [{"reference": True}]


def test_both_kinds_of_kernels_say_the_same(student: StudentResult) -> None:
    assert student.kernels.windows >= 16
    assert student.kernels.largest <= 2 / 256


def test_windows_in_a_row_are_those_that_each_would_be_alone(exported: Path) -> None:
    classifier = oido.AudioClassifier(exported)
    windows = FixedPointParams().windows
    samples = np.random.default_rng(0).normal(0, 0.1, 5 * 16_000).astype(np.float32)
    whole = classifier.classify(samples, 16_000)
    for number in (0, 3):
        start = number * windows.hop_samples
        alone = classifier.classify(samples[start : start + windows.window_samples], 16_000)
        np.testing.assert_array_equal(alone.scores[0], whole.scores[number])


def test_it_is_called_by_what_it_is_a_student_of(
    student: StudentResult, exported: Path, tmp_path: Path
) -> None:
    made = load_model(exported)
    assert made.name == "student of yamnet/classification"
    assert "; a student of yamnet/classification. " in made.summary
    text = student.export(tmp_path / "small.h").read_text("utf-8")
    assert text.startswith("/* A student of yamnet/classification, made by")


def test_the_c_file_is_the_model_with_the_tables(student: StudentResult, tmp_path: Path) -> None:
    path = student.export(tmp_path / "small.cc")
    text = path.read_text(encoding="utf-8")
    assert f"#define OIDO_ARENA_BYTES {student.facts['bytes of the arena']} " in text
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    student.export(tmp_path / "small.c")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "small.c"\nint main(void) {\n'
        '  for (int k = 0; k < OIDO_LABELS; ++k) fprintf(stderr, "%s\\n", oido_labels[k]);\n'
        "  fwrite(oido_student, 1, oido_student_bytes, stdout);\n"
        "  return sizeof oido_window != 1024;\n}\n"
    )
    program = str(tmp_path / "main")
    made = [compiler, "-std=c99", "-Wall", "-Werror", str(tmp_path / "main.c"), "-o", program]
    subprocess.run(made, check=True)
    done = subprocess.run([program], capture_output=True, check=True)
    assert done.stdout == student.content
    assert done.stderr.decode().splitlines() == list(student.labels)


def test_an_archive_that_is_to_keep_its_embeddings_is_not_begun(exported: Path) -> None:
    """It has none; each recording of the archive failed."""
    spec = RunSpec(Plan(model=str(exported)), str(exported.parent / "results"), embeddings=True)
    with pytest.raises(oido.OptionError, match="is a student, which gives scores only"):
        UnitWorker(spec)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file(sounds: Path, student: StudentResult) -> None:
    again = train_student(oido.Dataset.load(sounds), steps=250)
    assert again.content == student.content


def test_a_file_of_another_front_end_is_refused(exported: Path, tmp_path: Path) -> None:
    content = exported.read_bytes()
    for old, new, said in (
        (b'"front_end": "fixed-point-1"', b'"front_end": "fixed-point-9"', "is of a newer oido"),
        (b'"front_end": "fixed-point-1"', b'"front_end": 1             ', "damaged"),
    ):
        assert content.count(old) == 1
        other = tmp_path / "other.tflite"
        # The ZIP's checksum is not looked at by name, so it is made anew.
        other.write_bytes(_repacked(content, old, new))
        with pytest.raises(oido.ModelError, match=said):
            load_model(other)


def _repacked(content: bytes, old: bytes, new: bytes) -> bytes:
    import io
    import zipfile

    start = content.index(b"PK\x03\x04")
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content[start:])) as before, zipfile.ZipFile(packed, "w") as z:
        for entry in before.infolist():
            z.writestr(entry.filename, before.read(entry).replace(old, new))
    return content[:start] + packed.getvalue()


def test_the_command(sounds: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "oido", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ},
        )

    taught = run("train", sounds, "-o", "taught.tflite", "-q")
    assert taught.returncode == 0, taught.stderr
    files = ("-o", "s.tflite", "--c-array", "s.cc", "--report", "s.json")
    done = run(
        "train", sounds, "--student", "--from", "taught.tflite", *files, "--minutes", "0.1", "-q"
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy of the teacher, held out" in done.stdout
    assert "an arena of" in done.stdout
    assert (tmp_path / "s.cc").stat().st_size > (tmp_path / "s.tflite").stat().st_size
    heard = run("classify", sounds / "click", "--model", "s.tflite")
    assert heard.returncode == 0, heard.stderr
    known = run("models", "info", "s.tflite")
    assert "in whole numbers: 48 frames of 40 mel bands" in known.stdout
    for wrong, said in (
        (("--student", "--finetune", "-o", "s.tflite"), "choose one"),
        (("--student", "-o", "s.onnx"), "a student is a .tflite, or C"),
        (("--from", "taught.tflite", "-o", "s.tflite"), "--from goes with --student"),
        (("--student", "--c-array", "s.txt"), "--c-array needs a name that ends in .cc"),
    ):
        refused = run("train", sounds, *wrong)
        assert refused.returncode == 2
        assert said in refused.stderr
