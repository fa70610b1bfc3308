# SPDX-License-Identifier: Apache-2.0
"""What int8 would do to `efficientat/mn04`, which oido runs in float32: its mAP, and its speed.

    pip install ai-edge-quantizer
    python benchmarks/quantized_mn04.py --limit 200      200 clips of each set (some ten minutes)

Two ways of Google's AI Edge Quantizer: "dynamic" stores int8 weights and quantises activations as
they come; "full" has int8 activations, too, with ranges from clips of ../shared/audio, every ninth,
on which nothing is judged. All hear the same patches, made by oido's own front end; mAP as in
`zero_shot.py`. Speed: processor time of one patch of 10 s in one thread, in turn, medians.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from precision import Clip, quality, read_clips
from zero_shot import SETS

import oido
from oido.inference.predictor import Predictor
from oido.models.loading import load_model
from oido.models.model import AudioModel, MnNetwork
from oido.models.tflite.packing import pack_pruned, unpack

CALIBRATE_EVERY = 9
AGGREGATION = "loudness-mean"
ROUNDS = 21


def main() -> int:
    """Quantise, judge, time; print two tables."""
    root = Path(__file__).resolve().parents[2] / "shared"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=root / "audio")
    parser.add_argument("--models", type=Path, default=root / "models")
    parser.add_argument("--limit", type=int, help="about this many clips of each set")
    parser.add_argument("--calibration-clips", type=int, default=60)
    arguments = parser.parse_args()
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    model = load_model("efficientat/mn04")
    assert isinstance(model.network, MnNetwork)
    clips = {name: read_clips(arguments.audio / name, arguments.limit) for name in SETS}
    held = [clip for name in SETS[:2] for clip in clips[name][::CALIBRATE_EVERY]]
    step = max(1, len(held) // arguments.calibration_clips)
    patches = [patches_of(model, clip)[:1] for clip in held[::step]]
    variants = {"float32": model.network.content}
    variants |= {
        kind: quantised(variants["float32"], kind, patches) for kind in ("dynamic", "full")
    }
    models = {kind: with_network(model, content) for kind, content in variants.items()}
    print(f"ranges from {len(patches)} clips\n")
    print("| network | MB | ms a window of 10 s | of float32 |\n|---|---:|---:|---:|")
    seconds = speeds(models, patches[0])
    for kind, content in variants.items():
        share = median(a / b for a, b in zip(seconds[kind], seconds["float32"]))
        print(
            f"| {kind} | {len(content) / 1e6:.1f} | {median(seconds[kind]) * 1e3:.1f} "
            f"| {share:.2f} |",
            flush=True,
        )
    print("\n| set | clips | network | mAP | top-1 | top-5 |\n|---|---:|---|---:|---:|---:|")
    for name in SETS:
        left = [clip for number, clip in enumerate(clips[name]) if number % CALIBRATE_EVERY]
        for kind, classifier in ((k, oido.AudioClassifier(m, jobs=1)) for k, m in models.items()):
            scores = [classifier.classify(clip.path).clip(AGGREGATION) for clip in left]
            figures = " | ".join(f"{value:.3f}" for value in quality(left, scores, model.labels))
            print(f"| {name} | {len(left)} | {kind} | {figures} |", flush=True)
    return 0


def patches_of(model: AudioModel, clip: Clip) -> NDArray[np.float32]:
    """f32[N, bands, frames, 1] of a clip, as the network gets them."""
    classifier = oido.AudioClassifier(model, jobs=1)
    waveform = classifier.stream(clip.path).waveform()
    return Predictor.of(model).patches(waveform, classifier.windowing.hop_samples)


def quantised(content: bytes, kind: str, patches: list[NDArray[np.float32]]) -> bytes:
    """The .tflite with int8 weights, and for "full" with int8 activations."""
    from ai_edge_quantizer import qtyping, quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    if kind == "dynamic":
        work = quantizer.Quantizer(content, recipe.dynamic_wi8_afp32())
        return bytes(work.quantize().quantized_model)
    work = quantizer.Quantizer(_with_signature(content), recipe.static_wi8_ai8())
    for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        work.update_quantization_recipe(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    ranges: Any = work.calibrate(
        {_SIGNATURE: [{_INPUT: patch} for patch in patches]}, num_threads=1
    )
    return bytes(work.quantize(ranges).quantized_model)


_SIGNATURE, _INPUT = "serving_default", "log_mel"


def _with_signature(content: bytes) -> bytes:
    """The graph with names for its input and outputs, by which samples are fed."""
    model, graph = unpack(content)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
    signature.inputs = [_named(_INPUT, graph.inputs[0])]
    signature.outputs = [_named(f"output_{n}", tensor) for n, tensor in enumerate(graph.outputs)]
    model.signatureDefs = [signature]
    return pack_pruned(model, graph)


def _named(name: str, tensor: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(tensor)
    return entry


def with_network(model: AudioModel, content: bytes) -> AudioModel:
    """The model with this graph instead of its own."""
    assert isinstance(model.network, MnNetwork)
    return replace(model, network=replace(model.network, content=content))


def speeds(models: dict[str, AudioModel], patch: NDArray[np.float32]) -> dict[str, list[float]]:
    """Seconds of processor time of the network alone, round by round."""
    predictors = {kind: Predictor.of(model) for kind, model in models.items()}
    seconds: dict[str, list[float]] = {kind: [] for kind in models}
    for number in range(ROUNDS + 1):
        for kind, predictor in predictors.items():
            started = time.process_time()
            predictor.run(patch)
            if number:
                seconds[kind].append(time.process_time() - started)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
