# SPDX-License-Identifier: Apache-2.0
"""A taught model says nothing of sounds that it was not taught, and can say that it does not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.cli.main import run
from oido.live.monitor import LiveMonitor
from oido.live.pipe import PcmReader
from oido.live.rule_engine import Rule, RuleEngine
from oido.live.triggers import parse_condition
from oido.params import Detection
from tests.training.taught_sounds import make_sounds

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    make_sounds(folder / "sounds")
    model = folder / "taught.tflite"
    oido.train(oido.Dataset.from_folder(folder / "sounds"), cache=False).export(model)
    return model


def strange() -> np.ndarray:
    """Two seconds of a rough buzz in ten of near silence."""
    rng = np.random.default_rng(5)
    sound = 0.001 * rng.standard_normal(16_000 * 10)
    voice = np.sign(np.sin(2 * np.pi * 130 * np.arange(16_000 * 2) / 16_000))
    sound[16_000 * 6 : 16_000 * 8] += 0.4 * voice * (rng.random(32_000) > 0.3)
    return sound.astype(np.float32)


def test_a_stretch_unlike_all_that_was_taught_is_no_event(taught: Path) -> None:
    result = oido.AudioClassifier(taught).classify(strange(), 16_000)
    assert result.is_unknown
    assert result.events(threshold=0.01) == []


def test_it_is_an_event_called_unknown_if_that_is_asked_for(taught: Path) -> None:
    result = oido.AudioClassifier(taught).classify(strange(), 16_000)
    (event,) = result.events(unknown=True)
    assert (event.label, event.label_index, event.display_name) == ("unknown", -1, "unknown")
    assert event.start_time == pytest.approx(6.0, abs=0.05)
    assert event.end_time == pytest.approx(8.0, abs=0.05)
    assert event.also[0] in result.labels


def triggered(model: Path, samples: np.ndarray) -> list[tuple[str, float, float]]:
    """What each of the model's classes sets off: state, start and end of its sound."""
    classifier = oido.AudioClassifier(model)
    pipe = io.BytesIO((samples * 32_767).astype("<i2").tobytes())
    monitor = LiveMonitor(classifier, PcmReader(pipe, 16_000), Detection())
    rules = [Rule(parse_condition(f"{label}>0.3")) for label in classifier.labels]
    monitor.rule_engine = RuleEngine(
        rules, classifier.postprocessor, classifier.windowing, monitor.info, monitor.clock.at
    )
    changes = [change for update in monitor for change in update.triggers]
    changes += monitor.finish().triggers
    return [(change.state, change.start_time, change.end_time) for change in changes]


def test_what_is_no_event_sets_no_trigger_off(taught: Path) -> None:
    assert triggered(taught, strange()) == []


def test_a_trigger_goes_off_in_the_silence_behind_its_sound(taught: Path) -> None:
    """Where the scores of a few classes, which share one sum, are all above half a threshold."""
    sound, rate = soundfile.read(next((taught.parent / "sounds").glob("beep/*")))
    assert rate == 16_000
    (on, off) = triggered(taught, np.concatenate([sound, np.zeros(16_000 * 10)]))
    assert (on[0], off[0]) == ("on", "off")
    assert off[2] < len(sound) / rate + 1


def test_the_base_that_is_kept_knows_what_it_always_knew(
    taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = oido.Dataset.from_folder(taught.parent / "sounds")
    model = tmp_path / "both.tflite"
    oido.train(data, cache=False).export(model, keep_base=True)
    street = oido.AudioClassifier(model).classify("examples/street.flac")
    base = street.of_head(street.heads[0])
    assert "Speech" in {event.label for event in base.events()}
    assert "Speech" not in {event.label for event in street.events()}
    assert street.is_unknown is True
    assert (base.is_unknown, base.similarities) == (None, None)
    words = ["classify", "examples/street.flac", "--model", str(model), "-q"]
    assert run([*words, "--head", street.heads[0]]) == 0
    assert "unlike everything" not in capsys.readouterr().out
    assert run(words) == 0
    assert "unlike everything" in capsys.readouterr().out


def test_the_command_counts_them_and_lists_them_if_asked(
    taught: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = tmp_path / "strange.wav"
    soundfile.write(sound, strange(), 16_000)
    assert run(["classify", str(sound), "--model", str(taught)]) == 0
    assert "(unlike everything that this model was taught" in capsys.readouterr().out
    assert run(["classify", str(sound), "--model", str(taught), "--unknown"]) == 0
    assert "  unknown\n" in capsys.readouterr().out
    output = tmp_path / "events.csv"
    options = ["--model", str(taught), "--unknown", "-o", str(output), "-q"]
    assert run(["classify", str(sound), *options]) == 0
    (row,) = output.read_text("utf-8").splitlines()[1:]
    assert ",unknown,-1," in row


def test_the_kept_head_of_a_model_of_ones_own_still_tells_unknown_sounds(
    taught: Path, tmp_path: Path
) -> None:
    """Each head by what it was taught itself: two pitches here, three kinds of sounds there."""
    time = np.arange(32_000) / 16_000
    for number in range(6):
        for name, pitch in (("high", 3_000), ("low", 150)):
            sound = 0.3 * np.sin(2 * np.pi * (pitch + 20 * number) * time)
            (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(tmp_path / "data" / name / f"{name}-{number}.wav", sound, 16_000)
    made = tmp_path / "made.tflite"
    data = oido.Dataset.from_folder(tmp_path / "data")
    oido.train(data, model=taught, cache=False).export(made, keep_base=True)

    alone = oido.AudioClassifier(taught).classify(strange(), 16_000)
    kept = oido.AudioClassifier(made, head="base").classify(strange(), 16_000)
    assert kept.is_unknown
    assert kept.events(threshold=0.01) == []
    assert kept.events(unknown=True) == alone.events(unknown=True)
    np.testing.assert_allclose(kept.similarities, alone.similarities, atol=1e-6)
    last = oido.AudioClassifier(made)
    assert last.classify(strange(), 16_000).similarities is not None
    assert not np.allclose(last.classify(strange(), 16_000).similarities, kept.similarities)
    novelty = last.model.base_novelty
    assert novelty is not None
    assert novelty.threshold == oido.AudioClassifier(taught).model.least_similarity

    # Also without a sense for unknown sounds of its own, and once it was exported again.
    oido.train(data, model=taught, cache=False).export(made, keep_base=True, unknown=False)
    assert oido.AudioClassifier(made).classify(strange(), 16_000).is_unknown is None
    again = tmp_path / "again.tflite"
    oido.export(made, again)
    for path in (made, again):
        kept = oido.AudioClassifier(path, head="base").classify(strange(), 16_000)
        np.testing.assert_allclose(kept.similarities, alone.similarities, atol=1e-6)
