# SPDX-License-Identifier: Apache-2.0
"""What both networks share: what they take and give, and training from the last stage backwards.

A network is a row of stages, from the sound to the scores. A new task is best begun at the end of
it: first the head alone learns, then the stages before it, while the first ones, which know what
sound is like, stay as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oido.errors import InvalidSamplesError, OptionError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Heard", "StagedNetwork", "is_waveform", "new_linear", "numpy_copy"]


class Heard(NamedTuple):
    """scores: f32[…, classes], 0..1; embeddings: f32[…, dim], before the head."""

    scores: Tensor
    embeddings: Tensor


class StagedNetwork(nn.Module, ABC):
    """A front end, a body that gives embeddings, and a head that scores them.

    A waveform is f32[n] or f32[batch, n] at ``sample_rate_hz``, in [-1, 1]; patches have more
    dimensions, and each network says which. A new module is in evaluation mode; `train` puts
    only those stages into training mode that are not frozen, so that dropout is off and batch
    normalisation keeps its statistics in the others.
    """

    sample_rate_hz: int
    embedding_dim: int
    keep_statistics: bool = False
    """Whether batch normalisation keeps its statistics also where something learns, as is better
    for small batches; heeded by the next `train`. YAMNet has none."""

    @abstractmethod
    def stages(self) -> dict[str, nn.Module]:
        """All parameters by stage, from the sound to the scores; the last stage is the head."""

    @abstractmethod
    def patches(self, waveform: Tensor) -> Tensor:
        """What the network is given for a waveform; gradients flow back to it."""

    @abstractmethod
    def embed(self, sound: Tensor) -> Tensor:
        """Embeddings f32[…, dim] of a waveform or of patches."""

    @abstractmethod
    def head(self, embeddings: Tensor) -> Tensor:
        """Logits f32[…, classes] of embeddings f32[…, dim]."""

    @abstractmethod
    def new_head(self, classes: int) -> None:
        """Other classes: the layer that scores is made anew, with random weights."""

    def logits(self, sound: Tensor) -> Tensor:
        """Scores before the sigmoid, f32[…, classes]: what a loss should be made of."""
        return self.head(self.embed(sound))

    def forward(self, sound: Tensor) -> Heard:
        """Scores and embeddings of a waveform or of patches.

        Raises InvalidSamplesError for another shape, or for whole numbers.
        """
        embeddings = self.embed(sound)
        return Heard(torch.sigmoid(self.head(embeddings)), embeddings)

    def unfreeze_last(self, count: int) -> tuple[str, ...]:
        """Let the last ``count`` stages learn and freeze the others; the names of those that learn.

        0 freezes everything, 1 leaves the head. Raises OptionError beyond the number of stages.
        """
        stages = self.stages()
        if not 0 <= count <= len(stages):
            raise OptionError(
                f"there are {len(stages)} stages to unfreeze, from 0 to {len(stages)}, not {count}"
            )
        first = len(stages) - count
        for number, stage in enumerate(stages.values()):
            stage.requires_grad_(number >= first)
        self.train(self.training)
        return tuple(stages)[first:]

    def freeze(self) -> None:
        """Nothing learns."""
        self.unfreeze_last(0)

    def unfreeze(self) -> None:
        """Everything learns, as in a module that was just loaded."""
        self.unfreeze_last(len(self.stages()))

    def train(self, mode: bool = True) -> Self:
        """Training mode for the stages in which something learns; evaluation mode for the rest."""
        super().train(mode)
        for stage in self.stages().values():
            if not any(parameter.requires_grad for parameter in stage.parameters()):
                stage.train(False)
            elif self.keep_statistics:
                for module in stage.modules():
                    if isinstance(module, nn.BatchNorm2d):
                        module.train(False)
        return self


def is_waveform(sound: Tensor, patch_dims: tuple[int, ...], expected: str) -> bool:
    """A waveform (else patches)? Raises InvalidSamplesError if neither."""
    if not sound.is_floating_point():
        raise InvalidSamplesError(
            f"samples must be float in [-1, 1], not {sound.dtype}; divide int16 by 32768"
        )
    if sound.ndim in {1, 2}:
        return True
    if sound.ndim not in patch_dims:
        raise InvalidSamplesError(
            f"expected a waveform [n] or [batch, n], or {expected}, not {list(sound.shape)}"
        )
    return False


def new_linear(old: nn.Linear, classes: int) -> nn.Linear:
    """A layer like this one, on its device, that learns. Raises OptionError below 1 class."""
    if classes < 1:
        raise OptionError(f"a head has at least 1 class, not {classes}")
    new = nn.Linear(old.in_features, classes, device=old.weight.device, dtype=old.weight.dtype)
    return new.train(old.training)


def numpy_copy(values: Tensor) -> NDArray[np.float32]:
    """The numbers as they are now, f32 of the same shape; training on does not change them."""
    return values.detach().to("cpu", torch.float32, copy=True).numpy()
