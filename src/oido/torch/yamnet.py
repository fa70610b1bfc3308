# SPDX-License-Identifier: Apache-2.0
"""YAMNet as a PyTorch module.

The batch normalisation of the published network is folded into the convolutions, which have biases
instead: that is how `yamnet/classification` holds its weights, and it computes the same.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn

from oido.arrays import F32
from oido.errors import InvalidSamplesError
from oido.messages import tr
from oido.models import fetch
from oido.models.networks.yamnet import (
    EMBEDDING_DIM,
    LAYERS,
    PATCH_BANDS,
    PATCH_FRAMES,
    YAMNET_FRONT_END,
    Convolution,
    Layer,
    YamNetWeights,
)
from oido.models.networks.yamnet_h5 import from_h5
from oido.models.registry import DEFAULT_MODEL
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.evidence import LAYER, LAYER_SCALE
from oido.models.tflite.yamnet_reader import from_int8
from oido.torch.base import (
    StagedNetwork,
    YamNetLogMel,
    begins_from,
    is_waveform,
    new_linear,
    numpy_copy,
)


class YamNet(StagedNetwork):
    """One of the two YAMNets: waveform or patches → scores f32[…, 521], embeddings f32[…, 1024].

    A waveform f32[n] or f32[batch, n] at 16 kHz gives results for each patch, [N, …] or
    [batch, N, …]; patches are f32[N, 96, 64] or f32[batch, N, 96, 64]. Its 15 stages are layer1 to
    layer14 and the head. activation: "relu" in the original, "relu6" in `yamnet/classification`.
    analysis_window, spectrum_dtype: as for `YamNetLogMel`.
    """

    sample_rate_hz = YAMNET_FRONT_END.sample_rate_hz
    embedding_dim = EMBEDDING_DIM
    evidence_dim = EMBEDDING_DIM + LAYERS[2 * LAYER - 2].outputs  # two in each layer but the first
    bands_axis = -1

    def __init__(
        self,
        weights: YamNetWeights,
        analysis_window: F32 | None = None,
        spectrum_dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.front_end = YamNetLogMel(analysis_window, spectrum_dtype)
        self.activation = weights.activation
        self.layers = nn.Sequential(_layers(weights))
        self.dense = nn.Linear(EMBEDDING_DIM, weights.classes)
        with torch.no_grad():
            self.dense.weight.copy_(torch.from_numpy(weights.dense))
            self.dense.bias.copy_(torch.from_numpy(weights.dense_bias))
        self.eval()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str] = DEFAULT_MODEL,
        on_message: fetch.OnMessage = lambda _: None,
        spectrum_dtype: torch.dtype = torch.float64,
    ) -> YamNet:
        """From "yamnet/classification", "yamnet", or a path of such a .tflite or .h5.

        The .tflite is quantised: its weights are made float again, as for ``precision="float32"``.
        ``on_message`` gets a line per step of fetching. Raises a ModelError, or MissingExtraError
        for an .h5 without h5py.
        """
        suffixes = (".tflite", ".h5")
        with begins_from(DEFAULT_MODEL, name_or_path):
            weights, window = fetch.read_model(name_or_path, _pretrained, on_message, suffixes)
        return cls(weights, window, spectrum_dtype)

    def weights(self) -> YamNetWeights:
        """A copy of what was learnt, for `oido.models.networks.yamnet`.

        Raises ModelFormatError if there are numbers that are NaN or infinite.
        """
        convolutions = [m for m in self.layers.modules() if isinstance(m, _SameConv)]
        return YamNetWeights(
            tuple(module.convolution() for module in convolutions),
            numpy_copy(self.dense.weight),
            numpy_copy(self.dense.bias),
            self.activation,
        )

    def stages(self) -> dict[str, nn.Module]:
        """layer1 to layer14, head."""
        return {**dict(self.layers.named_children()), "head": self.taught or self.dense}

    def embed(self, sound: Tensor) -> Tensor:
        """f32[…, 1024], 0 and above."""
        if is_waveform(sound, (3, 4), "patches [N, 96, 64] or [batch, N, 96, 64]"):
            sound = self.patches(sound)
        if sound.shape[-2:] != (PATCH_FRAMES, PATCH_BANDS):
            raise InvalidSamplesError(
                tr(
                    "a patch is [{patch_frames}, {patch_bands}], not {shape}",
                    patch_frames=PATCH_FRAMES,
                    patch_bands=PATCH_BANDS,
                    shape=list(sound.shape[-2:]),
                )
            )
        images = sound.reshape(-1, 1, PATCH_FRAMES, PATCH_BANDS)
        embeddings: Tensor = self.layers(images).mean(dim=(2, 3))  # of [N, 1024, 3, 2]
        return embeddings.reshape(*sound.shape[:-2], EMBEDDING_DIM)

    def evidence(self, sound: Tensor) -> Tensor:
        """f32[…, 1536]: the embedding, and the mean of the eleventh layer."""
        means = list[Tensor]()

        def keep(_: nn.Module, __: object, image: Tensor) -> None:
            means.append(image.mean(dim=(2, 3)))

        hook = self.layers[LAYER - 1].register_forward_hook(keep)
        try:
            embedding = self.embed(sound)
        finally:
            hook.remove()
        earlier = means[0].reshape(*embedding.shape[:-1], -1) * LAYER_SCALE
        return torch.cat([embedding, earlier], dim=-1)

    def own_head(self, embeddings: Tensor) -> Tensor:
        """f32[…, 1024] → logits f32[…, classes]."""
        logits: Tensor = self.dense(embeddings)
        return logits

    def new_head(self, classes: int) -> None:
        """Other classes: the dense layer is made anew, with random weights."""
        self.dense = new_linear(self.dense, classes)


def _pretrained(path: Path, content: bytes, _: object) -> tuple[YamNetWeights, F32 | None]:
    """The weights, and a .tflite's own analysis window: it differs from Hann's in the last bits."""
    if fetch.kind_of(path) == ".h5":
        return from_h5(content), None
    return from_int8(content), TfliteGraph(content).cut_front_end().window


class _SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding for sides that the stride divides.

    With stride 2 all of it stands behind, where PyTorch's own padding has it on both sides.
    """

    def __init__(self, layer: Layer, conv: Convolution) -> None:
        _, kernel, _, last = layer.shape
        super().__init__(
            layer.outputs if layer.depthwise else last,
            layer.outputs,
            kernel,
            stride=layer.stride,
            padding=kernel // 2 if layer.stride == 1 else 0,
            groups=layer.outputs if layer.depthwise else 1,
        )
        self.layer = layer
        # [out, h, w, in] → [out, in, h, w]; a depthwise one [1, h, w, channels] → [channels, 1, …].
        axes = (3, 0, 1, 2) if layer.depthwise else (0, 3, 1, 2)
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(conv.weights.transpose(axes).copy()))
            if self.bias is not None:
                self.bias.copy_(torch.from_numpy(conv.bias))

    def forward(self, x: Tensor) -> Tensor:
        """f32[N, in, height, width] → f32[N, out, height / stride, width / stride]."""
        if self.layer.stride == 2:
            x = nn.functional.pad(x, (0, 1, 0, 1))
        return super().forward(x)

    def convolution(self) -> Convolution:
        """A copy of the weights in LiteRT's order."""
        axes = (1, 2, 3, 0) if self.layer.depthwise else (0, 2, 3, 1)
        weights = numpy_copy(self.weight).transpose(axes).copy()
        assert self.bias is not None
        return Convolution(weights, numpy_copy(self.bias), self.layer.stride, self.layer.depthwise)


def _layers(weights: YamNetWeights) -> OrderedDict[str, nn.Module]:
    """layer1 to layer14: one convolution or two, each with the activation behind it."""
    parts: dict[str, OrderedDict[str, nn.Module]] = {}
    for layer, conv in zip(LAYERS, weights.convolutions):
        name, _, part = layer.name.partition("/")
        modules = parts.setdefault(name, OrderedDict())
        modules[part] = _SameConv(layer, conv)
        modules[f"{part}_relu"] = nn.ReLU6() if weights.activation == "relu6" else nn.ReLU()
    return OrderedDict((name, nn.Sequential(modules)) for name, modules in parts.items())
