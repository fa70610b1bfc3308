# SPDX-License-Identifier: Apache-2.0
"""Teaching a network new sounds: embed, fit, choose, calibrate, judge, export."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from oido._version import __version__
from oido.calibration.thresholds import best_thresholds
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset, DatasetSource, as_dataset, class_weights
from oido.datasets.splits import require_training_extra
from oido.errors import OptionError
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.report import Report
from oido.inference.classifier import AudioClassifier
from oido.inference.export import export
from oido.messages import listed, tr
from oido.models.joint import as_one_network
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.registry import DEFAULT_MODEL
from oido.options import check
from oido.training.augment import Augmentation
from oido.training.baselines import BASELINES
from oido.training.embed import Embedded, Progress, embed
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import one_thread
from oido.training.head import EmbeddingHead
from oido.training.head_export import Parity, check_parity, taught_file, with_scale_of_parts
from oido.training.model_selection import (
    NEVER_HELD_OUT,
    ModelSelection,
    OnFit,
    count_fits,
    cross_validate,
    judge_baselines,
    select,
)
from oido.training.novelty import NoveltyDetector, fit_novelty
from oido.training.steps import Step, judge_steps
from oido.training.validation import (
    SHARES,
    LearningCurve,
    learning_curve,
    predictions_on_test,
    predictions_out_of_fold,
)
from oido.training.weak_labels import WEAK_FROM_SECONDS
from oido.writers.atomic import write_atomically


def train(
    data: DatasetSource,
    *,
    model: str | os.PathLike[str] | AudioModel = DEFAULT_MODEL,
    seed: int = 0,
    thorough: bool = False,
    augment: int = 0,
    weak_from: float = WEAK_FROM_SECONDS,
    embeddings_only: bool = False,
    cache: bool = True,
    jobs: int | None = None,
    progress: Progress = lambda done, total: None,
    fit_progress: Progress = lambda done, total: None,
) -> TrainingResult:
    """Teach a classifier the classes of a dataset.

        result = oido.train("birds/")
        print(result.report)
        result.export("birds.tflite")

    data: an `oido.Dataset`, or the path of a folder or table, as `Dataset.load` reads them.
    model: whose embeddings are built on: "yamnet/classification", "yamnet", "efficientat/mn04", or
    "ensemble" for those of both networks (`oido.models.joint`).
    thorough: judge by nested cross-validation, in which the choice of the head is repeated without
    each fold: some five times as long. augment: so many changed copies of each clip (gain, shift,
    noise, background) are learnt from, too; never judged by. weak_from: of whole recordings of so
    many seconds and more, the windows that hold the labelled sound choose themselves; inf: all are
    learnt from. embeddings_only: look at what archives keep, and at no other layers of the network,
    so that `oido count` and `oido adapt` can score an archive without its recordings. cache: keep
    embeddings for the next time. jobs: threads that embed and fit.
    progress: called with (recordings done, of how many); fit_progress: with (fits done, of how
    many), those for the report among them.

    Recordings that came with folds keep them, and train and test parts too: then the head learns
    from the one and is judged on the other. The same data and seed give the same model, byte for
    byte. Raises OptionError for data that cannot be learnt from, ModelError, or MissingExtraError
    without `oido[train]`.
    """
    check("jobs", jobs)
    check("seed", seed)
    data = as_dataset(data)
    data.require_two_classes()
    if not weak_from >= 0:
        raise OptionError(
            tr("weak_from must be 0 or more seconds, not {weak_from:g}", weak_from=weak_from)
        )
    require_training_extra()  # which is better missed now than when all is heard
    network = as_one_network(model if isinstance(model, AudioModel) else load_model(model))
    started = time.perf_counter()
    test_folds = _predefined_test_folds(data)
    changed = Augmentation(copies=augment, seed=seed)
    embedded = embed(
        data,
        network,
        augment=changed,
        cache=cache,
        weak_from=weak_from,
        jobs=jobs,
        progress=progress,
    )
    embedded_at = time.perf_counter()
    if embeddings_only:
        embedded = embedded._replace(clips=embedded.clips.own)
    clips = embedded.clips
    _require_classes(clips, embedded.left_out)
    if test_folds is not None:
        test = np.array([clip.fold in test_folds for clip in embedded.kept])
        known = clips.subset(~test)
        clips = replace(known, folds=np.full(len(known), -1))
        _require_classes(clips, embedded.left_out)
    counter = _FitCounter(clips, seed, thorough and test_folds is None, fit_progress)
    selection = select(clips, seed=seed, jobs=jobs, on_fit=counter.advance)
    novelty = None
    # One class by itself has nothing to point away from, and minutes are mostly of no class.
    if len(clips.classes) > 1 and clips.weak is None:
        novelty = fit_novelty(clips, square_root=selection.head.square_root, folds=selection.folds)
    fitted = time.perf_counter()
    if test_folds is not None:
        judged = predictions_on_test(embedded, test, selection)
    elif thorough and selection.folds is not None:
        judged = predictions_out_of_fold(
            embedded, *cross_validate(clips, seed=seed, jobs=jobs, on_fit=counter.advance)
        )
    elif selection.out_of_fold is not None and selection.folds is not None:
        windows = selection.windows_out_of_fold
        judged = predictions_out_of_fold(
            embedded, selection.out_of_fold, selection.folds, network, windows
        )
    else:
        judged = None
    return TrainingResult(
        data=data,
        base_model=network,
        embedded=embedded,
        taught=clips,
        selection=selection,
        novelty=novelty,
        judged=judged,
        seed=seed,
        inference_seconds=embedded_at - started,
        seconds_fitting=fitted - embedded_at,
        jobs=jobs,
        on_fit=counter.advance,
    )


class _FitCounter:
    """Counts the fits of one training and of its report; `advance` may be called by any thread."""

    def __init__(self, clips: EmbeddedClips, seed: int, thorough: bool, progress: Progress) -> None:
        n_folds, self._total = count_fits(clips, seed=seed, thorough=thorough)
        self._total += n_folds * len(SHARES)
        if not clips.multi_label:
            self._total += n_folds * len(BASELINES)
        self._done, self._progress, self._lock = 0, progress, threading.Lock()
        progress(0, self._total)

    def advance(self) -> None:
        with self._lock:
            self._done += 1
            self._progress(min(self._done, self._total), self._total)


@dataclass(frozen=True, eq=False, repr=False)
class TrainingResult:
    """A taught classifier, and what is known of it.

    base_model: whose embeddings it is built on; `classifier` and `export` give what was taught.
    head: the classifier on embeddings; classes: its labels, in the order of the scores. judged:
    clips beside the predictions of heads that had not seen them; None if there was too little to
    hold any back. left_out: clips that could not be decoded.
    """

    data: Dataset = field(repr=False)
    base_model: AudioModel = field(repr=False)
    embedded: Embedded = field(repr=False)
    taught: EmbeddedClips = field(repr=False)
    selection: ModelSelection = field(repr=False)
    novelty: NoveltyDetector | None = field(repr=False)
    judged: ClipPredictions | None = field(repr=False)
    seed: int
    inference_seconds: float
    seconds_fitting: float
    jobs: int | None = field(default=None, repr=False)
    on_fit: OnFit = field(default=lambda: None, repr=False)

    def __repr__(self) -> str:
        shown = ", ".join(self.classes[:5]) + (", …" if len(self.classes) > 5 else "")
        return (
            f"<TrainingResult on {self.base_model.name}: "
            f"{len(self.classes)} classes: {shown:.120}; "
            "its report says how good it is>"
        )

    @property
    def head(self) -> EmbeddingHead:
        return self.selection.head

    @property
    def classes(self) -> tuple[str, ...]:
        return self.head.classes

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        return self.embedded.left_out

    @cached_property
    def thresholds(self) -> dict[str, float]:
        """For events, by class: where F1 was best on clips that were not learnt from."""
        selection = self.selection
        if selection.out_of_fold is None or selection.folds is None:
            return {}
        held_out = selection.folds != NEVER_HELD_OUT
        targets = self.taught.targets[held_out]
        values = best_thresholds(selection.out_of_fold[held_out], targets, self.head.output)
        return {label: round(float(v), 4) for label, v in zip(self.classes, values)}

    @cached_property
    def baselines(self) -> list[tuple[str, float, float]]:
        """What simpler ways of learning do on the same folds: name, accuracy, mAP (not known)."""
        folds = self.selection.folds
        if folds is None or self.taught.multi_label:
            return []
        with one_thread():
            found = judge_baselines(
                self.taught.own, folds, seed=self.seed, jobs=self.jobs, on_fit=self.on_fit
            )
        return [(name, value, float("nan")) for name, value in found.items()]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What each step from plain logistic regression to this head gained, out of fold."""
        return judge_steps(self.taught, self.selection, seed=self.seed)

    @cached_property
    def curve(self) -> LearningCurve:
        """What less of the data would have achieved."""
        return learning_curve(
            self.taught,
            self.selection.folds,
            seed=self.seed,
            out_of_fold=self.selection.first_logits,
            jobs=self.jobs,
            on_fit=self.on_fit,
        )

    @cached_property
    def report(self) -> Report:
        """How well it does on recordings that it has not seen, in numbers and words."""
        if self.judged is None:
            raise OptionError(
                tr(
                    "nothing could be held back to judge by: two classes need "
                    "recordings from two sources or more"
                )
            )
        return Report.of(
            self.judged,
            title=tr("1 class taught on {name}", name=self.base_model.name)
            if len(self.data.classes) == 1
            else tr(
                "{n_classes} classes taught on {name}",
                n_classes=len(self.data.classes),
                name=self.base_model.name,
            ),
            dataset=self.data.check(),
            facts=self._facts(),
            left_out=self.left_out,
            notes=self._notes(),
            baselines=self.baselines,
            learning_curve=self.curve,
        )

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        keep_base: bool = False,
        unknown: bool = True,
        name: str = "",
    ) -> Parity:
        """Write one .tflite or .onnx, waveform in and scores out, and check it on the recordings.

        keep_base: the base model's own scores as a first output. unknown: a further output that
        measures how near a window is to what was taught. The file is run by LiteRT on windows of
        the data, and compared with the head that was judged; it gets its name only if they agree.
        An .onnx (needs `oido[onnx]`) is made from the .tflite, and checked against it. Raises
        ModelFormatError if they do not, OptionError, or OutputError.
        """
        path = Path(path)
        if path.suffix not in {".tflite", ".onnx"}:
            raise OptionError(
                tr("{path}: a taught classifier is a .tflite or .onnx; name it so", path=path)
            )
        content = self._file(keep_base, unknown, name or path.stem)
        parity = check_parity(self.base_model, self.head, content, self.embedded.kept, path)
        if path.suffix == ".onnx":
            with tempfile.TemporaryDirectory(prefix="oido-") as folder:
                whole = Path(folder) / f"{path.stem}.tflite"
                whole.write_bytes(content)
                report = export(whole, path)
            return parity._replace(
                size_bytes=report.size_bytes,
                windows=report.checked_windows,
                largest_difference=report.largest_difference,
            )
        with write_atomically(path, binary=True) as file:
            file.stream.write(content)
        return parity

    def classifier(self, **options: Any) -> AudioClassifier:
        """The taught classifier, ready to use; options as those of `AudioClassifier`."""
        with tempfile.TemporaryDirectory(prefix="oido-") as folder:
            path = Path(folder) / "taught.tflite"
            name = tr("a head on {name}", name=self.base_model.name)
            path.write_bytes(self._file(False, True, name))
            return AudioClassifier(path, **options)

    @cached_property
    def _novelty_of_parts(self) -> NoveltyDetector | None:
        if self.novelty is None:
            return None
        return with_scale_of_parts(self.novelty, self.base_model, self.embedded.kept)

    def _file(self, keep_base: bool, unknown: bool, name: str) -> bytes:
        return taught_file(
            self.base_model,
            self.head,
            name=name,
            thresholds=self.thresholds,
            novelty=self._novelty_of_parts if unknown else None,
            keep_base=keep_base,
            calibrated=self.selection.out_of_fold is not None,
            aggregation=None if self.taught.weak is None else "max",
            training={
                "base": self.base_model.name,
                "base_sha256": self.base_model.sha256,
                tr("clips"): len(self.taught),
                tr("head"): self.selection.chosen,
                "oido": __version__,
                tr("seed"): self.seed,
                **({"priors": _priors(self.taught)} if self.taught.multi_label else {}),
            },
        )

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if count := 0 if self.taught.weak is None else int(self.taught.weak.sum()):
            notes.append(
                tr(
                    "{count} recordings are long, and their labels were taken to be "
                    "somewhere in them: the windows that hold the sound chose themselves "
                    "(--weak-from says from which length on).",
                    count=count,
                )
            )
        if lone := self._never_judged():
            notes.append(
                tr(
                    "All recordings of {classes} are of one source, and were learnt from: how "
                    "well they are named is not known until there are others.",
                    classes=listed([repr(name) for name in lone]),
                )
            )
        return tuple(notes)

    def _never_judged(self) -> list[str]:
        """Classes of which nothing could be held out, though of others something was."""
        if self.judged is None or self.selection.folds is None:
            return []
        present = np.nan_to_num(self.taught.targets) > 0
        held_out = present[self.selection.folds != NEVER_HELD_OUT].any(axis=0)
        never = present.any(axis=0) & ~held_out
        return [name for name, is_never in zip(self.classes, never) if is_never]

    def _facts(self) -> dict[str, Any]:
        return {
            tr("base model"): self.base_model.name,
            tr("head"): self.selection.chosen,
            **{step.name: step.beside(self.steps[0]) for step in self.steps},
            tr("clips"): len(self.taught),
            tr("sources"): len(np.unique(self.taught.groups)),
            tr("seed"): self.seed,
            tr("seconds hearing"): round(self.inference_seconds, 1),
            tr("seconds learning"): round(self.seconds_fitting, 1),
            "oido": __version__,
        }


def _priors(clips: EmbeddedClips) -> list[float]:
    """How frequent each class was, as the fit weighed clips: for `oido adapt`."""
    weights = class_weights(clips.targets, multi_label=True, balance=True)
    present = (weights * (np.nan_to_num(clips.targets) > 0)).sum(axis=0)
    return [round(float(v), 4) for v in present / np.maximum(weights.sum(axis=0), 1e-9)]


def _predefined_test_folds(data: Dataset) -> frozenset[str | None] | None:
    """The folds that the data's owner set apart to test by; None if there are none."""
    splits = data.folds() if any(clip.fold for clip in data) else []
    if len(splits) != 1:
        return None
    return frozenset(clip.fold for clip in splits[0].test)


def _require_classes(clips: EmbeddedClips, left_out: tuple[LeftOut, ...]) -> None:
    missing = [c for c, n in zip(clips.classes, np.nansum(clips.targets, axis=0)) if not n]
    if missing:
        why = (
            tr(" ({n_left_out} clips were left out)", n_left_out=len(left_out)) if left_out else ""
        )
        raise OptionError(
            tr(
                "no recording of {missing!r} is left to learn from{why}",
                missing=missing[0],
                why=why,
            )
        )
