# SPDX-License-Identifier: Apache-2.0
"""How frequent classes are where nobody has labelled anything, by what a model says there.

A model's probabilities hold where its classes are as frequent as they were when it was taught. If
that is all that differs, the frequencies of another place are those under which its windows are
likeliest, and expectation-maximisation finds them (Saerens, Latinne and Decaestecker 2002,
"Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14).

The assumptions: a class sounds alike at both places, the probabilities held where the model was
taught, and nothing is heard that it knows no class for. A place breaks the first two more or less
always, so that what comes out is a proposal, to be judged by labelled windows.
"""

from __future__ import annotations

import numpy as np

from oido.arrays import F64

_MOST_ROUNDS = 2_000
_CHANGE = 1e-7


def estimate_priors(probabilities: F64, known: F64) -> F64:
    """f64[C] priors of where these windows are from.

    probabilities: f64[N, C], rows sum to 1, right under the priors ``known``, f64[C].
    """
    least = 1.0 / (len(probabilities) + 2)  # a class that is never met may be met in the next one
    ratios = np.maximum(probabilities, 1e-12) / known
    priors = known.copy()
    for _ in range(_MOST_ROUNDS):
        posterior = ratios * priors
        posterior /= posterior.sum(axis=1, keepdims=True)
        moved = np.maximum(posterior.mean(axis=0), least)
        moved /= moved.sum()
        change = float(np.abs(moved - priors).max())
        priors = moved
        if change < _CHANGE:
            break
    return priors


def estimate_prior(probabilities: F64, known: float) -> float:
    """The prior of one class by itself; probabilities: f64[N], right under the prior ``known``."""
    both = np.stack([probabilities, 1 - probabilities], axis=1)
    return float(estimate_priors(both, np.array([known, 1 - known]))[0])


def logit_shift(prior: float, known: float) -> float:
    """What to add to the logit of a class by itself, so that it holds under another prior."""
    return float(np.log(prior / (1 - prior)) - np.log(known / (1 - known)))
