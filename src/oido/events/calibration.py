# SPDX-License-Identifier: Apache-2.0
"""From raw scores to probabilities: the Task Library's score calibration."""

from __future__ import annotations

import numpy as np

from oido.arrays import F32, F64
from oido.heads import ScoreCalibration, ScoreTransformation, Sigmoid

_SMALLEST_LOG = float(np.float32(1e-16))


class Calibrator:
    """Applies a ``ScoreCalibration``; for each label, with its own parameters and the common g:

    - f(x) = scale / (1 + exp(-(slope · g(x) + offset))), in the form that cannot overflow;
    - g(x) = x, log x, or log x - log(1 - x), where the logarithm goes on smoothly below 1e-16;
    - f(x) = default score if x < min_score, or if the label has no parameters.

    As tensorflow/tflite-support (cc/task/core/score_calibration.cc) and google-ai-edge/mediapipe
    (tasks/cc/components/calculators/score_calibration_calculator.cc) do, whose parameters are
    float32 too; they round to float32 between the steps, here all steps are float64.
    """

    def __init__(self, calibration: ScoreCalibration) -> None:
        self._transformation = calibration.transformation
        self._default = np.float32(calibration.default_score)
        self._calibrated = np.array([s is not None for s in calibration.sigmoids], bool)
        sigmoids = [s or Sigmoid(0, 0, 0) for s in calibration.sigmoids]
        self._scale = np.array([s.scale for s in sigmoids], np.float64)
        self._slope = np.array([s.slope for s in sigmoids], np.float64)
        self._offset = np.array([s.offset for s in sigmoids], np.float64)
        self._min_score = np.array(
            [-np.inf if s.min_score is None else s.min_score for s in sigmoids], np.float64
        )

    def apply(self, scores: F32) -> F32:
        """The probabilities, f32[..., C], of scores, f32[..., C]."""
        assert scores.shape[-1] == len(self._scale), "a column for each label"
        x = scores.astype(np.float64)  # f64[..., C]
        z = self._transformed(x) * self._slope + self._offset
        calibrated = self._calibrated & ~(x < self._min_score)
        with np.errstate(under="ignore"):
            e = np.exp(-np.abs(z))  # 0..1
            probabilities = self._scale * np.where(z >= 0, 1.0, e) / (1.0 + e)
            return np.where(calibrated, probabilities, self._default).astype(np.float32)

    def _transformed(self, x: F64) -> F64:
        if self._transformation is ScoreTransformation.IDENTITY:
            return x
        if self._transformation is ScoreTransformation.LOG:
            return _log(x)
        return _log(x) - _log(1.0 - x)


def _log(x: F64) -> F64:
    """log x, and below t = 1e-16 its mirror image in the point (t, log t): 2 log t - log(2t - x).

    So it is finite for every x, 0 and below too, and still tells which of two is greater.
    """
    below = x < _SMALLEST_LOG
    logarithm: F64 = np.log(np.where(below, 2.0 * _SMALLEST_LOG - x, x))
    return np.where(below, 2.0 * np.log(_SMALLEST_LOG) - logarithm, logarithm)
