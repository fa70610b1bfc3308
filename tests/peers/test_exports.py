# SPDX-License-Identifier: Apache-2.0
"""Exported files in MediaPipe and in the Task Library: the same scores, the same top five."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oido
from oido.inference.export import export
from oido.models.loading import load_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STREET = ROOT / "examples" / "street.flac"
MODELS = Path(os.environ.get("OIDO_TEST_MODELS", ROOT.parent / "shared" / "models"))


def loaded(kind: str) -> Any:
    if kind == "mn04":
        path = MODELS / "mn04_as_mAP_432.pt"
        if not path.exists():
            pytest.skip(f"{path.name} is not here; OIDO_TEST_MODELS names its folder")
        return load_model(path, window_seconds=2.0)
    return load_model("yamnet/classification", precision=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["int8", "float32", "mn04"])
def test_an_export_has_the_same_top_five_everywhere(
    kind: str, peer: str, run: Any, tmp_path: Path
) -> None:
    model = loaded(kind)
    path = tmp_path / f"{kind}.tflite"
    export(model, path, embedding=True)
    classifier = oido.AudioClassifier(model, jobs=1, labels="all")
    windows = model.windows
    waveform = classifier.stream(STREET).waveform()
    window = waveform[windows.sample_rate_hz : windows.sample_rate_hz + windows.window_samples]
    own = classifier.classify(window, windows.sample_rate_hz)
    scores, embedding = run(peer, path, window)
    # Equal scores, which an int8 network has many of, may stand in any order.
    expected = {c.label: c.score for c in own.top(5)}
    assert {label: scores[label] for label in expected} == pytest.approx(expected, abs=1e-4)
    assert sorted(scores.values())[-5:] == pytest.approx(sorted(expected.values()), abs=1e-4)
    # The peers may leave out values below 0.
    values = np.array(
        [embedding.get(f"embedding {n}", np.nan) for n in range(own.embeddings.shape[1])]
    )
    shown = ~np.isnan(values)
    assert shown.sum() >= (own.embeddings[0] > 0).sum()
    np.testing.assert_allclose(values[shown], own.embeddings[0][shown], atol=1e-3)
