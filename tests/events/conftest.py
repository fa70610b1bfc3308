# SPDX-License-Identifier: Apache-2.0
"""A handful of labels for the tests of scores and events."""

from __future__ import annotations

from functools import partial

import pytest

from oido.models.labels import label_indices


@pytest.fixture
def labels():
    return ("Speech", "Dog", "Domestic animals, pets", "Bark", "Music")


@pytest.fixture
def indices(labels):
    """Labels to columns, as a classifier gives it to selection and thresholds."""
    return partial(label_indices, labels)
