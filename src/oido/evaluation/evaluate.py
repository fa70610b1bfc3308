# SPDX-License-Identifier: Apache-2.0
"""Judging a classifier on labelled recordings that it was not made from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64
from oido.datasets.clip import LeftOut, none_usable
from oido.datasets.dataset import Dataset, DatasetSource, as_dataset, label_targets
from oido.datasets.waveforms import clip_waveforms
from oido.errors import AudioError, OptionError
from oido.evaluation.predictions import ClipPredictions, JudgedWindows
from oido.evaluation.report import Report
from oido.events.thresholds import on_thresholds
from oido.heads import no_event_columns
from oido.inference.classifier import AudioClassifier
from oido.inference.result import ClassificationResult
from oido.messages import tr
from oido.models.labels import yamnet_labels
from oido.models.model import AudioModel
from oido.params import Detection
from oido.signal.decode import AudioSource

Progress = Callable[[int, int], None]
"""Called with how many clips are done, and how many there are."""


def evaluate(
    model: str | os.PathLike[str] | AudioModel | AudioClassifier,
    dataset: DatasetSource,
    *,
    thresholds: float | Mapping[str, float] | None = None,
    head: str | None = None,
    progress: Progress | None = None,
    seed: int = 0,
) -> Report:
    """Hear every clip of a dataset, and report how well a model names what is in them.

    dataset: an `oido.Dataset`, or the path of a folder or table, as `Dataset.load` reads them.
    thresholds: one for all labels, or by label; labels without one have the model's own, or else
    0.2. head: of a model with several, the one that is judged; None is the last one, or the
    classifier's own. seed: of the samples that intervals are taken from. The rest is as for
    `predict_clips`.
    """
    dataset = as_dataset(dataset)
    classifier = classifier_of(model, head)
    judged, left_out = predict_clips(classifier, dataset, thresholds=thresholds, progress=progress)
    model = model.model if isinstance(model, AudioClassifier) else model
    name = model.name if isinstance(model, AudioModel) else os.fspath(model)
    facts: dict[str, str] = {tr("model"): name}
    if len(classifier.model.heads) > 1:
        facts[tr("head")] = classifier.postprocessor.head.name
    note = tr(
        "The figures hold for new recordings only if the model was not trained "
        "on these, nor on others of the same sources."
    )
    return Report.of(
        judged,
        title=tr(
            "{basename} on labelled clips",
            basename=os.path.basename(name) if os.path.isfile(name) else name,
        ),
        facts=facts,
        left_out=left_out,
        notes=(note,),
        seed=seed,
    )


def classifier_of(
    model: str | os.PathLike[str] | AudioModel | AudioClassifier, head: str | None = None
) -> AudioClassifier:
    """The one to judge. Raises OptionError for another head than a classifier has."""
    if not isinstance(model, AudioClassifier):
        return AudioClassifier(model, head=head)
    own = model.postprocessor.head.name
    if head not in (None, own):
        raise OptionError(
            tr("the classifier is of the head {own!r} already; give head to it instead", own=own)
        )
    return model


def predict_clips(
    model: str | os.PathLike[str] | AudioModel | AudioClassifier,
    dataset: Dataset,
    *,
    thresholds: float | Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> tuple[ClipPredictions, tuple[LeftOut, ...]]:
    """What a model predicts for every clip, and the clips that could not be decoded.

    Labels of the dataset are looked up among the model's, whatever their case. A model of
    AudioSet's classes has several names for one sound ("Dog", "Animal"), so only the dataset's
    classes count. For any other model all classes count: naming one that the dataset does not have
    is a mistake, and one called background, noise, other or silence means "no event".

    Raises OptionError for a label that the model does not have, and if no clip can be decoded.
    """
    classifier = classifier_of(model)
    columns = _columns(classifier, dataset)
    targets = label_targets(dataset.clips, columns.of_label, len(classifier.labels))  # f32[K, L]
    # Of each clip: scores and probabilities f32[L], and of its windows values f32[N, L] and times.
    outputs: dict[int, tuple[F32, F32 | None, F32, F64]] = {}
    reasons: dict[int, str] = {}
    for done, (number, result) in enumerate(_results(classifier, dataset), start=1):
        if isinstance(result, AudioError):
            reasons[number] = str(result)
        else:
            of_clip = result.clip_scores, result.clip_probabilities
            outputs[number] = (*of_clip, result.decision_values, result.times)
        if progress is not None:
            progress(done, len(dataset))
    left_out = [
        LeftOut.because(str(dataset[n]), reason, dataset[n].path)
        for n, reason in sorted(reasons.items())
    ]
    if not outputs:
        raise none_usable(left_out)
    kept = sorted(outputs)
    scores, probabilities, windows, times = zip(*(outputs[n] for n in kept))
    is_calibrated = probabilities[0] is not None
    values = np.stack(probabilities if is_calibrated else scores)  # f32[K, L]
    of_windows = np.concatenate(windows)  # f32[M, L]
    chosen, no_event = columns.classes, columns.no_event
    judged = ClipPredictions(
        tuple(dataset[n] for n in kept),
        tuple(classifier.labels[column] for column in chosen),
        targets[kept][:, chosen],
        values[:, chosen],
        label_thresholds(classifier, thresholds)[chosen],
        multi_label=dataset.multi_label,
        calibrated=is_calibrated,
        scores=np.stack(scores)[:, chosen] if is_calibrated else None,
        no_event=values[:, no_event].max(axis=1) if no_event else None,
        windows=JudgedWindows(
            of_windows[:, chosen],
            np.repeat(np.arange(len(kept)), [len(each) for each in windows]),
            np.concatenate(times),
            no_event=of_windows[:, no_event].max(axis=1) if no_event else None,
        ),
    )
    return judged, (*dataset.left_out, *left_out)


def _results(
    classifier: AudioClassifier, dataset: Dataset
) -> Iterator[tuple[int, ClassificationResult | AudioError]]:
    """The number of each clip and what was heard in it; whole recordings in flat memory."""
    regions = [number for number, clip in enumerate(dataset.clips) if clip.is_region]
    for number, clip in enumerate(dataset.clips):
        if not clip.is_region:
            yield number, _classify(classifier, clip.path)
    rate_hz = classifier.windowing.sample_rate_hz
    for number, waveform in clip_waveforms([dataset[n] for n in regions], rate_hz):
        if isinstance(waveform, AudioError):
            yield regions[number], waveform
        else:
            yield regions[number], _classify(classifier, *waveform)


def _classify(
    classifier: AudioClassifier, source: AudioSource, sample_rate_hz: int | None = None
) -> ClassificationResult | AudioError:
    try:
        return classifier.classify(source, sample_rate_hz)
    except AudioError as error:
        return error


class _Columns(NamedTuple):
    """Which of the model's columns are classes, which are no event, and where the labels are."""

    classes: list[int]
    no_event: list[int]
    of_label: dict[str, int]


def _columns(classifier: AudioClassifier, dataset: Dataset) -> _Columns:
    labels = classifier.labels
    of_label = dict(zip(dataset.classes, classifier.label_indices(dataset.classes)))
    if not of_label:
        raise OptionError(tr("no clip has an event in it; name a class, not only background"))
    seen: dict[int, str] = {}
    for label, column in of_label.items():
        if (other := seen.setdefault(column, label)) != label:
            raise OptionError(
                tr(
                    "{other!r} and {label!r} are one label of the model; spell them so",
                    other=other,
                    label=label,
                )
            )
    if set(yamnet_labels()) <= set(labels):
        return _Columns(list(of_label.values()), [], of_label)
    no_event = no_event_columns(labels)
    no_event = [n for n in no_event if n not in seen]
    classes = [n for n in range(len(labels)) if n not in no_event]
    return _Columns(classes, no_event, of_label)


def label_thresholds(
    classifier: AudioClassifier, explicit: float | Mapping[str, float] | None = None
) -> F32:
    """f32[C] of all labels: those given, else the model's own, else 0.2.

    Raises OptionError for a threshold that is none.
    """
    own = classifier.postprocessor.head.thresholds
    if isinstance(explicit, Mapping):
        detection = Detection(thresholds=tuple(explicit.items()))
    else:
        detection = Detection(explicit)
        own = own if explicit is None else ()
    return on_thresholds(len(classifier.labels), detection, classifier.label_indices, own)
