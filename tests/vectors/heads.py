# SPDX-License-Identifier: Apache-2.0
"""Embeddings of clips, and the one head that is best for them: what the page's fit is held to.

`python -m tests.vectors.heads` writes heads.json anew. The head is that of `fit_linear` with its
own options, here by its formulas in float64 and by Newton's method to the last digit: L-BFGS in
float32 ends a little earlier (`test_heads` says by how much).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from oido.arrays import F32, F64
from oido.datasets.dataset import class_weights
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import COMPONENTS, PRIOR_CLIPS, STRENGTH, LinearOptions

FILE = Path(__file__).with_name("heads.json")
STEP = 64
"""Embeddings are whole numbers of 1/64."""


def embedded(case: dict[str, Any]) -> EmbeddedClips:
    """The clips of a case, as Python learns them."""
    windows = [len(clip["rows"]) for clip in case["clips"]]
    labels = [clip["label"] for clip in case["clips"]]
    silence = case["silence"]
    return EmbeddedClips(
        embeddings=np.array([r for c in case["clips"] for r in c["rows"]], np.float32) / STEP,
        clip_index=np.repeat(np.arange(len(windows)), windows),
        weights=np.array([w for c in case["clips"] for w in c["weights"]], np.float64),
        targets=np.eye(case["nClasses"], dtype=np.float32)[labels],
        classes=tuple(f"class {number}" for number in range(case["nClasses"])),
        groups=np.arange(len(windows)),
        folds=np.full(len(windows), -1),
        quiet=None if silence is None else np.array([silence], np.float32) / STEP,
    )


def best_scores(clips: EmbeddedClips, rows: F32) -> F64:
    """f64[N, C]: what the best head says of embeddings f32[N, D]."""
    options = LinearOptions()
    seen, index, weights = clips.views
    targets = clips.targets[index].astype(np.float64)
    of_clips = class_weights(clips.targets, False, options.balance)
    weight = of_clips[index].mean(axis=1) * weights
    if clips.quiet is not None:
        seen = np.concatenate([seen, clips.quiet])
        targets = np.concatenate([targets, np.full((1, targets.shape[1]), 1 / targets.shape[1])])
        weight = np.append(weight, options.quiet * len(clips))
    root = bool(clips.embeddings.min() >= 0)

    def features(values: F32) -> F64:
        return np.sqrt(np.maximum(values.astype(np.float64), 0)) if root else values + 0.0

    share = weight / weight.sum()
    x = features(seen)
    variance = share @ (x - share @ x) ** 2
    drawn = (len(clips) * variance + PRIOR_CLIPS * variance.mean()) / (len(clips) + PRIOR_CLIPS)
    scales = (max(variance.mean(), 1e-30) / np.maximum(drawn, 1e-30)) ** 0.25
    centre = share @ (x * scales)
    centred = x * scales - centre
    length = np.sqrt(max(float(share @ (centred**2).sum(axis=1)), 1e-30))
    assert min(centred.shape) <= COMPONENTS
    # The directions in which the views lie; no other has a weight.
    _, sizes, basis = np.linalg.svd(centred / length, full_matrices=False)
    basis = basis[sizes > 1e-9 * sizes.max()].T
    seen_from = centred / length @ basis
    slopes, bias = _newton(seen_from, targets, weight, STRENGTH)
    return _softmax((features(rows) * scales - centre) / length @ basis @ slopes + bias)


def _newton(x: F64, targets: F64, weight: F64, strength: float) -> tuple[F64, F64]:
    """Weights f64[q, C] and bias f64[C] where the penalised cross entropy is least."""
    (views, size), count = x.shape, targets.shape[1]
    wide = np.hstack([x, np.ones((views, 1))])
    flat = np.zeros((size + 1, count))
    penalty = np.full((size + 1, 1), 1 / strength)
    penalty[-1] = 1e-12  # of the bias there is none, and a constant in it says nothing
    for _ in range(200):
        chances = _softmax(wide @ flat)
        gradient = wide.T @ (weight[:, None] * (chances - targets)) + penalty * flat
        if np.abs(gradient).max() < 1e-13 * weight.sum():
            break
        curve = np.einsum("vc,cd->vcd", chances, np.eye(count))
        curve -= np.einsum("vc,vd->vcd", chances, chances)
        whole = np.einsum("vi,vj,vcd->icjd", wide, weight[:, None] * wide, curve)
        whole = whole.reshape(flat.size, flat.size) + np.diag(np.repeat(penalty, count))
        flat = flat - np.linalg.lstsq(whole, gradient.ravel(), rcond=1e-14)[0].reshape(flat.shape)
    return flat[:-1], flat[-1]


def _softmax(logits: F64) -> F64:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def cases() -> list[dict[str, Any]]:
    """Clips of few numbers each, other embeddings, and the scores of those."""
    return [
        _case("two sounds and others", 1, counts=(5, 3, 6), size=24),
        _case("one sound", 2, counts=(5, 9), size=40),
        _case("without silence", 3, counts=(3, 4), size=12, has_silence=False),
        _case("negative numbers", 4, counts=(4, 4, 4, 2), size=10, lowest=-40),
        _case("one example of each", 5, counts=(1, 1), size=16),
        _case("more examples than numbers", 6, counts=(9, 14), size=4),
        _case("numbers that never change", 7, counts=(4, 5), size=20, constant=12),
    ]


def _case(
    name: str,
    seed: int,
    *,
    counts: tuple[int, ...],
    size: int,
    has_silence: bool = True,
    lowest: int = 0,
    constant: int = 0,
) -> dict[str, Any]:
    """counts: clips of each class. constant: so many numbers are the same in all embeddings."""
    dice = np.random.default_rng(seed)
    middles = dice.integers(lowest, 96, (len(counts), size))

    def near(label: int) -> list[int]:
        row = np.maximum(middles[label] + np.round(dice.normal(0, 24, size)), lowest).astype(int)
        row[:constant] = 8
        return [int(value) for value in row]

    clips = []
    for label in (label for label, count in enumerate(counts) for _ in range(count)):
        windows = int(dice.integers(1, 4))
        weights = [1.0] * (windows - 1) + [float(dice.integers(1, 9)) / 8]
        rows = [near(label) for _ in range(windows)]
        clips.append({"label": label, "rows": rows, "weights": weights})
    silence = [int(value) for value in dice.integers(0, 20, size)] if has_silence else None
    tried = [near(label) for label in range(len(counts)) for _ in range(2)]
    case = {"name": name, "nClasses": len(counts), "clips": clips, "silence": silence}
    scores = best_scores(embedded(case), np.array(tried, np.float32) / STEP)
    return {**case, "tried": tried, "scores": np.round(scores, 6).tolist()}


def text() -> str:
    """heads.json."""
    return "[\n" + ",\n".join(json.dumps(case) for case in cases()) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
