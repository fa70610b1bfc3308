# SPDX-License-Identifier: Apache-2.0
"""From a fine-tuned module to a model that oido runs and exports: a float32 LiteRT graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from oido.arrays import F32
from oido.errors import ModelFormatError, OptionError
from oido.heads import Head
from oido.inference.export import check_windows
from oido.inference.predictor import Predictor
from oido.messages import tr
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork, Network
from oido.models.networks import mn04
from oido.models.networks import yamnet as yamnet_network
from oido.models.tflite.evidence import EvidenceGraph
from oido.torch.base import StagedNetwork, numpy_copy
from oido.torch.clips import clip_windows
from oido.torch.mn04 import Mn04
from oido.torch.yamnet import YamNet

TOLERANCE = 1e-4
"""The largest difference of a score that passes."""

Output = Literal["softmax", "sigmoid"]


def as_model(
    module: StagedNetwork,
    base: AudioModel,
    labels: Sequence[str],
    *,
    output: Output = "softmax",
    name: str | None = None,
    summary: str | None = None,
    clips: Iterable[F32] = (),
) -> AudioModel:
    """A model of what the module has learnt, for `AudioClassifier` and `oido.export`.

    base: the model that the module was begun with, which gives windows, front end, file and
    licence. labels: one for each score. output: "softmax" for one class out of all, "sigmoid" for
    each by itself. summary: a sentence for the metadata. clips: waveforms f32[n] at the model's
    rate, on which the graph is checked too.

    The graph is run by LiteRT on noise, tones, clicks and silence, and on the clips: a score that
    is not the module's within 1e-4 raises ModelFormatError. Raises OptionError for a module, base
    and labels that do not fit each other.
    """
    network, classes = _network(module, base, output)
    if len(labels) != classes:
        raise OptionError(
            tr("the module gives {classes} scores, which need as many labels", classes=classes)
        )
    model = replace(
        base,
        name=name or f"{base.name}, fine-tuned",
        heads=(Head("scores", tuple(labels)),),
        summary=summary or f"{base.name}, trained further for {classes} classes",
        card=None,
        network=network,
        precision="float32",
        novelty=None,
    )
    worst = largest_difference(module, model, clips, output=output)
    if not worst <= TOLERANCE:
        raise ModelFormatError(
            tr(
                "the graph of {name} gives other scores than the module (by up to "
                "{worst:.1e}), so it cannot be used; was the module begun with this "
                "base model?",
                name=model.name,
                worst=worst,
            )
        )
    return model


def largest_difference(
    module: StagedNetwork,
    model: AudioModel,
    clips: Iterable[F32] = (),
    *,
    output: Output = "softmax",
) -> float:
    """Between a score of the module and the same one of LiteRT.

    Over all windows of the clips, f32[n], and windows of many kinds.
    """
    predictor, hop, worst = Predictor.of(model), model.windows.hop_samples, 0.0
    sounds = [check_windows(model.windows.window_samples)]
    activate = torch.sigmoid if output == "sigmoid" else lambda x: torch.softmax(x, -1)
    was_training = module.training
    module.eval()
    for windows in (*sounds, *(clip_windows(clip, model.windows)[0] for clip in clips)):
        for window in windows:
            with torch.inference_mode():
                samples = torch.from_numpy(np.array(window, np.float32))[None]
                device = next(module.parameters()).device
                expected = activate(module.logits(samples.to(device))).cpu().numpy()
            scores = predictor.predict(window, hop).scores
            worst = max(worst, float(np.abs(scores - expected.reshape(scores.shape)).max()))
    module.train(was_training)
    return worst


def _network(module: StagedNetwork, base: AudioModel, output: Output) -> tuple[Network, int]:
    """The network, and how many scores it gives."""
    network = base.network
    if isinstance(module, YamNet) and isinstance(network, LogMelNetwork):
        weights = module.weights()
        content = _with_head(yamnet_network.network(weights, output), module, output)
        graph = replace(network.graph, network=content, heads=(0,))
        return replace(network, graph=graph, is_cut=False), module.classes
    if isinstance(module, Mn04) and isinstance(network, MnNetwork):
        state = module.weights()
        content = mn04.network(state, network.front_end.patch_frames, output)
        return replace(network, content=_with_head(content, module, output)), module.classes
    raise OptionError(
        tr(
            "{name} is no base of {kind_name}: give the model that it began with",
            name=base.name,
            kind_name=type(module).__name__,
        )
    )


def _with_head(content: bytes, module: StagedNetwork, output: Output) -> bytes:
    """A graph of scores and embedding, whose scores are those of the module's fitted head."""
    taught = module.taught
    if taught is None:
        return content
    writer = EvidenceGraph.on(content, batch=True)
    pooled = writer.outputs[-1]
    layers = [(numpy_copy(layer.weight), numpy_copy(layer.bias)) for layer in taught.dense]
    x = writer.evidence(pooled)
    x = writer.sqrt(writer.relu(x)) if taught.square_root else x
    return writer.finish([writer.scores(x, layers, output), pooled])
