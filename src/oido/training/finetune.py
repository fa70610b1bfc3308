# SPDX-License-Identifier: Apache-2.0
"""Teaching the network itself, and not only a head behind it (extra ``oido[torch]``).

A part of the sources is held out to judge by, a part of the rest to decide when to stop; what is
exported has learnt from what is left.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from oido._version import __version__
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset, clip_targets
from oido.datasets.splits import group_numbers
from oido.datasets.waveforms import clip_waveform
from oido.errors import AudioError, OptionError
from oido.evaluation.evaluate import predict_clips
from oido.evaluation.report import Report
from oido.inference.classifier import AudioClassifier
from oido.inference.export import ExportReport, export
from oido.models.loading import load_model
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork
from oido.models.registry import DEFAULT_MODEL

OnMessage = Callable[[str], None]
"""Called with a line about how it goes."""


def finetune(
    data: Dataset,
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    test: float = 0.25,
    seed: int = 0,
    max_minutes: float | None = None,
    on_message: OnMessage = lambda line: None,
) -> FinetuningResult:
    """Train YAMNet or mn04 further on a dataset, stage by stage.

    test: the share of sources that is held out to judge by; the data's own test parts are kept.
    max_minutes: training stops after so many. on_message: gets a line for each epoch. The rest is
    as for `oido.train`; it takes minutes where that takes seconds, and only pays with many clips.
    Raises OptionError, ModelError, or MissingExtraError without `oido[torch]`.
    """
    from oido.torch import Mn04, YamNet

    data.require_two_classes()
    base = load_model(model)
    if isinstance(base.network, LogMelNetwork):
        module: Any = YamNet.from_pretrained(model)
    elif isinstance(base.network, MnNetwork):
        module = Mn04.from_pretrained(model)
    else:
        raise OptionError(f"{base.name} cannot be trained further; choose YAMNet or mn04")
    from oido.torch.clips import LabelledSounds, LazyWaveforms
    from oido.torch.finetune import EpochReport
    from oido.torch.finetune import finetune as finetune_network
    from oido.torch.to_litert import as_model
    from oido.torch.training_loop import FinetuneOptions

    rate = base.windows.sample_rate_hz
    data, left_out = _readable(data, rate)
    split = data.split(test, seed)
    targets, classes, several = clip_targets(split.train)
    groups = group_numbers([clip.group for clip in split.train])
    waveforms = LazyWaveforms(lambda n: clip_waveform(split.train[n], rate)[0], len(split.train))
    sounds = LabelledSounds(waveforms, targets, groups, several)

    def report_epoch(epoch: EpochReport) -> None:
        best = ", the best so far" if epoch.best else ""
        on_message(
            f"epoch {epoch.epoch}, {epoch.stages} stages: loss {epoch.loss:.3f}, on held-out clips "
            f"{epoch.validation_loss:.3f}, accuracy {epoch.validation_accuracy:.3f}{best}"
        )

    options = FinetuneOptions(seed=seed, max_minutes=max_minutes)
    done = finetune_network(module, sounds, base.windows, options=options, progress=report_epoch)
    taught = as_model(done.module, base, classes, output="sigmoid" if several else "softmax")
    return FinetuningResult(
        split.train,
        split.test,
        taught,
        left_out,
        {
            "base model": base.name,
            "trained": f"{done.best.stages} of {len(module.stages())} stages, {len(done.history)} "
            f"epochs ({done.stopped})",
            "clips to learn from": len(split.train),
            "clips to judge by": len(split.test),
            "minutes of processor time": round(done.cpu_seconds / 60, 1),
            "seed": seed,
            "oido": __version__,
        },
    )


@dataclass(frozen=True, eq=False)
class FinetuningResult:
    """A network that was trained further. model: ready for `AudioClassifier` and `oido.export`."""

    train: Dataset = field(repr=False)
    test: Dataset = field(repr=False)
    model: AudioModel = field(repr=False)
    left_out: tuple[LeftOut, ...]
    facts: dict[str, Any]

    @cached_property
    def report(self) -> Report:
        """How well it does on the sources that were held out."""
        judged, left_out = predict_clips(AudioClassifier(self.model), self.test)
        return Report.of(
            judged,
            title=f"{len(self.train.classes)} classes taught to {self.facts['base model']}",
            facts=self.facts,
            left_out=(*self.left_out, *left_out),
            notes=("Its scores are calibrated by one slope alone; take them as scores.",),
        )

    def export(self, path: str | os.PathLike[str], *, embedding: bool = False) -> ExportReport:
        """Write one float32 .tflite or .onnx, checked (`oido.export`)."""
        return export(self.model, path, embedding=embedding)


def _readable(data: Dataset, rate_hz: int) -> tuple[Dataset, tuple[LeftOut, ...]]:
    """The clips that can be decoded; one bad clip must not end hours of training."""
    kept, left_out = [], list(data.left_out)
    for number, clip in enumerate(data):
        try:
            clip_waveform(clip, rate_hz)
            kept.append(number)
        except AudioError as error:
            left_out.append(LeftOut.because(str(clip), error, clip.path))
    if not kept:
        raise OptionError(f"none of the {len(data)} clips can be heard; {left_out[-1].reason}")
    return data.subset(kept), tuple(left_out)
