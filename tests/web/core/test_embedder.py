# SPDX-License-Identifier: Apache-2.0
"""A sound that is taught in the browser: embeddings, head and file are those of Python."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.inference.embedder import l2_normalized
from oido.models.model import AudioModel
from oido.server.device_model import describe_model, device_model
from oido.training.augment import quiet_waveforms
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import fit_linear
from tests.web.core.site import floats

_TEACH = """async ({ clips, labels, names, described }) => {
  const { openEmbedder } = await import("/core/embedder.js");
  const { fitHead } = await import("/core/head_fit.js");
  const { taughtModel } = await import("/core/head_export.js");
  const { openDevice } = await import("/core/device_engine.js");
  const { packed, samplesOf, told } = await import("/tests/hearing.mjs");
  const bytes = new Uint8Array(await (await fetch("/base.tflite")).arrayBuffer());
  const embedder = await openEmbedder(bytes);
  const learnt = [];
  for (const [number, url] of clips.entries()) {
    learnt.push({ ...(await embedder.embed(await samplesOf(url))), label: labels[number] });
  }
  const quiet = await embedder.quiet();
  embedder.close();
  const head = fitHead(learnt, names.length + 1, quiet[0]);
  const model = await taughtModel(bytes, { head, labels: names, name: "mine", threshold: 0.5 });
  const engine = await openDevice({ modelBytes: model, ...described });
  const windows = await engine.hear(await samplesOf("/whole.f32"));
  const { columns } = engine.info;
  engine.close();
  return {
    rows: learnt.map(({ rows }) => packed(rows)),
    weights: learnt.map(({ weights }) => weights),
    quiet: packed(quiet),
    head: { weights: packed(head.weights), bias: packed([head.bias]), squareRoot: head.squareRoot },
    model: packed([model]),
    heard: told(windows),
    columns,
    last: windows.map((window) => window.columns.map((column) => column.at(-1))),
  };
}"""


@pytest.fixture
def taught_here(
    core: Any,
    files: dict[str, bytes | Path],
    litert_js: Path,
    model: AudioModel,
    street: NDArray[np.float32],
) -> dict[str, Any]:
    """Five moments of a siren, six of other sounds, and the whole recording heard by the model."""
    starts = [0.9, 1.4, 2.0, 2.6, 3.0, 8.0, 10.5, 13.0, 16.0, 20.0, 24.0]
    lengths = [15_600, 20_000, 9_000, 31_280, 15_601, *[15_600] * 6]
    pairs = zip(starts, lengths, strict=True)
    clips = [street[int(start * 16_000) :][:length] for start, length in pairs]
    device = device_model(model)
    files["base.tflite"] = device.content
    files["whole.f32"] = street.astype("<f4").tobytes()
    for number, clip in enumerate(clips):
        files[f"clip-{number}.f32"] = clip.astype("<f4").tobytes()
    described = describe_model(model, device)
    told: dict[str, Any] = core.evaluate(
        _TEACH,
        {
            "clips": [f"/clip-{number}.f32" for number in range(len(clips))],
            "labels": [0] * 5 + [1] * 6,
            "names": ["Our siren"],
            "described": {"imageSamples": described["imageSamples"]},
        },
    )
    return {**told, "clips": clips}


def test_all_of_it_is_as_in_python(
    taught_here: dict[str, Any],
    classifier: oido.AudioClassifier,
    street: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    # The embeddings, window by window.
    rows = [floats(text, 1_024) for text in taught_here["rows"]]
    embedder = oido.AudioEmbedder(classifier.model, jobs=1)
    for clip, found, weights in zip(taught_here["clips"], rows, taught_here["weights"]):
        expected = embedder.embed(clip, 16_000)
        assert np.array_equal(found, expected.embeddings)
        assert weights == pytest.approx(expected.weights)
    quiet = floats(taught_here["quiet"], 1_024)
    silence = classifier.classify(np.zeros(15_600, np.float32), 16_000)
    assert np.array_equal(quiet[0], silence.embeddings[0])
    # Other random numbers, the same colours: each noise is nearest to Python's of its kind.
    of_python = quiet_waveforms(15_600, 16_000)
    there = [classifier.classify(row, 16_000).embeddings[0] for row in of_python]
    assert len(quiet) == len(there)
    faint = l2_normalized(quiet) @ l2_normalized(np.stack(there)).T
    assert (faint.argmax(axis=1) == np.arange(len(quiet))).mean() >= 0.8

    # The head that they give.
    clips = EmbeddedClips(
        embeddings=np.concatenate(rows),
        clip_index=np.repeat(np.arange(11), [len(each) for each in rows]),
        weights=np.concatenate(taught_here["weights"]),
        targets=np.eye(2, dtype=np.float32)[[0] * 5 + [1] * 6],
        classes=("Our siren", "their siren"),  # neither is background, as the page learns here
        groups=np.arange(11),
        folds=np.full(11, -1),
        quiet=quiet[:1],
    )
    head = fit_linear(clips)
    assert head.square_root is taught_here["head"]["squareRoot"] is True
    whole = classifier.classify(street, 16_000)
    learnt = floats(taught_here["head"]["weights"], 1_024)
    bias = floats(taught_here["head"]["bias"], 2)[0]
    logits = np.sqrt(np.maximum(whole.embeddings, 0)) @ learnt.T + bias
    own = 1 / (1 + np.exp(logits[:, 1] - logits[:, 0]))
    # The page always teaches background, and so has no logit of the quiet beside the classes.
    alike = replace(head, quiet=None).scores(whole.embeddings)
    np.testing.assert_allclose(own, alike[:, 0], atol=5e-3)

    # The file, heard by the page and by oido.
    path = tmp_path / "mine.tflite"
    path.write_bytes(base64.b64decode(taught_here["model"]))
    result = oido.AudioClassifier(path, jobs=1).classify(street, 16_000)
    heard = floats(taught_here["heard"]["scores"], 522)
    assert result.labels[-1] == "Our siren"
    np.testing.assert_allclose(result.scores, heard, atol=2e-5)
    assert np.array_equal(heard[:, :521], whole.scores)
    np.testing.assert_allclose(heard[:, 521], own, atol=2e-5)
    assert heard[:6, 521].max() > 0.8
    assert heard[20:, 521].max() < 0.5
    assert taught_here["columns"] == 3
    np.testing.assert_allclose(taught_here["last"], np.tile(heard[:, 521:], (1, 3)), atol=2e-5)
    found = [event for event in result.events() if event.label == "Our siren"]
    assert found[0].start_time < 2
    assert found[-1].end_time < 8


_TEACH_KNOWN = """async ({ starts, isOther }) => {
  const { openEmbedder } = await import("/core/embedder.js");
  const { fitHead } = await import("/core/head_fit.js");
  const { taughtModel } = await import("/core/head_export.js");
  const { directionsOf } = await import("/core/novelty.js");
  const { openDevice } = await import("/core/device_engine.js");
  const { packed, samplesOf, told } = await import("/tests/hearing.mjs");
  const bytes = new Uint8Array(await (await fetch("/base.tflite")).arrayBuffer());
  const whole = await samplesOf("/whole.f32");
  const embedder = await openEmbedder(bytes);
  const learnt = [];
  for (const [number, start] of starts.entries()) {
    const clip = await embedder.embed(whole.slice(start, start + 20_000));
    learnt.push({ ...clip, label: Number(isOther[number]) });
  }
  const all = await embedder.embed(whole);
  embedder.close();
  const directions = directionsOf(learnt, 2);
  const options = { head: fitHead(learnt, 2), labels: ["Ours"], name: "mine", threshold: 0.5 };
  const model = await taughtModel(bytes, { ...options, directions });
  const engine = await openDevice({ modelBytes: model });
  const heard = told(await engine.hear(whole));
  const { leastSimilarity } = engine.info;
  engine.close();
  return {
    ofClips: learnt.filter(({ label }) => label === 0).map(({ directions }) => packed(directions)),
    weights: learnt.filter(({ label }) => label === 0).map(({ weights }) => weights),
    pointing: packed(all.directions),
    direction: packed(directions),
    model: packed([model]),
    novelty: heard.novelty,
    leastSimilarity,
  };
}"""


def test_what_a_model_calls_unknown_stays_so_but_for_what_is_taught(
    core: Any,
    files: dict[str, bytes | Path],
    litert_js: Path,
    taught: Path,
    street: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    """A window is known if it is like a class of the model, or like the examples; as before, the
    nearest counts, and the model's own middle and threshold."""
    files["base.tflite"] = taught
    files["whole.f32"] = street.astype("<f4").tobytes()
    starts = [int(16_000 * seconds) for seconds in (20.0, 20.6, 21.2, 8.0, 10.5)]
    isOther = [False, False, False, True, True]  # noqa: N806 (a name of the page's)
    told = core.evaluate(_TEACH_KNOWN, {"starts": starts, "isOther": isOther})
    base = oido.AudioClassifier(taught, jobs=1)
    before = base.classify(street, 16_000)
    assert before.similarities is not None

    (direction,) = floats(told["direction"], 1_536)
    means = [
        np.average(floats(text, 1_536), axis=0, weights=weights)
        for text, weights in zip(told["ofClips"], told["weights"])
    ]
    mean = np.mean(means, axis=0)
    np.testing.assert_allclose(direction, mean / np.linalg.norm(mean), atol=1e-5)
    pointing = floats(told["pointing"], 1_536)
    np.testing.assert_allclose(np.linalg.norm(pointing, axis=1), 1, atol=1e-4)
    expected = np.maximum(before.similarities, pointing @ direction)
    assert (expected > before.similarities + 0.1).any()
    assert (expected == before.similarities).any()

    path = tmp_path / "mine.tflite"
    path.write_bytes(base64.b64decode(told["model"]))
    made = oido.AudioClassifier(path, jobs=1)
    after = made.classify(street, 16_000)
    np.testing.assert_allclose(after.similarities, expected, atol=1e-4)
    np.testing.assert_allclose(told["novelty"], expected, atol=1e-4)
    np.testing.assert_allclose(after.scores[:, :-1], before.scores, atol=1e-5)
    assert made.model.least_similarity == base.model.least_similarity == told["leastSimilarity"]
