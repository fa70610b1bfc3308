# SPDX-License-Identifier: Apache-2.0
"""Small students of taught models, for microcontrollers (extra ``oido[torch,train]``).

A quarter of the sources is held out; a teacher is taught on the rest, or is one that is there
already, and a student learns on the same clips what the teacher says of their windows. Both are
judged on the sources held out, the student as the int8 file that is exported.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oido._version import __version__
from oido.datasets.clip import BACKGROUND, LeftOut, none_usable
from oido.datasets.dataset import Dataset, DatasetSource, accuracy, as_dataset
from oido.datasets.waveforms import clip_waveforms
from oido.errors import AudioError, ModelFormatError, OptionError
from oido.evaluation.evaluate import predict_clips
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.report import Report
from oido.heads import NON_EVENTS, Head
from oido.inference.classifier import AudioClassifier
from oido.messages import stored, tr
from oido.models.loading import load_model
from oido.models.model import FIXED_POINT, Notes
from oido.models.networks.student import INPUT_STEPS, StudentWeights, network, require_small
from oido.models.registry import DEFAULT_MODEL
from oido.models.tflite.arena import arena_bytes
from oido.models.tflite.metadata_writer import annotate
from oido.params import FixedPointParams
from oido.runtime.litert import WholeRuntime
from oido.signal.fixed_point import FixedPointFrontEnd
from oido.training.distillation import DistillationTargets
from oido.training.train import train
from oido.training.weak_labels import WEAK_FROM_SECONDS
from oido.writers.atomic import write_atomically
from oido.writers.c_array import c_array, c_text

_STEPS_PER_WINDOW, _LEAST_STEPS, _MOST_STEPS = 0.5, 800, 2_500
_TOLERANCE = 1 / 8
"""Between the reference kernels, which oido runs, and others: they round otherwise."""

OnMessage = Callable[[str], None]
OnStep = Callable[[int, int], None]


def train_student(
    data: DatasetSource,
    *,
    teacher: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    test: float = 0.25,
    seed: int = 0,
    max_minutes: float | None = None,
    steps: int | None = None,
    weak_from: float = WEAK_FROM_SECONDS,
    cache: bool = True,
    jobs: int | None = None,
    on_message: OnMessage = lambda line: None,
    progress: OnStep = lambda done, total: None,
) -> StudentResult:
    """Distil a taught model into an int8 network of at most 100,000 weights.

    teacher: a taught file; None: a head on ``model`` is taught first (`oido.train`), on the same
    clips. test: the share of sources that is held out to judge both; the data's own test parts are
    kept. A teacher that is there already may have learnt from them. max_minutes: of the student's
    own training. steps: of 64 windows each; None: as the clips need. weak_from, cache, jobs: as of
    `oido.train`; of long recordings the teacher alone says what is in a window. KeyboardInterrupt
    ends it with what it has learnt so far.

    The result is run by LiteRT's default and reference kernels, and refused where they differ.
    Raises OptionError, ModelError, or MissingExtraError without `oido[torch,train]`.
    """
    import oido.torch

    _ = oido.torch.StagedNetwork  # raises without PyTorch, before the work
    from oido.torch.student import DistilOptions, TaughtFrames, distil

    first = 1 if steps is None else steps  # how many clips need is not known yet
    options = DistilOptions(steps=first, max_minutes=max_minutes, seed=seed)  # raises, likewise
    data = as_dataset(data)
    data.require_two_classes()
    split = data.split(test, seed)
    unfolded = tuple(replace(clip, fold=None) for clip in split.train)
    known = replace(split.train, clips=unfolded)
    if teacher is None:
        how: dict[str, Any] = {"weak_from": weak_from, "cache": cache, "jobs": jobs}
        taught = train(known, model=model, seed=seed, **how)
        classifier, taught_name = taught.classifier(), taught.base_model.name
    else:
        classifier = AudioClassifier(load_model(teacher))
        taught_name = classifier.model.name
    targets = DistillationTargets.of(classifier, known, weak_from)
    require_small(len(targets.labels))
    clips, left_out = [], [*data.left_out]
    for clip, frames in targets.of_clips(known):
        if isinstance(frames, AudioError):
            left_out.append(LeftOut.because(str(clip), frames, clip.path))
        else:
            clips.append(TaughtFrames(*frames))
    if not clips:
        raise none_usable(left_out)
    patches = sum(len(clip.frames) for clip in clips) // (targets.params.patch_frames // 2)
    if steps is None:
        steps = round(min(max(patches * _STEPS_PER_WINDOW, _LEAST_STEPS), _MOST_STEPS))
    on_message(
        tr(
            "a student learns from {n_clips} clips what {name} says of them",
            n_clips=len(clips),
            name=stored(classifier.model.name),
        )
    )
    started = time.process_time()
    done = distil(
        clips,
        targets.output,
        targets.params,
        options=replace(options, steps=steps),
        progress=lambda step, total, _: progress(step, total),
    )
    facts = {"steps": done.steps, "seed": seed, "oido": __version__}
    content = _annotated(done.weights, targets, taught_name, facts)
    student = _classifier(content)
    of_student, more = predict_clips(student, split.test)
    of_teacher, _more = predict_clips(classifier, split.test)
    left_out += [item for item in more if item not in left_out]
    return StudentResult(
        train=known,
        test=split.test,
        content=content,
        teacher=taught_name,
        labels=targets.labels,
        judged=of_student,
        kernels=_compare_kernels(content, split.test, targets.params),
        left_out=tuple(left_out),
        facts={
            tr("teacher"): stored(classifier.model.name),
            tr("accuracy of the teacher, held out"): round(_accuracy(of_teacher), 4),
            tr("accuracy of the student, held out"): round(_accuracy(of_student), 4),
            tr("false events per hour, teacher"): _false_events(classifier, split.test),
            tr("false events per hour, student"): _false_events(student, split.test),
            tr("weights"): done.weights.size,
            tr("bytes of the file"): len(content),
            tr("bytes of the arena"): arena_bytes(content),
            tr("clips to learn from"): len(clips),
            tr("clips to judge by"): len(of_student),
            tr("steps"): done.steps,
            tr("minutes of processor time"): round((time.process_time() - started) / 60, 1),
            tr("seed"): seed,
            "oido": __version__,
        },
    )


class Kernels(NamedTuple):
    """Scores by LiteRT's reference kernels beside those by its default ones.

    windows: compared; differing: those with another score; largest: difference of a score.
    """

    windows: int
    differing: int
    largest: float

    def __str__(self) -> str:
        if not self.differing:
            return tr("equal scores on {windows} windows", windows=self.windows)
        return tr(
            "{differing} of {windows} windows have another score, by at most {largest:.4f}",
            differing=self.differing,
            windows=self.windows,
            largest=self.largest,
        )


@dataclass(frozen=True, eq=False)
class StudentResult:
    """A student as a file, and what is known of it. content: the annotated .tflite; teacher: the
    taught file's name, or that of the model on which a head was taught first."""

    train: Dataset = field(repr=False)
    test: Dataset = field(repr=False)
    content: bytes = field(repr=False)
    teacher: str
    labels: tuple[str, ...]
    judged: ClipPredictions = field(repr=False)
    kernels: Kernels
    left_out: tuple[LeftOut, ...]
    facts: dict[str, Any]

    @cached_property
    def report(self) -> Report:
        """How well it does on the sources that were held out, beside its teacher."""
        notes = [
            tr(
                "The arena is computed from the lifetimes of the graph's tensors, "
                "planned greedily; TensorFlow Lite for Microcontrollers needs some "
                "KB more for its own records."
            ),
            tr(
                "False events are those in background recordings that were held out; "
                "none are known without such recordings."
            ),
            tr("Its scores are not calibrated; `oido calibrate` makes probabilities of them."),
        ]
        return Report.of(
            self.judged,
            title=tr(
                "a student of {teacher}: {n_labels} classes",
                teacher=self.teacher,
                n_labels=len(self.labels),
            ),
            facts=self.facts | {tr("reference kernels"): str(self.kernels)},
            left_out=self.left_out,
            notes=notes,
        )

    def classifier(self, **options: Any) -> AudioClassifier:
        """The student, ready to use; options as those of `AudioClassifier`."""
        return _classifier(self.content, **options)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write the .tflite, or as .cc, .c or .h the same bytes as an array of C, with the tables
        of the front end. Raises OptionError for another ending, or OutputError."""
        path = Path(path)
        if path.suffix not in STUDENT_SUFFIXES:
            raise OptionError(
                tr("{path}: a student is a .tflite, or C: .cc, .c or .h; name it so", path=path)
            )
        content = self.content if path.suffix == ".tflite" else self._c_source(path).encode()
        with write_atomically(path, binary=True) as file:
            file.stream.write(content)
        return path

    def _c_source(self, path: Path) -> str:
        params = FixedPointParams()
        texts = ", ".join(map(c_text, self.labels))
        arena = self.facts["bytes of the arena"]
        lines = [
            f"/* A student of {re.sub(r'[^ -~]|[*]/', '?', self.teacher)}, made by "
            f"oido {__version__}.",
            f"   Input: int8 [{params.patch_frames}][{params.bands}], frames of the fixed-point "
            "front end (oido, docs/reference/fixed-point.md), the oldest first.",
            f"   Output: int8 [{len(self.labels)}], score = (value + 128) / 256. */",
            "#include <stdint.h>",
            f"#define OIDO_SAMPLE_RATE_HZ {params.sample_rate_hz}",
            f"#define OIDO_HOP_SAMPLES {params.hop_samples}",
            f"#define OIDO_PATCH_FRAMES {params.patch_frames}",
            f"#define OIDO_BANDS {params.bands}",
            f"#define OIDO_LABELS {len(self.labels)}",
            f"#define OIDO_ARENA_BYTES {arena} /* of tensors; add some KB for the interpreter */",
            "extern const char *const oido_labels[];",
            f"const char *const oido_labels[] = {{{texts}}};",
        ]
        tables = FixedPointFrontEnd(params).tables.for_c()
        lines += [c_array(name, kind, values.tolist()) for name, kind, values in tables]
        lines.append(c_array("oido_student", "unsigned char", self.content, alignment=16))
        size = len(self.content)
        lines.append("extern const unsigned int oido_student_bytes;")
        lines.append(f"const unsigned int oido_student_bytes = {size};")
        return "\n".join(lines) + "\n"


STUDENT_SUFFIXES = (".tflite", ".cc", ".c", ".h")


def _annotated(
    weights: StudentWeights, targets: DistillationTargets, teacher: str, training: dict[str, Any]
) -> bytes:
    model = targets.classifier.model
    own = dict(model.head.thresholds)
    thresholds = tuple((label, own[label]) for label in targets.labels if label in own)
    pooling = "confident-mean" if targets.output == "softmax" else "power-mean"
    head = Head("scores", targets.labels, thresholds=thresholds, description="what was taught")
    return annotate(
        network(weights, targets.params, targets.output),
        [head],
        sample_rate_hz=targets.params.sample_rate_hz,
        name=tr("student of {teacher}", teacher=teacher),
        description=tr(
            "{labels}; a student of {teacher}. Its input is int8 features of the fixed-point front "
            "end, steps of {step:g}, and no waveform",
            labels=", ".join(targets.labels),
            teacher=teacher,
            step=INPUT_STEPS.scale,
        ),
        licence=model.licence,
        author=model.attribution,
        notes=Notes(
            aggregations={head.name: model.head.aggregation or pooling},
            hop_samples=targets.params.windows.hop_samples,
            training={"teacher": model.name, "teacher_sha256": model.sha256, **training},
            front_end=FIXED_POINT,
        ),
    )


def _classifier(content: bytes, **options: Any) -> AudioClassifier:
    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        path = Path(folder) / "student.tflite"
        path.write_bytes(content)
        return AudioClassifier(path, **options)


def _accuracy(found: ClipPredictions) -> float:
    if found.multi_label:
        return accuracy(found.probabilities, found.targets, multi_label=True)
    return float((found.decided == found.truth).mean())


def _false_events(classifier: AudioClassifier, test: Dataset) -> float | str:
    """Events an hour in the clips without any; what is not known is said in words."""
    background = test.subset(n for n, clip in enumerate(test) if clip.is_background)
    count, seconds = 0, 0.0
    for _, waveform in clip_waveforms(background.clips):
        if not isinstance(waveform, AudioError):
            result = classifier.classify(*waveform)
            labels = [event.label.casefold() for event in result.events()]
            count += sum(label not in NON_EVENTS for label in labels)
            seconds += result.duration
    if not seconds:
        return tr("not known: no recording of {background!r} was held out", background=BACKGROUND)
    return round(count / seconds * 3600, 1)


_CLIPS, _WINDOWS = 40, 4


def _compare_kernels(content: bytes, test: Dataset, params: FixedPointParams) -> Kernels:
    """On windows of up to 40 of the clips. Raises ModelFormatError where they differ by much."""
    front_end = FixedPointFrontEnd(params)
    patches: list[Any] = []
    clips = test.clips[:: max(1, len(test) // _CLIPS)]
    for _, waveform in clip_waveforms(clips, params.sample_rate_hz):
        if not isinstance(waveform, AudioError):
            samples = np.pad(waveform[0], (0, params.patch_samples))
            patches.append(front_end.patches(samples, params.windows.hop_samples)[:_WINDOWS])
    found: Any = np.concatenate(patches)
    plain, default = (
        WholeRuntime(content, reference=reference).run(found).scores for reference in (True, False)
    )
    differences = np.abs(plain - default).max(axis=1)
    largest = float(differences.max())
    if not largest <= _TOLERANCE:
        raise ModelFormatError(
            tr(
                "LiteRT's reference kernels give other scores for the student (by up "
                "to {largest:.3f}), so it cannot be used; try another seed",
                largest=largest,
            )
        )
    return Kernels(len(found), int((differences > 0).sum()), largest)
