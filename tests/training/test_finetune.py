# SPDX-License-Identifier: Apache-2.0
"""``oido train --finetune`` from end to end, on made sounds and for seconds only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import oido
from oido.training.finetune import finetune
from tests.training.taught_sounds import KINDS, make_sounds

pytest.importorskip("torch", reason="fine-tuning needs oido[torch]")


@pytest.mark.slow
def test_a_network_is_taught_judged_and_exported(tmp_path: Path) -> None:
    sounds = make_sounds(tmp_path / "sounds", each=5, seconds=1.0)
    (sounds / "beep" / "broken.wav").write_bytes(b"RIFF")
    lines: list[str] = []
    result = finetune(oido.Dataset.load(sounds), max_minutes=0.05, on_message=lines.append)
    assert [Path(item.name).name for item in result.left_out] == ["broken.wav"]
    assert len(result.train) + len(result.test) == 15
    assert lines
    assert result.report.to_dict()["clip_accuracy"] >= 0.6
    made = result.export(tmp_path / "sounds.tflite")
    assert made.largest_difference < 1e-4
    heard = oido.AudioClassifier(tmp_path / "sounds.tflite", jobs=1)
    assert heard.labels == KINDS
    clip = result.test[0].path
    own = oido.AudioClassifier(result.model, jobs=1).classify(clip)
    np.testing.assert_allclose(heard.classify(clip).scores, own.scores, atol=1e-4)


def test_what_cannot_be_trained_further_is_told(tmp_path: Path) -> None:
    sounds = make_sounds(tmp_path / "sounds", each=1)
    with pytest.raises(oido.OptionError, match="only class"):
        finetune(oido.Dataset.load(sounds).subset([0]))
