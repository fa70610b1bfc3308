# SPDX-License-Identifier: Apache-2.0
"""What every training of a network has: chance from a seed, rates that rise and fall, a step down
the loss, a running mean of the weights.

Rates follow half a cosine (Loshchilov and Hutter, SGDR, 2017) behind a short rise. Where minutes
end a training they are at 0 by then: weights that stop at a large rate are far from their best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def seeded(seed: int, threads: int | None) -> Iterator[None]:
    """PyTorch's chance from a seed, and its threads (None: as they are); both as before behind it.

    With one thread, the same seed gives the same weights.
    """
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def rate_shares(
    steps: int, warm_up: float, time_used: Callable[[], float] = lambda: 0.0
) -> Iterator[float]:
    """For each step, the share of the largest rate: up in ``warm_up`` of them, then down to 0.

    time_used: how much of the time there is has passed, 0..1 and above; from 1 on, steps end (but
    for the first).
    """
    rising = max(1, round(warm_up * steps))
    for step in range(steps):
        done = max(step / steps, time_used())
        if done >= 1 and step:
            return
        rise = max((step + 1) / rising, done / warm_up if warm_up else 1.0)
        yield min(1.0, rise) * 0.5 * (1 + float(np.cos(np.pi * min(done, 1.0))))


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, share: float) -> float:
    """A step down the loss, each group at this share of its own rate; gives the loss."""
    for group in optimizer.param_groups:
        group["lr"] = share * group.setdefault("initial_lr", group["lr"])
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())


class RunningMean:
    """An exponential mean of the parameters that learn (Polyak and Juditsky, 1992).

    It is steadier than the last weights, and usually a little better.

    kept: how much of the mean a step leaves, 0..1; 0 is no mean, but the last weights.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], kept: float) -> None:
        self._kept = kept
        self._learning = [p for p in parameters if p.requires_grad] if kept else []
        self._mean = [p.detach().clone() for p in self._learning]

    @torch.no_grad()
    def update(self) -> None:
        for mean, parameter in zip(self._mean, self._learning):
            mean.lerp_(parameter, 1 - self._kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The mean stands in the place of the last weights, which are back afterwards."""
        with torch.no_grad():
            last = [p.detach().clone() for p in self._learning]
            self._copy(self._mean)
        yield
        self._copy(last)

    @torch.no_grad()
    def _copy(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._learning, values):
            parameter.copy_(value)
