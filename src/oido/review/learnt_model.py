# SPDX-License-Identifier: Apache-2.0
"""What was learnt from answers as a file: calibrated, judged on held-out sources, and checked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oido._version import __version__
from oido.calibration.thresholds import best_thresholds
from oido.datasets.clip import Clip
from oido.errors import OptionError
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.report import Fact, Report
from oido.messages import tr
from oido.models.labels import label_text
from oido.models.model import AudioModel
from oido.results.clip_files import ClipSource, write_clips
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.search.label_store import Answer
from oido.training.active import AnswersFit, JudgedAnswers, LearntPoint, calibrated
from oido.training.head_export import Parity, check_parity, require_addable, taught_file
from oido.writers.atomic import write_atomically, write_recorded
from oido.writers.written import WrittenFiles

_CHECKED = 40
"""Places on whose sound the file is checked."""


class LearntModel(NamedTuple):
    """What was written: the file and how it was checked, its report, and thresholds by label."""

    parity: Parity
    report: Report
    report_path: Path
    thresholds: dict[str, float]


def write_learnt_model(
    path: str | os.PathLike[str],
    results: Results,
    model: AudioModel,
    fit: AnswersFit,
    answers: Sequence[Answer],
    curve: Sequence[LearntPoint],
    seed: int,
) -> LearntModel:
    """Write the .tflite, and its report beside it as ``NAME-report.html``.

    answers: those of ``fit``, in their order. Raises OptionError, ModelFormatError, OutputError,
    and MissingExtraError without what reports need.
    """
    target = Path(path)
    if target.suffix != ".tflite":
        raise OptionError(tr("{path}: what was learnt is a .tflite; name it so", path=target))
    report_path = target.with_name(f"{target.stem}-report.html")
    record = WrittenFiles(target.parent)
    record.refuse_others([report_path], tr("overwritten"))
    require_addable(model)
    folds = fit.folds(seed)
    found = None if folds is None else calibrated(fit, folds)
    if found is None:
        raise OptionError(
            tr("nearly every yes is of one recording: answer places of others, to judge by")
        )
    head, held = found
    label = head.classes[0]
    thresholds = best_thresholds(held.probabilities[:, None], fit.clips.targets, "sigmoid")
    by_label = {label: round(float(thresholds[0]), 4)}
    content = taught_file(
        model,
        head,
        name=target.stem,
        thresholds=by_label,
        novelty=None,
        keep_base=False,
        calibrated=True,
        training={
            "base": model.name,
            "base_sha256": model.sha256,
            tr("answers"): len(answers),
            "oido": __version__,
            tr("seed"): seed,
        },
    )
    locations = _locations(results, sorted({answer.recording for answer in answers}))
    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        places = [_place(answer, locations) for answer in answers]
        some = places[:: max(1, len(places) // _CHECKED)]
        cut = write_clips(some, Path(folder) / "clips", format_name="wav")
        if not cut.written:
            raise OptionError(
                tr(
                    "{reason}; what was learnt is checked on the recordings: bring them back to "
                    "where they were, or do this where they are",
                    reason=next(iter(cut.unreached.values())),
                )
            )
        clips = [Clip(str(file)) for file in cut.written]
        parity = check_parity(model, head, content, clips, target)
    report = _report(model, label, answers, locations, held, thresholds, fit, curve, seed)
    page = report.to_html()
    with write_atomically(target, binary=True) as file:
        file.stream.write(content)
    write_recorded(report_path, page.encode(), record)
    return LearntModel(parity, report, report_path, by_label)


def _report(
    model: AudioModel,
    label: str,
    answers: Sequence[Answer],
    locations: dict[str, tuple[str, float]],
    held: JudgedAnswers,
    thresholds: Any,
    fit: AnswersFit,
    curve: Sequence[LearntPoint],
    seed: int,
) -> Report:
    """Every answer beside the prediction of a model that has seen none of its recording."""
    clips = tuple(
        Clip(
            locations.get(answer.recording, (answer.recording, 0.0))[0],
            (label,) if answer.verdict == "yes" else (),
            start_time=answer.start_time,
            end_time=answer.end_time,
            group=answer.recording,
        )
        for answer in answers
    )
    judged = ClipPredictions(
        clips=clips,
        classes=(label,),
        targets=fit.clips.targets,
        probabilities=held.probabilities[:, None],
        thresholds=thresholds,
        splits=tuple(f"fold {n + 1}" for n in held.folds),
    )
    facts: dict[str, Fact] = {
        tr("base model"): model.name,
        tr("answers"): len(answers),
        tr("recordings"): len(np.unique(fit.clips.groups)),
        **{
            tr("average precision after {answers} answers", answers=point.answers): _shown(point)
            for point in curve
        },
        tr("seed"): seed,
        "oido": __version__,
    }
    return Report.of(
        judged,
        title=tr(
            "{label} learnt from {count} answers on {name}",
            label=label_text(label),
            count=len(answers),
            name=model.name,
        ),
        facts=facts,
        notes=(
            tr(
                "People were asked where the archive scored highest, so that there are many more "
                "yes among the answers than in the archive: precision there is lower. The average "
                "precision after so many answers is an estimate for the whole archive."
            ),
        ),
        seed=seed,
    )


def _shown(point: LearntPoint) -> str:
    if np.isnan(point.low):
        return f"{point.average_precision:.3f}"
    return f"{point.average_precision:.3f} ({point.low:.3f}–{point.high:.3f})"


def _locations(results: Results, files: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Where recordings are, and how long."""
    rows = results.sql(
        "SELECT file, any_value(location) AS location, any_value(duration) AS duration "
        f"FROM recordings WHERE file IN ({', '.join(map(quoted, files))}) GROUP BY file"
    ).to_pylist()
    return {row["file"]: (row["location"] or row["file"], row["duration"] or 0.0) for row in rows}


def _place(answer: Answer, locations: dict[str, tuple[str, float]]) -> ClipSource:
    location, duration = locations.get(answer.recording, (answer.recording, 0.0))
    return ClipSource(
        answer.recording,
        answer.channel,
        answer.start_time,
        answer.end_time,
        answer.label,
        answer.value or 0.0,
        location,
        duration,
        None,
        "",
        "learnt",
        None,
        1.0,
    )
