# SPDX-License-Identifier: Apache-2.0
"""What a student learns of clips: half the label where it surely holds, else the teacher alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import oido
from oido.errors import AudioError
from oido.training.distillation import HARD_SHARE, DistillationTargets
from oido.training.train import train
from tests.signal.decode.wav_bytes import wav
from tests.training.taught_sounds import KINDS, make_sounds

NEVER = float("inf")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sounds(tmp_path_factory.mktemp("taught") / "sounds", each=4)


@pytest.fixture(scope="module")
def teacher(sounds: Path) -> oido.AudioClassifier:
    return train(oido.Dataset.load(sounds)).classifier()


def with_a_quiet_end(folder: Path) -> oido.Dataset:
    """Beeps of two seconds, each with two seconds behind it that are 60 dB lower."""
    for path in make_sounds(folder, each=2, seed=1).glob("*/*.wav"):
        samples, rate = soundfile.read(path)
        path.write_bytes(wav(np.concatenate([samples, samples / 1000]), rate))
    return oido.Dataset.load(folder)


def test_a_label_weighs_half_where_it_is_loud_and_nothing_where_it_is_quiet(
    teacher: oido.AudioClassifier, tmp_path: Path
) -> None:
    data = with_a_quiet_end(tmp_path / "ends")
    made = DistillationTargets.of(teacher, data, NEVER)
    assert (set(made.labels), made.output) == (set(KINDS), "softmax")
    alone = DistillationTargets.of(teacher, data, weak_from=1.0).of_clips(data)
    for (clip, content), (_, by_teacher) in zip(made.of_clips(data), alone):
        assert not isinstance(by_teacher, AudioError)
        assert not isinstance(content, AudioError)
        frames, targets, weight, is_background = content
        assert (frames.shape[1], is_background) == (made.params.bands, False)
        assert weight == pytest.approx(1.0)
        assert len(targets) == len(frames) - made.params.patch_frames + 1
        np.testing.assert_allclose(targets.sum(axis=1), 1.0, rtol=1e-5)
        (label,) = clip.labels
        column = made.of_labels[label]
        half = HARD_SHARE + (1 - HARD_SHARE) * by_teacher[1][0, column]
        assert targets[0, column] == pytest.approx(half, rel=1e-5)
        np.testing.assert_array_equal(targets[-1], by_teacher[1][-1])


def test_of_long_recordings_the_teacher_alone_says_what_is_in_a_window(
    teacher: oido.AudioClassifier, sounds: Path
) -> None:
    data = oido.Dataset.load(sounds)
    ends = [DistillationTargets.of(teacher, data, weak_from) for weak_from in (NEVER, 1.0)]
    for (clip, known), (_, weak) in zip(*(made.of_clips(data) for made in ends)):
        hard = np.zeros(len(KINDS))
        hard[ends[0].of_labels[clip.labels[0]]] = 1.0
        np.testing.assert_allclose(
            known[1], HARD_SHARE * hard + (1 - HARD_SHARE) * weak[1], atol=1e-5
        )


def test_a_model_of_all_of_audioset_teaches_the_labels_of_the_data(tmp_path: Path) -> None:
    make_sounds(tmp_path / "sounds", each=2)
    (tmp_path / "sounds" / "beep").rename(tmp_path / "sounds" / "Beep, bleep")
    (tmp_path / "sounds" / "click").rename(tmp_path / "sounds" / "Clicking")
    (tmp_path / "sounds" / "hiss").rename(tmp_path / "sounds" / "Hiss")
    data = oido.Dataset.load(tmp_path / "sounds")
    made = DistillationTargets.of(oido.AudioClassifier(), data, NEVER)
    assert (set(made.labels), made.output) == ({"Beep, bleep", "Clicking", "Hiss"}, "sigmoid")
    _, content = next(made.of_clips(data))
    assert content[1].shape[1] == 3


def test_a_clip_that_cannot_be_heard_says_why_and_the_others_go_on(
    teacher: oido.AudioClassifier, tmp_path: Path
) -> None:
    make_sounds(tmp_path / "sounds", each=2)
    data = oido.Dataset.load(tmp_path / "sounds")
    Path(data[0].path).write_bytes(b"not sound")
    contents = [
        content for _, content in DistillationTargets.of(teacher, data, NEVER).of_clips(data)
    ]
    assert isinstance(contents[0], AudioError)
    assert not any(isinstance(content, AudioError) for content in contents[1:])
