# SPDX-License-Identifier: Apache-2.0
"""EfficientAT's mn04_as as a PyTorch module, with the names and the batch normalisation of its .pt.

MobileNetV3-large (Howard et al. 2019, table 1) with 0.4 of the channels. Batch normalisation is
not folded in, so that it can be trained further as it was trained: epsilon 0.001, momentum 0.01.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oido.arrays import F32
from oido.errors import InvalidSamplesError, ModelFormatError
from oido.messages import tr
from oido.models import fetch
from oido.models.networks.mn04 import (
    BATCH_NORM_EPSILON,
    BLOCKS,
    EMBEDDING_SIZE,
    HIDDEN,
    LABEL_COUNT,
    MEL_BANDS,
    STEM,
    InvertedResidual,
)
from oido.models.networks.torch_file import read_state_dict
from oido.models.tflite.evidence import EXCITATION_SCALES, HIDDEN_SCALE
from oido.torch.base import (
    MnLogMel,
    StagedNetwork,
    begins_from,
    is_waveform,
    new_linear,
    numpy_copy,
)

_DROPOUT = 0.2


class Mn04(StagedNetwork):
    """Waveform or patches of any length → scores f32[…, 527], embeddings f32[…, 384].

    A waveform f32[n] or f32[batch, n] at 32 kHz is one patch, and gives […] or [batch, …]; it was
    trained on 10 s. Patches are f32[N, 128, frames], or with a last side of 1, as those of
    `oido.signal.frontend`. Its 18 stages are features.0 to features.16 and the head.
    A new one has random weights. spectrum_dtype: as for `MnLogMel`.
    """

    sample_rate_hz = 32_000
    embedding_dim = EMBEDDING_SIZE
    evidence_dim = EMBEDDING_SIZE + HIDDEN + sum(b.expanded for b in BLOCKS[-3:])
    bands_axis = -2

    def __init__(
        self, classes: int = LABEL_COUNT, spectrum_dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.front_end = MnLogMel(spectrum_dtype)
        features: list[nn.Module] = [_conv(1, STEM, 3, stride=2, activation="hard-swish")]
        channels = STEM
        for block in BLOCKS:
            features.append(_Residual(channels, block))
            channels = block.out
        features.append(_conv(channels, EMBEDDING_SIZE, 1, activation="hard-swish"))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(EMBEDDING_SIZE, HIDDEN),
            nn.Hardswish(),
            nn.Dropout(_DROPOUT),
            nn.Linear(HIDDEN, classes),
        )
        self.eval()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str] = "efficientat/mn04",
        on_message: fetch.OnMessage = lambda _: None,
        spectrum_dtype: torch.dtype = torch.float64,
    ) -> Mn04:
        """From "efficientat/mn04", or from the path of a .pt with the same tensors.

        The number of classes is that of the file, whose pickle cannot run anything.
        ``on_message`` gets a line per step of fetching. Raises a ModelError.
        """
        with begins_from("efficientat/mn04", name_or_path):
            state = fetch.read_model(
                name_or_path, lambda _, content, __: read_state_dict(content), on_message, {".pt"}
            )
        return cls.from_state(state, spectrum_dtype)

    @classmethod
    def from_state(
        cls, state: dict[str, NDArray[Any]], spectrum_dtype: torch.dtype = torch.float64
    ) -> Mn04:
        """From tensors by their PyTorch names, none missing and none too many.

        Raises ModelFormatError.
        """
        head = state.get("classifier.5.bias")
        classes = len(head) if head is not None and head.ndim == 1 else 0
        module = cls(classes or LABEL_COUNT, spectrum_dtype)
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in state.items()}
        try:
            module.load_state_dict(tensors, strict=True)
        except RuntimeError as error:
            problem = str(error).splitlines()[-1].strip()
            raise ModelFormatError(
                tr("these are not the weights of mn04_as: {problem}", problem=problem)
            ) from error
        for name, values in tensors.items():
            if not torch.isfinite(values).all():
                raise ModelFormatError(
                    tr("the weights {name} have values that are not finite", name=name)
                )
            if name.endswith("running_var") and (values < 0).any():
                raise ModelFormatError(tr("the variance {name} is negative", name=name))
        return module

    def weights(self) -> dict[str, F32]:
        """A copy of what was learnt, by PyTorch's names, for `oido.models.networks.mn04.network`.

        Without ``num_batches_tracked``, which are no weights.
        """
        return {
            name: numpy_copy(values)
            for name, values in self.state_dict().items()
            if values.is_floating_point() and not name.startswith("taught.")
        }

    def stages(self) -> dict[str, nn.Module]:
        """features.0 to features.16, head."""
        features = {f"features.{n}": stage for n, stage in self.features.named_children()}
        taught = [] if self.taught is None else [self.taught]
        return {**features, "head": nn.ModuleList([self.classifier, *taught])}

    def embed(self, sound: Tensor) -> Tensor:
        """f32[…, 384]."""
        expected = tr(
            "patches [N, {mel_bands}, frames] or [N, {mel_bands}, frames, 1]", mel_bands=MEL_BANDS
        )
        if is_waveform(sound, (3, 4), expected):
            patches = self.patches(sound)
        else:
            patches = sound[..., 0] if sound.ndim == 4 and sound.shape[-1] == 1 else sound
            if patches.ndim != 3 or patches.shape[1] != MEL_BANDS or not patches.shape[2]:
                raise InvalidSamplesError(
                    tr(
                        "expected {expected}, not {shape}",
                        expected=expected,
                        shape=list(sound.shape),
                    )
                )
        images = patches.reshape(-1, 1, *patches.shape[-2:])
        embeddings: Tensor = self.features(images).mean(dim=(2, 3))
        return embeddings.reshape(*patches.shape[:-2], EMBEDDING_SIZE)

    def evidence(self, sound: Tensor) -> Tensor:
        """f32[…, 1936]: the embedding, the hidden layer of the head, and the means that the last
        three squeeze-and-excitations look at."""
        means = list[Tensor]()

        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            means.append(inputs[0].mean(dim=(2, 3)))

        excitations = [m for m in self.features.modules() if isinstance(m, _Excite)]
        last = excitations[-len(EXCITATION_SCALES) :]
        with ExitStack() as stack:
            for module in last:
                stack.callback(module.register_forward_pre_hook(keep).remove)
            embedding = self.embed(sound)
        shape = embedding.shape[:-1]
        parts = [mean.reshape(*shape, -1) * s for mean, s in zip(means, EXCITATION_SCALES)]
        hidden: Tensor = self.classifier[2:4](embedding)
        return torch.cat([embedding, hidden * HIDDEN_SCALE, *parts], dim=-1)

    def own_head(self, embeddings: Tensor) -> Tensor:
        """f32[…, 384] → logits f32[…, classes]."""
        logits: Tensor = self.classifier[2:](embeddings)  # behind the mean over time and bands
        return logits

    def new_head(self, classes: int) -> None:
        """Other classes: the last of the head's two layers is made anew, with random weights."""
        last = self.classifier[5]
        assert isinstance(last, nn.Linear)
        self.classifier[5] = new_linear(last, classes)


class _Residual(nn.Module):
    """Expand, filter each channel, squeeze and excite, project; add the input if it fits."""

    def __init__(self, channels: int, block: InvertedResidual) -> None:
        super().__init__()
        inside, activation, stride = block.expanded, block.activation, block.stride
        layers: list[nn.Module] = []
        if inside != channels:
            layers.append(_conv(channels, inside, 1, activation=activation))
        layers.append(
            _conv(inside, inside, block.kernel, stride=stride, groups=inside, activation=activation)
        )
        if block.squeeze:
            layers.append(_Excite(inside, block.squeeze))
        layers.append(_conv(inside, block.out, 1))
        self.block = nn.Sequential(*layers)
        self.fits = stride == 1 and block.out == channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.fits else y


class _Excite(nn.Module):
    """Each channel times a gate made from the means of all channels."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        layer = nn.Module()
        layer.fc1 = nn.Linear(channels, squeeze)
        layer.fc2 = nn.Linear(squeeze, channels)
        self.conc_se_layers = nn.ModuleList([layer])  # one, named as in the original

    def forward(self, x: Tensor) -> Tensor:
        layer: Any = self.conc_se_layers[0]
        gate = torch.relu(layer.fc1(x.mean(dim=(2, 3))))  # [N, squeeze]
        gate = torch.sigmoid(layer.fc2(gate))
        return x * gate[:, :, None, None]


def _conv(
    channels: int,
    out: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: str = "none",
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, activation."""
    convolution = nn.Conv2d(
        channels, out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False
    )
    layers: list[nn.Module] = [
        convolution,
        nn.BatchNorm2d(out, eps=BATCH_NORM_EPSILON, momentum=0.01),
    ]
    if activation != "none":
        layers.append(nn.ReLU() if activation == "relu" else nn.Hardswish())
    return nn.Sequential(*layers)
