# SPDX-License-Identifier: Apache-2.0
"""Teaching the network itself, and not only a head behind it (extra ``oido[torch]``).

A part of the sources is held out to judge by, a part of the rest to decide when to stop; what is
exported has learnt from what is left. A head on the network as it was is taught on the same clips,
and is what is kept, unless the network that was trained further judges no worse than it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from oido._version import __version__
from oido.calibration.scaling import log_losses
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset, accuracy, clip_targets
from oido.datasets.splits import group_numbers
from oido.datasets.waveforms import clip_waveform
from oido.errors import AudioError, OptionError
from oido.evaluation.evaluate import predict_clips
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.report import Report
from oido.heads import OutputKind
from oido.inference.classifier import AudioClassifier
from oido.inference.export import ExportReport, export
from oido.messages import tr
from oido.models.loading import load_model
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork
from oido.models.networks.mn04 import EMBEDDING_SIZE
from oido.models.registry import DEFAULT_MODEL
from oido.models.tflite.evidence import own_size
from oido.training.train import TrainingResult, train

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

    It never ends worse than a head: one is taught on the same clips (`oido.train`), both are judged
    on the sources that were held out, and where the head names more clips rightly, or as many at a
    smaller log loss, it is the result. KeyboardInterrupt ends the training with the best weights so
    far. Raises OptionError, ModelError, or MissingExtraError without `oido[torch,train]`.
    """
    from oido.torch import Mn04, YamNet

    data.require_two_classes()
    base = load_model(model)
    if isinstance(base.network, LogMelNetwork):
        module: Any = YamNet.from_pretrained(model)
    elif isinstance(base.network, MnNetwork) and own_size(base) == EMBEDDING_SIZE:
        module = Mn04.from_pretrained(model)
    else:
        raise OptionError(
            tr("{name} cannot be trained further; choose YAMNet or mn04", name=base.name)
        )
    from oido.torch.clips import LabelledSounds, LazyWaveforms
    from oido.torch.finetune import EpochReport
    from oido.torch.finetune import finetune as finetune_network
    from oido.torch.to_litert import as_model
    from oido.torch.training_loop import FinetuneOptions

    started, rate = time.monotonic(), base.windows.sample_rate_hz
    options = FinetuneOptions(seed=seed, max_minutes=max_minutes)  # raises, before the work
    data, left_out = _readable(data, rate)
    split = data.split(test, seed)
    unfolded = tuple(replace(clip, fold=None) for clip in split.train)
    frozen = train(replace(split.train, clips=unfolded), model=base, seed=seed)
    head = frozen.classifier()
    of_head = _Judged.of(head, split.test)
    on_message(
        tr(
            "the head on {name} as it is, on sources held out: {of_head}",
            name=base.name,
            of_head=of_head.text,
        )
    )
    targets, classes, several = clip_targets(split.train)
    groups = group_numbers([clip.group for clip in split.train])
    waveforms = LazyWaveforms(lambda n: clip_waveform(split.train[n], rate)[0], len(split.train))
    sounds = LabelledSounds(waveforms, targets, groups, several)
    clock = _Clock(options.stages, options.epochs)

    def report_epoch(epoch: EpochReport) -> None:
        best = tr(", the best so far") if epoch.best else ""
        left = clock.minutes_left(epoch.stages)
        if max_minutes is not None and left is not None:
            left = min(left, max(0.0, max_minutes - (time.monotonic() - started) / 60))
        on_message(
            tr(
                "epoch {epoch}, {stages} stages: loss {loss:.3f}, on held-out clips "
                "{validation_loss:.3f}, accuracy {validation_accuracy:.3f}{best}",
                epoch=epoch.epoch,
                stages=epoch.stages,
                loss=epoch.loss,
                validation_loss=epoch.validation_loss,
                validation_accuracy=epoch.validation_accuracy,
                best=best,
            )
            + ("" if left is None else tr("; {left:.1f} minutes left at most", left=left))
        )

    if max_minutes is not None:  # the head has had its share of them
        left = max(0.0, max_minutes - (time.monotonic() - started) / 60)
        options = replace(options, max_minutes=left)
    done = finetune_network(module, sounds, base.windows, options=options, progress=report_epoch)
    taught = as_model(done.module, base, classes, output="sigmoid" if several else "softmax")
    of_network = _Judged.of(AudioClassifier(taught), split.test)
    on_message(
        tr(
            "{name}, trained further, on sources held out: {of_network}",
            name=base.name,
            of_network=of_network.text,
        )
    )
    keeps_head = of_head.is_better_than(of_network)
    return FinetuningResult(
        split.train,
        split.test,
        head.model if keeps_head else taught,
        left_out,
        {
            tr("base model"): base.name,
            tr("exported"): tr("the head on the network as it was")
            if keeps_head
            else tr("trained further"),
            tr("the head, held out"): of_head.text,
            tr("trained further, held out"): of_network.text,
            tr("trained"): tr(
                "{stages} of {n_stages} stages, {epochs} epochs ({stopped})",
                stages=done.best.stages,
                n_stages=len(module.stages()),
                epochs=len(done.history),
                stopped=done.stopped,
            ),
            tr("clips to learn from"): len(split.train),
            tr("clips to judge by"): len(split.test),
            tr("minutes of processor time"): round(done.cpu_seconds / 60, 1),
            tr("seed"): seed,
            "oido": __version__,
        },
        of_head if keeps_head else of_network,
        frozen if keeps_head else None,
    )


class _Judged(NamedTuple):
    """predictions: of the clips that were held out; left_out: those that could not be decoded."""

    predictions: ClipPredictions
    left_out: tuple[LeftOut, ...]

    @classmethod
    def of(cls, classifier: AudioClassifier, test: Dataset) -> _Judged:
        return cls(*predict_clips(classifier, test))

    @property
    def text(self) -> str:
        """Both figures, for people."""
        return tr(
            "accuracy {accuracy:.3f}, log loss {log_loss:.3f}",
            accuracy=self.accuracy,
            log_loss=self.log_loss,
        )

    def is_better_than(self, other: _Judged) -> bool:
        """More clips are named rightly, or as many at a smaller log loss."""
        return (self.accuracy, -self.log_loss) > (other.accuracy, -other.log_loss)

    @property
    def accuracy(self) -> float:
        found = self.predictions
        if found.multi_label:
            return accuracy(found.probabilities, found.targets, multi_label=True)
        return float((found.decided == found.truth).mean())

    @property
    def log_loss(self) -> float:
        found = self.predictions
        output: OutputKind = "sigmoid" if found.multi_label else "softmax"
        return float(log_losses(found.probabilities, found.targets, output).mean())


class _Clock:
    """How long the phases behind the head's may still take, by the last epoch; of seconds each."""

    def __init__(self, stages: tuple[int, ...], epochs: int) -> None:
        self._stages, self._epochs = stages, epochs
        self._last, self._done = time.monotonic(), dict.fromkeys(stages, 0)

    def minutes_left(self, stages: int) -> float | None:
        """After an epoch of so many stages; None in the head's phase, which is short."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._done[stages] += 1
        if stages == self._stages[0]:
            return None
        phases = [s for s in self._stages if s >= stages]
        return seconds * (self._epochs * len(phases) - self._done[stages]) / 60


@dataclass(frozen=True, eq=False)
class FinetuningResult:
    """A network that was trained further, or the head on it as it was where that is better.

    model: ready for `AudioClassifier`. frozen: the head, if it is what is kept; else None.
    """

    train: Dataset = field(repr=False)
    test: Dataset = field(repr=False)
    model: AudioModel = field(repr=False)
    left_out: tuple[LeftOut, ...]
    facts: dict[str, Any]
    judged: _Judged = field(repr=False)
    frozen: TrainingResult | None = field(repr=False)

    @cached_property
    def report(self) -> Report:
        """How well it does on the sources that were held out."""
        notes = [
            tr("Of two the better was chosen on these same clips; a third judge may be stricter.")
        ]
        if self.frozen is not None:
            notes.append(
                tr(
                    "Training the network further gained nothing here, so what is "
                    "exported is the head on the network as it was."
                )
            )
        else:
            notes.append(tr("Its scores are calibrated by one slope alone; take them as scores."))
        return Report.of(
            self.judged.predictions,
            title=tr(
                "{n_classes} classes taught to {basemodel}",
                n_classes=len(self.train.classes),
                basemodel=self.facts["base model"],
            ),
            facts=self.facts,
            left_out=(*self.left_out, *self.judged.left_out),
            notes=notes,
        )

    def export(self, path: str | os.PathLike[str], *, embedding: bool = False) -> ExportReport:
        """Write one float32 .tflite or .onnx, checked (`oido.export`).

        A head that was kept is written as `TrainingResult.export` does; embedding is not for it.
        """
        if self.frozen is None:
            return export(self.model, path, embedding=embedding)
        made, windows = self.frozen.export(path), self.model.windows
        return ExportReport(
            path=made.path,
            format="onnx" if made.path.suffix == ".onnx" else "tflite",
            size_bytes=made.size_bytes,
            sample_rate_hz=windows.sample_rate_hz,
            window_samples=windows.window_samples,
            outputs=tuple((head.name, len(head.labels)) for head in self.model.heads),
            precision=self.model.precision,
            checked_windows=made.windows,
            largest_difference=made.largest_difference,
        )


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
        raise OptionError(
            tr(
                "none of the {n_data} clips can be heard; {reason}",
                n_data=len(data),
                reason=left_out[-1].reason,
            )
        )
    return data.subset(kept), tuple(left_out)
