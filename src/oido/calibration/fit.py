# SPDX-License-Identifier: Apache-2.0
"""From labelled clips to probabilities and thresholds that can be acted on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from oido._version import __version__
from oido.calibration.data import Wish, fit, hold_out, score_clips
from oido.calibration.report import CalibrationReport, report_of
from oido.calibration.risk_control import Guarantee
from oido.calibration.thresholds import ThresholdTarget
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import DatasetSource, as_dataset
from oido.errors import OptionError
from oido.evaluation.evaluate import Progress
from oido.inference.export import export
from oido.messages import tr
from oido.models.calibration_file import Calibration, Evidence, apply_calibration, shortest
from oido.models.loading import load_model
from oido.models.model import AudioModel, LogMelNetwork
from oido.models.tflite.metadata_writer import with_heads
from oido.options import check
from oido.writers.atomic import keep_original, write_atomically, write_text


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """calibration: fitted on all clips. report: how good it is, on held-out clips.

    left_out: clips that could not be decoded.
    """

    model: AudioModel = field(repr=False)
    calibration: Calibration = field(repr=False)
    report: CalibrationReport = field(repr=False)
    left_out: tuple[LeftOut, ...] = ()

    @property
    def calibrated_model(self) -> AudioModel:
        """Ready for `oido.AudioClassifier`."""
        return apply_calibration(self.model, self.calibration)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it, as `write_calibration`."""
        write_calibration(self.model, self.calibration, path)


def calibrate(
    model: str | os.PathLike[str] | AudioModel,
    dataset: DatasetSource,
    *,
    target: str | ThresholdTarget | None = None,
    guarantee: str | Guarantee | None = None,
    head: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CalibrationResult:
    """Turn a model's scores into probabilities, and choose a threshold for each class.

        result = calibrate("yamnet/classification", oido.Dataset.load("garden/"))
        print(result.report)
        result.save("calibrated.tflite")

    target: "precision=0.95", "recall=0.9", "f1" (the default) or "false-alarms-per-hour=1".
    guarantee: instead of it "fnr=0.1" or "false-alarms=0.05", at confidence 0.9 unless a
    `Guarantee` has another. head: None is the last one. seed: of folds and intervals.

    Raises OptionError for labels that the model does not have, for data that cannot be fitted, and
    for too few recordings for the guarantee.
    """
    check("seed", seed)
    wish = _wish(target, guarantee)
    network = model if isinstance(model, AudioModel) else load_model(model)
    chosen = network.head_named(head)
    labelled, left_out = score_clips(network, as_dataset(dataset), head=head, progress=progress)
    size = len(chosen.labels)
    fitted = fit(labelled, size, wish)
    held = hold_out(labelled, size, wish, seed)
    report = report_of(labelled, fitted, held, wish, left_out=left_out, seed=seed)
    evidence = [Evidence(note=tr("no clip of it: pooled"))] * size
    for column, found in zip(labelled.columns, report.evidence):
        evidence[column] = found
    pairs = zip(chosen.labels, fitted.thresholds.tolist())
    calibration = Calibration.of(
        network,
        chosen,
        scores=fitted.calibration,
        thresholds=tuple((name, shortest(value)) for name, value in pairs if not np.isnan(value)),
        evidence=tuple(evidence),
        facts={"oido": __version__, "wish": str(wish), "seed": seed, **report.figures},
    )
    return CalibrationResult(network, calibration, report, left_out)


def write_calibration(
    model: AudioModel, calibration: Calibration, path: str | os.PathLike[str]
) -> None:
    """.tflite: the model with the calibration in its metadata. .json: the calibration alone.

    .csv, .txt: the Task Library's calibration file, which holds neither thresholds nor the
    transformation and default score. Raises OptionError, ModelFormatError or OutputError.
    """
    path = Path(path)
    if path.suffix == ".tflite":
        save_model(apply_calibration(model, calibration), path)
    elif path.suffix == ".json":
        calibration.save(path)
    elif path.suffix in {".csv", ".txt"}:
        write_text(path, calibration.scores.text())
    else:
        raise OptionError(
            tr(
                "{path}: name it .tflite (the model), .json (the calibration alone), "
                "or .csv (the Task Library's calibration file)",
                path=path,
            )
        )


def save_model(model: AudioModel, path: Path) -> None:
    """Write the model with its heads as they are now.

    A .tflite that has metadata keeps its graph byte for byte, and gets other metadata; anything
    else is exported whole (`oido.export`). If ``path`` is the model's own file, that is kept as
    ``….orig`` first. Raises OptionError, ModelFormatError, or OutputError.
    """
    if path.suffix != ".tflite":
        raise OptionError(tr("{path}: a model is written as .tflite; name it so", path=path))
    in_place = path.exists() and path.samefile(model.path)
    if in_place and model.card is not None:
        raise OptionError(
            tr("{path} is a published model, which must stay as it is; choose another", path=path)
        )
    cut = isinstance(model.network, LogMelNetwork)
    as_it_is = not cut or model.network.is_cut  # type: ignore[union-attr]
    content = with_heads(model) if as_it_is else None
    if content is None:
        export(model, path)
        return
    with write_atomically(path, binary=True) as file:
        file.stream.write(content)
        if in_place:
            keep_original(path)


def _wish(target: str | ThresholdTarget | None, guarantee: str | Guarantee | None) -> Wish:
    if target is not None and guarantee is not None:
        raise OptionError(tr("give a target or a guarantee, not both: each sets the thresholds"))
    if guarantee is not None:
        return Guarantee.parse(guarantee) if isinstance(guarantee, str) else guarantee
    aim = "f1" if target is None else target
    return ThresholdTarget.parse(aim) if isinstance(aim, str) else aim
