# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning: a network that knows sound learns new classes, from its last stage backwards.

First the head alone is trained, on embeddings that are computed once; then the last stages learn
with it, then more of them, with rates that fall towards the sound, on windows that are drawn and
augmented anew in each epoch. Held-out clips are evaluated after each epoch; the best weights are
kept, also when time is over or the run is interrupted. Phases share the time that there is. Clips
are evaluated with the slope of the logits that fits best (temperature scaling, Guo et al. 2017):
how confident a network is changes from epoch to epoch, whatever it has learnt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from oido.arrays import F32, F64, I64
from oido.datasets.dataset import accuracy
from oido.errors import OptionError
from oido.messages import tr
from oido.params import WindowParams
from oido.torch.base import StagedNetwork, numpy_copy
from oido.torch.clips import LabelledSounds
from oido.torch.optimization import seeded
from oido.torch.training_loop import FinetuneOptions, Learner, Windows

Stopped = Literal["finished", "time", "interrupted"]


class EpochReport(NamedTuple):
    """An epoch: numbers are from 1. stages: how many learnt. loss: in training.

    validation_loss, validation_accuracy: of whole clips that were held out, with logits times
    ``slope``, which fits them best. best: the least loss so far. cpu_seconds: since the start.
    """

    epoch: int
    stages: int
    loss: float
    validation_loss: float
    validation_accuracy: float
    slope: float
    best: bool
    cpu_seconds: float


@dataclass(frozen=True, eq=False)
class Finetuned:
    """The result. module: the network that was passed, with the best weights, in evaluation mode.

    history: of all epochs; best: the one whose weights these are. head: the linear layers behind
    the embedding, (f32[out, in] weights, f32[out] bias) each, with the network's own activation
    between; the slope of the best epoch is in them. validation: i64, numbers of the clips that
    were held out; empty if others were passed. stopped: "finished", or why it ended before.
    cpu_seconds: processor time.
    """

    module: StagedNetwork
    history: tuple[EpochReport, ...]
    best: EpochReport
    head: tuple[tuple[F32, F32], ...]
    validation: I64
    multi_label: bool
    stopped: Stopped
    cpu_seconds: float


def finetune(
    network: StagedNetwork,
    sounds: LabelledSounds,
    windows: WindowParams,
    *,
    validation: LabelledSounds | None = None,
    backgrounds: Sequence[F32] = (),
    options: FinetuneOptions | None = None,
    progress: Callable[[EpochReport], None] | None = None,
) -> Finetuned:
    """Give ``network`` a new head for the classes of ``sounds``, and train it and what is before.

    windows: what the classifier will hear at once, `AudioModel.windows` of the same network.
    validation: clips that tell when to stop; None: a part of ``sounds``, whole sources.
    backgrounds: sounds of no class, to be mixed in. progress: called after each epoch.

    KeyboardInterrupt ends the run with the best weights so far, once there are some. Memory: the
    waveforms, the embeddings of some 40,000 windows and of those held out, and a batch. Raises
    OptionError, or an AudioError for a waveform that is no sound.
    """
    options = options or FinetuneOptions()
    count = len(network.stages())
    if options.stages[-1] > count:
        raise OptionError(
            tr(
                "this network has {count} stages, so {stages} cannot learn",
                count=count,
                stages=options.stages,
            )
        )
    if windows.sample_rate_hz != network.sample_rate_hz:
        raise OptionError(
            tr(
                "the network hears {sample_rate_hz} Hz, and these windows are of "
                "{windows_sample_rate_hz} Hz",
                sample_rate_hz=network.sample_rate_hz,
                windows_sample_rate_hz=windows.sample_rate_hz,
            )
        )
    numbers = np.zeros(0, np.int64)
    if validation is None:
        mask = sounds.held_out(options.validation, options.seed)
        numbers = np.flatnonzero(mask)
        sounds, validation = sounds.subset(np.flatnonzero(~mask)), sounds.subset(numbers)
    elif (validation.classes, validation.multi_label) != (sounds.classes, sounds.multi_label):
        raise OptionError(
            tr("validation clips must have the same classes as those that are learnt")
        )
    with seeded(options.seed, options.threads):
        learner = Learner(network, sounds, windows, backgrounds, options)
        run = _Run(learner, validation, options, progress or (lambda _: None))
        stopped = run.run()
    return Finetuned(
        network,
        tuple(run.history),
        run.best[0],
        tuple((numpy_copy(x.weight), numpy_copy(x.bias)) for x in _head_layers(network)),
        numbers,
        sounds.multi_label,
        stopped,
        time.process_time() - run.started_cpu,
    )


_SHARE_OF_VIEWS = 0.25
"""Of the time that there is, after which the head has no further views to learn from."""


class _Run:
    """The phases, and the best weights so far."""

    def __init__(
        self,
        learner: Learner,
        validation: LabelledSounds,
        options: FinetuneOptions,
        progress: Callable[[EpochReport], None],
    ) -> None:
        self._learner, self._validation, self._options = learner, validation, options
        self._progress = progress
        self.started_cpu, self._started = time.process_time(), time.monotonic()
        self.history: list[EpochReport] = []
        self._best: tuple[EpochReport, dict[str, Tensor]] | None = None

    @property
    def best(self) -> tuple[EpochReport, dict[str, Tensor]]:
        assert self._best is not None, "the head is trained in any case"
        return self._best

    def run(self) -> Stopped:
        network = self._learner.network
        stopped: Stopped = "finished"
        try:
            windows = self._learner.clean_windows(self._validation)
            minutes = self._options.max_minutes or 0.0
            enough = 60 * minutes * (1 - _SHARE_OF_VIEWS)  # is left for what learns then
            taught = self._learner.embedded_windows(
                self._options.views, lambda: self._seconds_left() <= enough
            )
            for loss in self._learner.head_epochs(taught):
                self._note(1, loss, windows)
            phases = self._options.stages[1:]
            for number, stages in enumerate(phases):
                if not self._is_over():
                    self._phase(stages, self._share_of_time(len(phases) - number))
            if phases and self._is_over():
                stopped = "time"
        except KeyboardInterrupt:
            if self._best is None:
                raise
            stopped = "interrupted"
        finally:
            if self._best is not None:
                network.load_state_dict(self.best[1])
                _scale(_head_layers(network)[-1], self.best[0].slope)
            network.unfreeze()
            network.eval()
        return stopped

    def _phase(self, stages: int, time_used: Callable[[], float]) -> None:
        learner, options, losses = self._learner, self._options, list[float]()
        learner.network.load_state_dict(self.best[1])
        for loss in learner.epochs(stages, time_used):
            self._note(stages, loss, learner.clean_windows(self._validation))
            losses.append(self.history[-1].validation_loss)
            if len(losses) - 1 - int(np.argmin(losses)) >= options.patience:
                break

    @torch.no_grad()
    def _note(self, stages: int, loss: float, windows: Windows) -> None:
        """Judge the weights as they are, and keep them if they are the best so far."""
        sounds, logits = self._validation, self._learner.network.head(windows.values)
        verdict = _evaluate_clips(
            logits, windows.clips, windows.weights, sounds.targets, sounds.multi_label
        )
        better = self._best is None or verdict.log_loss < self._best[0].validation_loss
        seconds = time.process_time() - self.started_cpu
        report = EpochReport(len(self.history) + 1, stages, loss, *verdict, better, seconds)
        self.history.append(report)
        if better:
            state = self._learner.network.state_dict()
            self._best = (report, {name: values.clone() for name, values in state.items()})
        self._progress(report)

    def _is_over(self) -> bool:
        return self._seconds_left() <= 0

    def _seconds_left(self) -> float:
        minutes = self._options.max_minutes
        return np.inf if minutes is None else self._started + 60 * minutes - time.monotonic()

    def _share_of_time(self, phases: int) -> Callable[[], float]:
        """What has passed of the time that one of so many phases has, 0..1."""
        began, seconds = time.monotonic(), max(self._seconds_left() / phases, 1e-9)
        return lambda: (time.monotonic() - began) / seconds


def _head_layers(network: StagedNetwork) -> list[nn.Linear]:
    return [m for m in network.stages()["head"].modules() if isinstance(m, nn.Linear)]


@torch.no_grad()
def _scale(layer: nn.Linear, slope: float) -> None:
    layer.weight.mul_(slope)
    layer.bias.mul_(slope)


_SLOPES = np.geomspace(0.25, 4.0, 33)
_CLIPS_OF_PRIOR = 4
"""A slope of 2 or 1/2 needs more evidence than this many clips."""


class _Verdict(NamedTuple):
    """log_loss: −ln of the scores of the true classes, a mean over clips, or over all known labels
    of a multi-label network; with logits times ``slope``, where it is least.

    accuracy: as `oido.datasets.dataset.accuracy`.
    """

    log_loss: float
    accuracy: float
    slope: float


def _evaluate_clips(
    logits: Tensor, clips: I64, weights: F64, targets: F32, multi_label: bool
) -> _Verdict:
    """Of clips, by f32[M, C] logits of windows, their clips and f64[M] weights; targets f32[K, C].

    The score of a clip is the mean of its windows'. The slope is drawn towards 1 by few clips.
    """
    best = None
    for slope in _SLOPES:
        scores = _clip_scores(logits * slope, clips, weights, multi_label)
        loss = _log_loss(scores, targets, multi_label)
        drawn = loss + _CLIPS_OF_PRIOR / len(targets) * float(np.log2(slope)) ** 2
        if best is None or drawn < best[0]:
            best = drawn, _Verdict(loss, accuracy(scores, targets, multi_label), float(slope))
    assert best is not None
    return best[1]


def _clip_scores(logits: Tensor, clips: I64, weights: F64, multi_label: bool) -> F64:
    scores = torch.sigmoid(logits) if multi_label else torch.softmax(logits, dim=1)
    weighted = scores.cpu().numpy().astype(np.float64) * weights[:, None]
    sums = np.zeros((int(clips.max()) + 1, weighted.shape[1]))
    np.add.at(sums, clips, weighted)
    return np.asarray(sums / np.bincount(clips, weights)[:, None])


def _log_loss(scores: F64, targets: F32, multi_label: bool) -> float:
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    if not multi_label:
        return float(-(np.log(p) * targets).sum(axis=1).mean())
    return float(-np.nanmean(targets * np.log(p) + (1 - targets) * np.log1p(-p)))
