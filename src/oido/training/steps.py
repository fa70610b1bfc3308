# SPDX-License-Identifier: Apache-2.0
"""What each step gained, from plain logistic regression to the head that was chosen.

All are judged by the same clips, out of fold, so that a person sees whether a step was worth it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oido.calibration.scaling import log_losses
from oido.datasets.dataset import accuracy
from oido.messages import tr
from oido.training.baselines import logistic
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import one_thread
from oido.training.model_selection import (
    CANDIDATES,
    NEVER_HELD_OUT,
    ModelSelection,
    held_out_folds,
    select,
)


class Step(NamedTuple):
    """accuracy: of clips, 0..1. log_loss: nats per clip."""

    name: str
    accuracy: float
    log_loss: float

    def beside(self, first: Step) -> str:
        """The figures, and by how much they differ from the first step's."""
        if self is first:
            return tr(
                "accuracy {accuracy:.3f}, log loss {log_loss:.3f}",
                accuracy=self.accuracy,
                log_loss=self.log_loss,
            )
        right, loss = self.accuracy - first.accuracy, self.log_loss - first.log_loss
        return tr(
            "accuracy {accuracy:.3f} ({right:+.3f}), log loss {log_loss:.3f} ({loss:+.3f})",
            accuracy=self.accuracy,
            right=right,
            log_loss=self.log_loss,
            loss=loss,
        )


def judge_steps(
    clips: EmbeddedClips, selection: ModelSelection, *, seed: int = 0
) -> tuple[Step, ...]:
    """The steps, each with all before it; none where nothing could be held back.

    Of clips of several labels, accuracy is that of labels (`oido.datasets.dataset.accuracy`).
    """
    folds, own = selection.folds, clips.own
    if folds is None:
        return ()
    held_out = folds != NEVER_HELD_OUT
    plain = np.zeros(clips.targets.shape, np.float32)
    with one_thread():
        for fold in held_out_folds(folds):
            known, unknown = own.subset(folds != fold), own.subset(folds == fold)
            plain[folds == fold] = logistic(known, unknown)
    plain, truth = plain[held_out], clips.targets[held_out]
    losses = log_losses(plain, truth, clips.output)
    right = accuracy(plain, truth, multi_label=clips.multi_label)
    steps = [Step(tr("logistic regression"), right, float(losses.mean()))]
    first, *others = selection.table
    if own is not clips:
        [alone] = select(own, CANDIDATES[:1], seed=seed).table
        steps.append(Step(tr("+ windows, calibration"), alone.accuracy, alone.log_loss))
        steps.append(Step(tr("+ other layers"), first.accuracy, first.log_loss))
    else:
        steps.append(Step(tr("+ windows, calibration"), first.accuracy, first.log_loss))
    for row in others:
        if row.name == selection.chosen:
            steps.append(Step(tr("+ {name}", name=row.name), row.accuracy, row.log_loss))
    return tuple(steps)
