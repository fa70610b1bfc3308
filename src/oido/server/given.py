# SPDX-License-Identifier: Apache-2.0
"""The models that a server was told of, with the calibrations that were made for them."""

from __future__ import annotations

from collections.abc import Sequence

from oido.errors import OptionError
from oido.models.calibrated import Calibration, calibrated
from oido.models.loading import load_model
from oido.models.model import AudioModel, Precision

__all__ = ["load_given", "require_fitting"]


def load_given(
    given: str, precision: Precision | None, calibrations: Sequence[str]
) -> tuple[AudioModel, bool]:
    """A model by name or path, and whether one of these calibrations was made for it.

    calibrations: paths of calibration.json files, for this model or for others. Raises ModelError,
    or OptionError for a file that is none.
    """
    model = load_model(given, precision=precision)
    for path in calibrations:
        calibration = Calibration.read(path)
        if _is_for(calibration, model):
            return calibrated(model, calibration), True
    return model, False


def require_fitting(models: Sequence[AudioModel], calibrations: Sequence[str]) -> None:
    """Raise OptionError for a calibration that was made for none of the models."""
    for path in calibrations:
        calibration = Calibration.read(path)
        if not any(_is_for(calibration, model) for model in models):
            names = ", ".join(model.name for model in models)
            raise OptionError(
                f"calibration {path} was made for {calibration.model} in {calibration.precision} "
                f"(SHA-256 {calibration.model_sha256[:12]}…), and this server has {names}; "
                "calibrate this one: oido calibrate"
            )


def _is_for(calibration: Calibration, model: AudioModel) -> bool:
    return (calibration.model_sha256, calibration.precision) == (model.sha256, model.precision)
