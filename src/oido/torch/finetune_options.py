# SPDX-License-Identifier: Apache-2.0
"""How a network is fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass, field

from oido.errors import OptionError
from oido.torch.clips import AugmentOptions

__all__ = ["FinetuneOptions"]


@dataclass(frozen=True)
class FinetuneOptions:
    """How a network is fine-tuned.

    stages: how many of the last stages learn, phase by phase; 1 is the head. epochs: at most, of
    each phase after the head's; head_epochs: of the head, on kept embeddings, of each clip as it is
    and ``views`` times changed. patience: epochs without a better validation loss than
    before in the phase that end it (not the head's).
    rate: of the last stage; each stage before it has ``rate_decay`` of the rate behind it.
    batch: windows. windows_per_clip: at most, drawn anew in each epoch.
    balance: every class weighs the same. smoothing: of targets, 0..1.
    validation: the share of sources that is held out, where no validation clips are given.
    keep_statistics: batch normalisation keeps those that it was published with.
    max_minutes: no epoch goes on after so much time; the head is trained in any case.
    threads: of PyTorch; with 1, the same seed gives the same weights. None leaves them alone.
    """

    stages: tuple[int, ...] = (1, 4, 8)
    epochs: int = 8
    head_epochs: int = 40
    views: int = 2
    patience: int = 3
    head_rate: float = 2e-3
    rate: float = 3e-4
    rate_decay: float = 0.7
    weight_decay: float = 1e-2
    batch: int = 16
    windows_per_clip: int = 12
    balance: bool = True
    smoothing: float = 0.05
    validation: float = 0.2
    keep_statistics: bool = True
    max_minutes: float | None = None
    threads: int | None = 1
    seed: int = 0
    augment: AugmentOptions = field(default_factory=AugmentOptions)

    def __post_init__(self) -> None:
        counts = (self.epochs, self.head_epochs, self.patience, self.batch, self.windows_per_clip)
        if min(counts) < 1 or self.views < 0 or (self.threads is not None and self.threads < 1):
            raise OptionError(
                "epochs, head_epochs, patience, batch, windows_per_clip and threads must be 1 or "
                "more, and views 0 or more"
            )
        if not self.stages or self.stages[0] != 1 or list(self.stages) != sorted(set(self.stages)):
            raise OptionError(
                f"stages begin with 1, the head, and rise, such as (1, 4, 8), not {self.stages}"
            )
        if not min(self.rate, self.head_rate) > 0 or not 0 < self.rate_decay <= 1:
            raise OptionError("rates must be above 0, and rate_decay above 0 and 1 at most")
        if not self.weight_decay >= 0 or not 0 <= self.smoothing < 1:
            raise OptionError("weight_decay must be 0 or more, and smoothing 0 or more and below 1")
        if self.max_minutes is not None and not self.max_minutes >= 0:
            raise OptionError(f"max_minutes must be 0 or more, not {self.max_minutes:g}")
