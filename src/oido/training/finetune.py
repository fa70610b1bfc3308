# SPDX-License-Identifier: Apache-2.0
"""Teaching the network itself, and not only a head behind it (extra ``oido[torch]``).

A part of the sources is held out to judge by, a part of the rest to decide when to stop; what is
exported has learnt from what is left. A head on the network as it was is taught on the same clips;
the network is trained further from there, with a head that was fitted without the clips that tell
when to stop, and what that changes is done to the head of all clips. The first head is what is
kept, unless the network that was trained further judges no worse than it. A head on both networks
teaches: a part of each target is what it says of the clip, taught without it (Hinton et al.,
Distilling the knowledge in a neural network, 2015).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from oido._version import __version__
from oido.arrays import F32, Bools
from oido.datasets.clip import LeftOut, none_usable
from oido.datasets.dataset import Dataset, DatasetSource, Split, as_dataset, clip_targets
from oido.datasets.splits import group_numbers
from oido.datasets.waveforms import clip_waveform
from oido.errors import AudioError, ModelFormatError, OptionError
from oido.evaluation.report import Report
from oido.inference.classifier import AudioClassifier
from oido.inference.export import ExportReport, export
from oido.messages import joined, tr
from oido.models.fetch import find
from oido.models.loading import load_model
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork
from oido.models.networks.mn04 import EMBEDDING_SIZE
from oido.models.registry import DEFAULT_MODEL, ENSEMBLE, ENSEMBLE_MEMBERS, card
from oido.models.tflite.evidence import own_size
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import LinearOptions
from oido.training.held_out import HeldOutResult, judge_logistic
from oido.training.model_selection import CANDIDATES, ModelSelection, select
from oido.training.train import TrainingResult, train

if TYPE_CHECKING:
    from oido.torch.finetune import FittedHeads

OnMessage = Callable[[str], None]
"""Called with a line about how it goes."""


def finetune(
    data: DatasetSource,
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    test: float = 0.25,
    seed: int = 0,
    max_minutes: float | None = None,
    cache: bool = True,
    jobs: int | None = None,
    on_message: OnMessage = lambda line: None,
) -> FinetuningResult:
    """Train YAMNet or mn04 further on a dataset, stage by stage.

    test: the share of sources that is held out to judge by; the data's own test parts are kept.
    max_minutes: of all of it, heads and judging among them; training uses all cores then, and no
    two are alike. jobs: threads that embed clips and fit heads. on_message: gets a line for each
    epoch. The rest is as for `oido.train`; it takes minutes where that takes seconds, and only pays
    with many clips.

    It never ends worse than a head: one is taught on the same clips (`oido.train`), both are judged
    on the sources that were held out, and where the head names more clips rightly, or as many at a
    smaller log loss, it is the result. KeyboardInterrupt ends the training with the best weights so
    far, or with the head. Raises OptionError, ModelError, or MissingExtraError without
    `oido[torch,train]`.
    """
    from oido.torch import Mn04, YamNet

    data = as_dataset(data)
    data.require_two_classes()
    base = load_model(model)
    module: Any = None
    with contextlib.suppress(ModelFormatError):  # YAMNet's, but with another head behind it
        if isinstance(base.network, LogMelNetwork):
            module = YamNet.from_pretrained(model)
        elif isinstance(base.network, MnNetwork) and own_size(base) == EMBEDDING_SIZE:
            module = Mn04.from_pretrained(model)
    if module is None:
        raise OptionError(
            tr(
                "{name} cannot be trained further; choose {choices}",
                name=base.path.name if base.card is None else base.name,
                choices=joined(tr(" or "), ENSEMBLE_MEMBERS),
            )
        )
    from oido.torch.training_loop import FinetuneOptions

    started, rate = time.monotonic(), base.windows.sample_rate_hz
    options = FinetuneOptions(seed=seed, max_minutes=max_minutes)  # raises, before the work
    data, left_out = _readable(data, rate)
    split = data.split(test, seed)
    unfolded = tuple(replace(clip, fold=None) for clip in split.train)
    known = replace(split.train, clips=unfolded)
    frozen = train(known, model=base, seed=seed, cache=cache, jobs=jobs)
    head = frozen.classifier()
    judging = time.monotonic()
    of_head = HeldOutResult.of(head, split.test)
    seconds_judging = time.monotonic() - judging
    plain = judge_logistic(frozen, split.test, seed, cache=cache)
    on_message(
        tr(
            "the head on {name} as it is, on sources held out: {of_head}",
            name=base.name,
            of_head=of_head.text,
        )
    )
    further = None
    with contextlib.suppress(KeyboardInterrupt):  # the head is there already
        teacher = _teacher(known, frozen, seed, max_minutes, cache)
        if teacher is not None:
            on_message(tr("{name} teaches, too", name=teacher.name))
        if max_minutes is not None:  # heads have had their part of them, and judging will
            left = max_minutes - (time.monotonic() - started + seconds_judging) / 60
            options = replace(options, max_minutes=max(0.0, left), threads=None)
        further = _train_further(base, module, split, frozen, teacher, options, on_message)
    keeps_head = further is None or of_head.is_better_than(further.judged)
    exported = tr("the head on the network as it was") if keeps_head else tr("trained further")
    facts: dict[str, Any] = {tr("base model"): base.name, tr("exported"): exported}
    if plain is not None:
        facts[tr("logistic regression, held out")] = plain.text
    facts[tr("the head, held out")] = of_head.text
    if plain is not None:
        facts[tr("the head, over logistic regression")] = plain.beside(of_head)
    if further is not None:
        facts[tr("trained further, held out")] = further.judged.text
    if further is not None and plain is not None:
        facts[tr("trained further, over logistic regression")] = plain.beside(further.judged)
    done: dict[str, Any] = {tr("trained"): tr("interrupted before it could be judged")}
    return FinetuningResult(
        split.train,
        split.test,
        head.model if further is None or keeps_head else further.model,
        left_out,
        {
            **facts,
            **(done if further is None else further.facts),
            tr("clips to learn from"): len(split.train),
            tr("clips to judge by"): len(split.test),
            tr("seed"): seed,
            "oido": __version__,
        },
        of_head if further is None or keeps_head else further.judged,
        frozen if keeps_head else None,
    )


_KEPT_BYTES = 500_000_000
"""Of decoded clips: some 800 of 5 s at 32 kHz."""


class _Further(NamedTuple):
    """A network that was trained further, how it does on sources held out, and what was done."""

    model: AudioModel
    judged: HeldOutResult
    facts: dict[str, Any]


def _train_further(
    base: AudioModel,
    module: Any,
    split: Split,
    frozen: TrainingResult,
    teacher: _Teacher | None,
    options: Any,
    on_message: OnMessage,
) -> _Further:
    from oido.torch.clips import LabelledSounds, LazyWaveforms
    from oido.torch.finetune import finetune as finetune_network
    from oido.torch.to_litert import as_model

    rate = base.windows.sample_rate_hz
    targets, classes, several = clip_targets(split.train)
    groups = group_numbers([clip.group for clip in split.train])
    waveforms = LazyWaveforms(
        lambda n: clip_waveform(split.train[n], rate)[0], len(split.train), _KEPT_BYTES
    )
    soft = None if teacher is None or teacher.scores.shape != targets.shape else teacher.scores
    sounds = LabelledSounds(waveforms, targets, groups, several, soft)
    held = sounds.held_out(options.validation, options.seed)
    known, heads = frozen.taught, None
    if known.weak is None and known.targets.shape == targets.shape:
        heads = fitted_heads(known, held, frozen.selection, options.seed, frozen.jobs)
    clock = _Clock(options.stages, options.epochs, options.max_minutes)

    def report_epoch(epoch: Any) -> None:
        best = tr(", the best so far") if epoch.best else ""
        if epoch.loss is None:
            on_message(
                tr(
                    "{share:.0%} of the way from the head to the network: on held-out clips "
                    "{validation_loss:.3f}, accuracy {validation_accuracy:.3f}{best}",
                    share=epoch.share,
                    validation_loss=epoch.validation_loss,
                    validation_accuracy=epoch.validation_accuracy,
                    best=best,
                )
            )
            return
        left = clock.minutes_left(epoch.stages)
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

    done = finetune_network(
        module,
        sounds.subset(np.flatnonzero(~held)),
        base.windows,
        validation=sounds.subset(np.flatnonzero(held)),
        heads=heads,
        options=options,
        progress=report_epoch,
    )
    model = as_model(done.module, base, classes, output="sigmoid" if several else "softmax")
    judged = HeldOutResult.of(AudioClassifier(model), split.test)
    on_message(
        tr(
            "{name}, trained further, on sources held out: {of_network}",
            name=base.name,
            of_network=judged.text,
        )
    )
    facts: dict[str, Any] = {}
    if teacher is not None and soft is not None:
        facts[tr("teacher")] = teacher.name
    facts[tr("trained")] = tr(
        "{stages} of {n_stages} stages, {epochs} epochs ({stopped}), {share:.0%} of the way",
        stages=done.best.stages,
        n_stages=len(module.stages()),
        epochs=sum(epoch.loss is not None for epoch in done.history),
        stopped=done.stopped,
        share=done.best.share,
    )
    facts[tr("minutes of processor time")] = round(done.cpu_seconds / 60, 1)
    return _Further(model, judged, facts)


def fitted_heads(
    known: EmbeddedClips, held: Bools, selection: ModelSelection, seed: int, jobs: int | None = None
) -> FittedHeads:
    """Linear heads for `oido.torch.finetune`: on clips that are not held out, bool[K], and on all.

    selection: of a head on all of them, which is used if it is linear.
    """
    from oido.torch.base import EvidenceHead
    from oido.torch.finetune import FittedHeads

    linear = [c for c in CANDIDATES if isinstance(c.options, LinearOptions)]
    if selection.chosen not in {c.name for c in linear}:
        selection = select(known, linear, seed=seed, jobs=jobs)
    chosen = [c for c in linear if c.name == selection.chosen]
    part = select(known.subset(~held), chosen, seed=seed, jobs=jobs)
    without, on_all = (
        EvidenceHead([(layer.weights, layer.bias) for layer in head.layers], head.square_root)
        for head in (part.head, selection.head)
    )
    return FittedHeads(without, on_all)


class _Teacher(NamedTuple):
    """name: what it is. scores: f32[K, C] of clips, by heads that had not been taught them."""

    name: str
    scores: F32


_SHARE_OF_TEACHER = 0.25
"""Of the minutes that there are, what hearing all clips with both networks may take."""


def _teacher(
    data: Dataset, frozen: TrainingResult, seed: int, max_minutes: float | None, cache: bool
) -> _Teacher | None:
    """A head on both networks, if they are at hand and there is time; else the network's own."""
    teacher = frozen
    seconds = frozen.inference_seconds * 3  # one of them was heard already
    has_time = max_minutes is None or seconds <= 60 * max_minutes * _SHARE_OF_TEACHER
    if has_time and all(find(card(name)) is not None for name in ENSEMBLE_MEMBERS):
        teacher = train(data, model=ENSEMBLE, seed=seed, cache=cache, jobs=frozen.jobs)
    scores = teacher.selection.out_of_fold
    if scores is None or teacher.taught.weak is not None:
        return None
    return _Teacher(tr("a head on {name}", name=teacher.base_model.name), scores)


class _Clock:
    """How long the phases behind the head's may still take, by the last epoch; of seconds each."""

    def __init__(
        self, stages: tuple[int, ...], epochs: int, max_minutes: float | None = None
    ) -> None:
        self._stages, self._epochs = stages, epochs
        self._last, self._done = time.monotonic(), dict.fromkeys(stages, 0)
        self._end = np.inf if max_minutes is None else self._last + 60 * max_minutes

    def minutes_left(self, stages: int) -> float | None:
        """After an epoch of so many stages; None in the head's phase, which is short."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._done[stages] += 1
        if stages == self._stages[0]:
            return None
        phases = [s for s in self._stages if s >= stages]
        at_most = seconds * (self._epochs * len(phases) - self._done[stages])
        return max(0.0, min(at_most, self._end - now)) / 60


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
    judged: HeldOutResult = field(repr=False)
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
            title=tr("1 class taught to {basemodel}", basemodel=self.facts["base model"])
            if len(self.train.classes) == 1
            else tr(
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
        raise none_usable(left_out)
    return data.subset(kept), tuple(left_out)
