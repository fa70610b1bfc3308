# SPDX-License-Identifier: Apache-2.0
"""How a head and a network that was trained further do on sources held out, beside plain logistic
regression: what decides which of the two is exported, and what its report shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from oido.calibration.scaling import log_losses
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset, accuracy
from oido.evaluation.evaluate import predict_clips
from oido.evaluation.predictions import ClipPredictions
from oido.heads import OutputKind
from oido.inference.classifier import AudioClassifier
from oido.messages import tr
from oido.training.baselines import logistic
from oido.training.embed import embed
from oido.training.fit import one_thread
from oido.training.train import TrainingResult


class Figures(NamedTuple):
    """Of clips that were held out."""

    accuracy: float
    log_loss: float

    @property
    def text(self) -> str:
        """Both, for people."""
        return tr(
            "accuracy {accuracy:.3f}, log loss {log_loss:.3f}",
            accuracy=self.accuracy,
            log_loss=self.log_loss,
        )

    def beside(self, judged: HeldOutResult) -> str:
        """What it has more, of accuracy, and less, of loss."""
        return tr(
            "accuracy {right:+.3f}, log loss {loss:+.3f}",
            right=judged.accuracy - self.accuracy,
            loss=judged.log_loss - self.log_loss,
        )


class HeldOutResult(NamedTuple):
    """predictions: of the clips that were held out; left_out: those that could not be decoded."""

    predictions: ClipPredictions
    left_out: tuple[LeftOut, ...]

    @classmethod
    def of(cls, classifier: AudioClassifier, test: Dataset) -> HeldOutResult:
        return cls(*predict_clips(classifier, test))

    @property
    def text(self) -> str:
        """Both figures, for people."""
        return Figures(self.accuracy, self.log_loss).text

    def is_better_than(self, other: HeldOutResult) -> bool:
        """More clips are named rightly, or as many at a smaller log loss."""
        return (self.accuracy, -self.log_loss) > (other.accuracy, -other.log_loss)

    @property
    def accuracy(self) -> float:
        found = self.predictions
        if found.multi_label:
            return accuracy(found.probabilities, found.targets, multi_label=True)
        return float((found.decided == found.truth).mean())

    @property
    def log_loss(self) -> float:
        found = self.predictions
        output: OutputKind = "sigmoid" if found.multi_label else "softmax"
        return float(log_losses(found.probabilities, found.targets, output).mean())


def judge_logistic(
    frozen: TrainingResult, test: Dataset, seed: int, *, cache: bool = True
) -> Figures | None:
    """Plain logistic regression on the network's embeddings, judged as the others are."""
    known = frozen.taught.own
    data = replace(test, multi_label=test.multi_label or known.multi_label)
    held = embed(data, frozen.base_model, cache=cache, jobs=frozen.jobs)
    unknown = held.clips.own
    more = len(known.classes) - len(unknown.classes)  # clips without a class, only learnt from
    if more < 0 or unknown.multi_label != known.multi_label:
        return None
    targets = np.pad(unknown.targets, ((0, 0), (0, more)))
    with one_thread():
        scores = logistic(known, unknown, seed)
    losses = log_losses(scores, targets, known.output)
    return Figures(accuracy(scores, targets, known.multi_label), float(losses.mean()))
