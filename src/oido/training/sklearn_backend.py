# SPDX-License-Identifier: Apache-2.0
"""What training takes from scikit-learn and SciPy, the packages of ``pip install 'oido[train]'``.

Loaded when first used, so that importing oido stays light.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from oido.errors import MissingExtraError

__all__ = ["logistic_regression", "minimize", "one_thread"]

Floats = NDArray[np.float64]

_MISSING = "training needs scikit-learn; run: pip install 'oido[train]'"


def minimize(loss: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """Where ``loss``, which gives its value and gradient, is least (L-BFGS)."""
    try:
        from scipy.optimize import minimize as search
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    options = {"maxiter": 150, "gtol": 1e-5, "ftol": 1e-6}
    return np.asarray(search(loss, start, jac=True, method="L-BFGS-B", options=options).x)


def logistic_regression(features: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """scikit-learn's logistic regression as it comes: f64[C', D] weights, f64[C'] bias.

    C' classes are those found in ``labels``, in their order.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    model = LogisticRegression(max_iter=1000).fit(features, labels)
    weights, bias = np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)
    if len(weights) == 1:  # of two classes, scikit-learn keeps the second
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights, bias


@contextmanager
def one_thread() -> Iterator[None]:
    """Matrix products in one thread: the same sums in the same order, whatever the machine does."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    with threadpool_limits(limits=1):
        yield
