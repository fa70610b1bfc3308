# SPDX-License-Identifier: Apache-2.0
"""Rates, chance and averaged weights, as every training has them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'oido[torch]'")

from oido.torch.optimization import RunningMean, descend, rate_shares, seeded  # noqa: E402


def test_rates_rise_and_fall_to_nothing():
    shares = list(rate_shares(100, 0.1))
    assert len(shares) == 100
    assert shares[0] == pytest.approx(0.1)
    assert int(np.argmax(shares)) == 9
    assert shares[9] == pytest.approx(0.98, abs=0.01)
    assert np.diff(shares[9:]).max() < 0
    assert shares[50] == pytest.approx(0.5)
    assert shares[-1] < 0.001
    assert next(rate_shares(10, 0.0)) == 1.0


def test_a_training_that_time_ends_has_come_down_by_then():
    """A hundredth of the steps is all that there is time for."""
    clock = iter(np.arange(0.0, 1.2, 0.1))
    shares = list(rate_shares(1_000, 0.2, lambda: float(next(clock))))
    assert len(shares) == 10
    assert int(np.argmax(shares)) == 2, "the rise is a share of the time, too"
    assert shares[-1] == pytest.approx(0.5 * (1 + np.cos(0.9 * np.pi)), abs=0.001)


def test_there_is_one_step_even_without_time():
    assert len(list(rate_shares(5, 0.1, lambda: 2.0))) == 1


def test_a_step_takes_its_share_of_each_groups_own_rate():
    first, second = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [first], "lr": 1.0}, {"params": [second], "lr": 0.1}])
    losses = [descend(optimizer, (first + second).sum() + 3, share) for share in (0.5, 0.25)]
    assert losses == pytest.approx([3.0, 3.0 - 0.5 - 0.05])
    assert float(first.detach()) == pytest.approx(-0.75)
    assert float(second.detach()) == pytest.approx(-0.075)


def test_chance_is_the_seeds_and_the_callers_is_left_alone():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    drawn = []
    for seed in (3, 3, 4):
        with seeded(seed, 1):
            assert torch.get_num_threads() == 1
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    with pytest.raises(ZeroDivisionError), seeded(0, 1):
        _ = 1 / 0
    assert torch.get_num_threads() == threads


def averaged(kept, values):
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    mean = RunningMean(layer.parameters(), kept)
    for value in values:
        torch.nn.init.constant_(layer.weight, value)
        mean.update()
    return layer, mean


def test_the_mean_stands_in_for_the_last_weights_and_goes_again():
    layer, mean = averaged(0.75, (1.0, 2.0))
    with mean.applied():
        assert float(layer.weight.detach()) == pytest.approx(0.25 * 0.75 + 0.5)
    assert float(layer.weight.detach()) == 2.0


def test_without_a_mean_the_last_weights_stand():
    layer, mean = averaged(0.0, (1.0, 2.0))
    with mean.applied():
        assert float(layer.weight.detach()) == 2.0


def test_what_is_frozen_has_no_mean():
    layer = torch.nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    mean = RunningMean(layer.parameters(), 0.5)
    torch.nn.init.constant_(layer.bias, 7.0)
    mean.update()
    with mean.applied():
        assert torch.equal(layer.bias.detach(), torch.full((2,), 7.0))
