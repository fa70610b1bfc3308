# SPDX-License-Identifier: Apache-2.0
"""However fine-tuning ends - early, out of time, interrupted - the best weights are kept."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tests.torch.toys import WINDOWS, changed, clip_probabilities, states, toy

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")
from oido.torch.finetune import FinetuneOptions, finetune  # noqa: E402

QUICK = FinetuneOptions(stages=(1, 2), epochs=2, head_epochs=4, views=1, windows_per_clip=2)


def test_early_stop(network):
    """A rate far too high makes it worse: the phase ends, and the weights before it are kept."""
    options = dataclasses.replace(
        QUICK, stages=(1, 6), epochs=8, patience=2, rate=0.05, rate_decay=1.0, head_epochs=20
    )
    before = states(network)
    result = finetune(network, toy(), WINDOWS, validation=toy(), options=options)
    deeper = [r for r in result.history if r.share == 1.0]
    assert len(deeper) < 8
    assert not any(r.best for r in deeper[-2:])
    assert result.stopped == "finished"
    assert result.best.stages == 1, "of a rate that spoils everything"
    assert changed(before, network) == {"head"}


def test_no_time_trains_the_head_alone(network):
    options = dataclasses.replace(QUICK, max_minutes=0.0, views=3)
    result = finetune(network, toy(), WINDOWS, options=options)
    assert result.stopped == "time"
    assert [r.stages for r in result.history] == [1] * 4


def test_time_that_is_over_in_a_phase_keeps_the_best(network, monkeypatch):
    clock = SimpleNamespace(minutes=0.0)
    fake = SimpleNamespace(monotonic=lambda: 60 * clock.minutes, process_time=time.process_time)
    monkeypatch.setattr("oido.torch.finetune.time", fake)

    def tell(report):
        clock.minutes = 6.0 if report.stages > 1 else 4.0

    options = dataclasses.replace(QUICK, max_minutes=5.0, epochs=5)
    others = toy()
    result = finetune(network, toy(), WINDOWS, validation=others, options=options, progress=tell)
    assert result.stopped == "time"
    assert [r.stages for r in result.history if r.share in {0.0, 1.0}] == [1] * 4 + [2]
    loss = -np.log((clip_probabilities(network, others) * others.targets).sum(axis=1)).mean()
    assert loss == pytest.approx(result.best.validation_loss, abs=2e-3)


@pytest.mark.parametrize(("minutes", "views"), [(5.0, 1), (None, 3)])
def test_changed_views_take_a_quarter_of_the_time(network, monkeypatch, minutes, views):
    """The rest is for the stages before the head."""
    clock = SimpleNamespace(minutes=0.0, loads=0)
    fake = SimpleNamespace(monotonic=lambda: 60 * clock.minutes, process_time=time.process_time)
    monkeypatch.setattr("oido.torch.finetune.time", fake)

    class Slow(list):
        def __getitem__(self, index):
            clock.minutes += 0.05
            clock.loads += 1
            return super().__getitem__(index)

    sounds = toy()
    slow = dataclasses.replace(sounds, waveforms=Slow(sounds.waveforms))
    options = dataclasses.replace(QUICK, stages=(1,), views=3, max_minutes=minutes)
    result = finetune(network, slow, WINDOWS, validation=sounds, options=options)
    assert clock.loads == 12 + 24 * views  # each clip, and its two windows for each view
    assert result.stopped == "finished"


def test_phases_share_the_time(network, monkeypatch):
    clock = SimpleNamespace(minutes=0.0)
    fake = SimpleNamespace(monotonic=lambda: 60 * clock.minutes, process_time=time.process_time)
    monkeypatch.setattr("oido.torch.finetune.time", fake)

    def advance(report):
        clock.minutes += 1.0 if report.stages > 1 else 0.0

    options = dataclasses.replace(
        QUICK, stages=(1, 2, 3), max_minutes=4.0, epochs=9, patience=9, head_epochs=2
    )
    others = toy()
    result = finetune(network, toy(), WINDOWS, validation=others, options=options, progress=advance)
    assert [r.stages for r in result.history if r.share in {0.0, 1.0}] == [1, 1, 2, 2, 3, 3]
    assert result.stopped == "time"


def test_an_interrupted_run_keeps_the_best(network):
    class Interrupting(list):
        """Clips, of which the hundredth to be asked for is never loaded."""

        asked = 0

        def __getitem__(self, index):
            self.asked += 1
            if self.asked == 100:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    sounds = toy()
    stopping = dataclasses.replace(sounds, waveforms=Interrupting(sounds.waveforms))
    options = dataclasses.replace(QUICK, epochs=50, patience=50)
    result = finetune(network, stopping, WINDOWS, validation=sounds, options=options)
    assert result.stopped == "interrupted"
    assert 4 <= len(result.history) < 54
    loss = -np.log((clip_probabilities(network, sounds) * sounds.targets).sum(axis=1)).mean()
    assert loss == pytest.approx(result.best.validation_loss, abs=2e-3)
    assert not network.training


def test_an_interruption_before_anything_is_learnt_goes_on(network):
    def interrupt(_):
        raise KeyboardInterrupt

    class Never(list):
        def __getitem__(self, index):
            raise KeyboardInterrupt

    sounds = dataclasses.replace(toy(), waveforms=Never(toy().waveforms))
    with pytest.raises(KeyboardInterrupt):
        finetune(network, sounds, WINDOWS, options=QUICK)
    result = finetune(network, toy(), WINDOWS, options=QUICK, progress=interrupt)
    assert result.stopped == "interrupted"
    assert len(result.history) == 1
