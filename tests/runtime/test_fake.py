# SPDX-License-Identifier: Apache-2.0
"""The fake gives the same numbers everywhere, and none of another library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from oido.runtime.base import Outputs, Runtime
from oido.runtime.fake import FakeRuntime


def test_sizes_are_as_asked():
    outputs: Outputs = FakeRuntime(7, embedding_dim=3, bands=10).run(np.zeros((2, 5, 10), "f4"))
    assert outputs.scores.shape == (2, 7)
    assert outputs.embeddings.shape == (2, 3)
    magnitudes = np.ones((4, 30), np.float32)
    assert FakeRuntime(7, bands=10).project(magnitudes).shape == (4, 10)
    assert FakeRuntime(7, bands=40).project(magnitudes).shape == (4, 40)


def test_it_fits_the_seam():
    runtime: Runtime = FakeRuntime(2)
    assert callable(runtime.run)


def test_two_fakes_are_the_same_and_scores_are_told_apart():
    patches = np.random.default_rng(0).normal(-3, 2, (4, 96, 64)).astype(np.float32)
    one, two = FakeRuntime(50).run(patches), FakeRuntime(50).run(patches)
    np.testing.assert_array_equal(one.scores, two.scores)
    np.testing.assert_array_equal(one.embeddings, two.embeddings)
    assert len(np.unique(one.scores)) == one.scores.size


def test_scores_of_an_empty_patch_worked_out_by_hand():
    """All features are 0, so only the bias is left: 0.5 + 0.5 b / (1 + |b|)."""
    bias = np.random.default_rng(521).standard_normal((5, 3))[4]
    scores = FakeRuntime(3).run(np.zeros((1, 96, 64), np.float32)).scores[0]
    np.testing.assert_allclose(scores, 0.5 + 0.5 * bias / (1 + abs(bias)), rtol=1e-6)


def test_it_loads_no_other_runtime():
    code = "import sys, oido.runtime.fake; print('ai_edge_litert' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"
