# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning: a network that knows sound learns new classes, from its last stage backwards.

It begins with a head: one that was fitted already on the network's evidence, or a new one that is
trained alone, on embeddings that are computed once. Then the last stages learn with it, with rates
that fall towards the sound, on windows that are drawn and augmented anew in each epoch. Held-out
clips are evaluated after each epoch, and then a few places on the straight way from the weights
with the head to the last that learnt (Wortsman et al., Robust fine-tuning of zero-shot models,
2022); the best weights are kept, also when time is over or the run is interrupted. What learnt is
better than the head alone where its loss is less by more than one standard error of the difference
(Breiman et al., Classification and Regression Trees, 1984): a few clips decide nothing. Clips are
evaluated with the slope of the logits that fits best (temperature scaling, Guo et al. 2017):
how confident a network is changes from epoch to epoch, whatever it has learnt.
"""

from __future__ import annotations

import copy
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
from oido.torch.base import EvidenceHead, StagedNetwork, numpy_copy
from oido.torch.clips import LabelledSounds
from oido.torch.optimization import seeded
from oido.torch.training_loop import FinetuneOptions, Learner, Windows

Stopped = Literal["finished", "time", "interrupted"]


class EpochReport(NamedTuple):
    """An epoch: numbers are from 1. stages: how many learnt. loss: in training, None without one.

    share: how far the weights are from those with the head alone (0) to those that learnt (1).
    validation_loss, validation_accuracy: of whole clips that were held out, with logits times
    ``slope``, which fits them best. best: so far. cpu_seconds: since the start.
    """

    epoch: int
    stages: int
    loss: float | None
    validation_loss: float
    validation_accuracy: float
    slope: float
    best: bool
    cpu_seconds: float
    share: float


class FittedHeads(NamedTuple):
    """Linear heads on `StagedNetwork.evidence`, fitted and calibrated: without the clips that are
    held out, where training begins, and on all; what training changes of the one is done to the
    other, so that no clip is lost by being held out."""

    without_validation: EvidenceHead
    on_all: EvidenceHead


@dataclass(frozen=True, eq=False)
class Finetuned:
    """The result. module: the network that was passed, with the best weights, in evaluation mode.

    history: of all epochs; best: the one whose weights these are. head: its linear layers,
    (f32[out, in] weights, f32[out] bias) each, with the network's own activation between (relu in
    one that was fitted); the slope of the best epoch is in them. validation: i64, numbers of the
    clips that were held out; empty if others were passed. stopped: "finished", or why it ended.
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
    heads: FittedHeads | None = None,
    backgrounds: Sequence[F32] = (),
    options: FinetuneOptions | None = None,
    progress: Callable[[EpochReport], None] | None = None,
) -> Finetuned:
    """Give ``network`` a head for the classes of ``sounds``, and train it and what is before.

    windows: what the classifier will hear at once, `AudioModel.windows` of the same network.
    validation: clips that tell when to stop; None: a part of ``sounds``, whole sources.
    heads: to begin with; None: a new one. backgrounds: sounds of no class, to be mixed in.
    progress: called after each epoch.

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
        if heads is None:
            network.new_head(sounds.classes)
        else:
            network.set_head(copy.deepcopy(heads.without_validation))
        precise, network.front_end = network.front_end, network.front_end.in_float32()
        try:
            learner = Learner(network, sounds, windows, backgrounds, options)
            run = _Run(learner, validation, heads, options, progress or (lambda _: None))
            stopped = run.run()
        finally:
            network.front_end = precise
    return Finetuned(
        network,
        tuple(run.history),
        run.best.report,
        tuple((numpy_copy(x.weight), numpy_copy(x.bias)) for x in _head_layers(network)),
        numbers,
        sounds.multi_label,
        stopped,
        time.process_time() - run.started_cpu,
    )


_SHARE_OF_VIEWS = 0.25
"""Of the time that there is, after which the head has no further views to learn from."""


_SHARES = (0.25, 0.5, 0.75)
"""Places on the way from the head's weights to those that learnt, where both ends are known."""

_State = dict[str, Tensor]


class _Candidate(NamedTuple):
    """Weights that may be kept; losses: of the held-out clips, f64[K]."""

    report: EpochReport
    state: _State
    losses: F64


class _Run:
    """The phases, and the best weights so far."""

    def __init__(
        self,
        learner: Learner,
        validation: LabelledSounds,
        heads: FittedHeads | None,
        options: FinetuneOptions,
        progress: Callable[[EpochReport], None],
    ) -> None:
        self._learner, self._validation, self._options = learner, validation, options
        self._heads, self._progress = heads, progress
        self.started_cpu, self._started = time.process_time(), time.monotonic()
        self._seconds_between = 0.0  # that places between head and network will take
        self.history: list[EpochReport] = []
        self._best: dict[float, _Candidate] = {}  # by share
        self._latest: _State = {}

    @property
    def best(self) -> _Candidate:
        """The weights of the least loss, or those with the head alone if they may be as good."""
        head = self._best[0.0]
        least = min(self._best.values(), key=lambda found: found.report.validation_loss)
        gains, n = head.losses - least.losses, len(head.losses)
        if n < 2 or not gains.mean() > gains.std(ddof=1) / np.sqrt(n):
            return head
        return least

    def run(self) -> Stopped:
        network = self._learner.network
        stopped: Stopped = "finished"
        try:
            began = time.monotonic()
            windows = self._learner.clean_windows(self._validation)
            self._seconds_between = (time.monotonic() - began) * len(_SHARES)
            self._begin(windows)
            phases = self._options.stages[1:]
            for number, stages in enumerate(phases):
                if not self._is_over():
                    self._phase(stages, self._share_of_time(len(phases) - number))
            if phases and self._is_over():
                stopped = "time"
            self._go_between()
        except KeyboardInterrupt:
            if not self._best:
                raise
            stopped = "interrupted"
        finally:
            if self._best:
                self._finish(self.best.report, self.best.state)
            network.unfreeze()
            network.eval()
        return stopped

    def _begin(self, windows: Windows) -> None:
        """With the head that was fitted, or one that is trained now."""
        if self._heads is not None:
            for _ in self._learner.original_windows():
                pass  # which notes how many there are, and how loud
            self._note(1, None, windows, 0.0)
            return
        minutes = self._options.max_minutes or 0.0
        enough = 60 * minutes * (1 - _SHARE_OF_VIEWS)  # is left for what learns then
        taught = self._learner.embedded_windows(
            self._options.views, lambda: self._seconds_left() <= enough
        )
        for loss in self._learner.head_epochs(taught):
            self._note(1, loss, windows, 0.0)

    def _phase(self, stages: int, time_used: Callable[[], float]) -> None:
        learner, options, losses = self._learner, self._options, list[float]()
        learner.network.load_state_dict(self.best.state)
        for loss in learner.epochs(stages, time_used):
            self._note(stages, loss, learner.clean_windows(self._validation), 1.0)
            losses.append(self.history[-1].validation_loss)
            if len(losses) - 1 - int(np.argmin(losses)) >= options.patience:
                break

    def _go_between(self) -> None:
        """Try weights between those with the head alone and the last that learnt."""
        if self.history[-1].share == 0:
            return
        head, learnt, stages = self._best[0.0].state, self._latest, self.history[-1].stages
        for share in _SHARES:
            between = {
                name: torch.lerp(head[name], values, share)
                if values.is_floating_point()
                else values
                for name, values in learnt.items()
            }
            self._learner.network.load_state_dict(between)
            windows = self._learner.clean_windows(self._validation)
            self._note(stages, None, windows, share)

    @torch.no_grad()
    def _finish(self, report: EpochReport, state: _State) -> None:
        """The best weights; the slope that fits them is in the head, and all clips are."""
        network, slope = self._learner.network, report.slope
        network.load_state_dict(state)
        layers = _head_layers(network)
        if self._heads is not None:
            slope /= self.history[0].slope  # the head on all clips is calibrated already
            heads = (self._heads.without_validation, self._heads.on_all)
            for layer, begun, whole in zip(layers, *(head.dense for head in heads)):
                layer.weight.add_(whole.weight.to(layer.weight) - begun.weight.to(layer.weight))
                layer.bias.add_(whole.bias.to(layer.bias) - begun.bias.to(layer.bias))
        layers[-1].weight.mul_(slope)
        layers[-1].bias.mul_(slope)

    @torch.no_grad()
    def _note(self, stages: int, loss: float | None, windows: Windows, share: float) -> None:
        """Judge the weights as they are, and keep them if they are the best so far."""
        sounds, logits = self._validation, self._learner.network.head(windows.values)
        verdict = _evaluate_clips(
            logits, windows.clips, windows.weights, sounds.targets, sounds.multi_label
        )
        report = EpochReport(
            epoch=len(self.history) + 1,
            stages=stages,
            loss=loss,
            validation_loss=verdict.log_loss,
            validation_accuracy=verdict.accuracy,
            slope=verdict.slope,
            best=False,
            cpu_seconds=time.process_time() - self.started_cpu,
            share=share,
        )
        state = self._learner.network.state_dict()
        self._latest = {name: values.clone() for name, values in state.items()}
        known = self._best.get(share)
        if known is None or verdict.log_loss < known.report.validation_loss:
            self._best[share] = _Candidate(report, self._latest, verdict.losses)
            if self.best.report is report:
                report = report._replace(best=True)
                self._best[share] = self._best[share]._replace(report=report)
        self.history.append(report)
        self._progress(report)

    def _is_over(self) -> bool:
        return self._seconds_left() <= 0

    def _seconds_left(self) -> float:
        minutes = self._options.max_minutes
        if minutes is None:
            return np.inf
        return self._started + 60 * minutes - self._seconds_between - time.monotonic()

    def _share_of_time(self, phases: int) -> Callable[[], float]:
        """What has passed of the time that one of so many phases has, 0..1."""
        began, seconds = time.monotonic(), max(self._seconds_left() / phases, 1e-9)
        return lambda: (time.monotonic() - began) / seconds


def _head_layers(network: StagedNetwork) -> list[nn.Linear]:
    if network.taught is not None:
        return network.taught.dense
    return [m for m in network.stages()["head"].modules() if isinstance(m, nn.Linear)]


_SLOPES = np.geomspace(0.25, 4.0, 33)
_CLIPS_OF_PRIOR = 4
"""A slope of 2 or 1/2 needs more evidence than this many clips."""


class _Verdict(NamedTuple):
    """losses: of each clip, −ln of the score of its true class, or of a multi-label network the sum
    over its known labels over the mean number of these; with logits times ``slope``, where their
    mean is least.

    accuracy: as `oido.datasets.dataset.accuracy`.
    """

    losses: F64
    accuracy: float
    slope: float

    @property
    def log_loss(self) -> float:
        """The mean of the losses."""
        return float(self.losses.mean())


def _evaluate_clips(
    logits: Tensor, clips: I64, weights: F64, targets: F32, multi_label: bool
) -> _Verdict:
    """Of clips, by f32[M, C] logits of windows, their clips and f64[M] weights; targets f32[K, C].

    The score of a clip is the mean of its windows'. The slope is drawn towards 1 by few clips.
    """
    best = None
    for slope in _SLOPES:
        scores = _clip_scores(logits * slope, clips, weights, multi_label)
        losses = _log_losses(scores, targets, multi_label)
        drawn = float(losses.mean()) + _CLIPS_OF_PRIOR / len(targets) * float(np.log2(slope)) ** 2
        if best is None or drawn < best[0]:
            best = drawn, _Verdict(losses, accuracy(scores, targets, multi_label), float(slope))
    assert best is not None
    return best[1]


def _clip_scores(logits: Tensor, clips: I64, weights: F64, multi_label: bool) -> F64:
    scores = torch.sigmoid(logits) if multi_label else torch.softmax(logits, dim=1)
    weighted = scores.cpu().numpy().astype(np.float64) * weights[:, None]
    sums = np.zeros((int(clips.max()) + 1, weighted.shape[1]))
    np.add.at(sums, clips, weighted)
    return np.asarray(sums / np.bincount(clips, weights)[:, None])


def _log_losses(scores: F64, targets: F32, multi_label: bool) -> F64:
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    if not multi_label:
        return np.asarray(-(np.log(p) * targets).sum(axis=1))
    each = targets * np.log(p) + (1 - targets) * np.log1p(-p)
    return np.asarray(-np.nansum(each, axis=1) * len(each) / (~np.isnan(each)).sum())
