# SPDX-License-Identifier: Apache-2.0
"""Where the network's time goes, layer by layer, and what windows could share.

    python benchmarks/layers.py

The graph is cut behind each of its layers, and each of these graphs runs on one thread, 32 patches
a call; a layer's time is the difference between two neighbours (medians of alternating runs).
Consecutive windows of YAMNet share half of their rows; near the borders of a window the padding
makes them differ. "Shared at best" is what remains of the network's time if the rows that are equal
were computed once, up to each stride, the strips at the borders anew, and everything else for free.
"""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from oido.models.loading import load_model
from oido.models.tflite.packing import pack_pruned, unpack

BATCH, REPEATS = 32, 15

BORDER_FRAMES = {2: 11, 4: 35, 8: 75}
"""Of 96, by stride: the input frames that the rows which padding reaches are made from."""
PATCH_FRAMES, HOP_FRAMES = 96, 48


def main() -> int:
    """Print a row for each layer, and one for each stride."""
    content = load_model("yamnet/classification").network.graph.network
    _, whole = unpack(content)
    images = [
        int(op.outputs[0])
        for op in whole.operators
        if len(whole.tensors[int(op.outputs[0])].shape) == 4
    ]
    graphs = [(tensor, *_prepared(content, tensor)) for tensor in images]
    seconds: dict[int, list[float]] = {tensor: [] for tensor in images}
    for _ in range(REPEATS):
        for tensor, interpreter, patches in graphs:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], patches)
            started = time.process_time()
            interpreter.invoke()
            seconds[tensor].append(time.process_time() - started)
    total = median(seconds[images[-1]]) / BATCH * 1e6
    print("| layer | image | stride | µs a window | share |\n|---|---|---:|---:|---:|")
    before, at_stride = 0.0, {}
    for number, tensor in enumerate(images):
        shape = [int(n) for n in whole.tensors[tensor].shape[1:]]
        until = median(seconds[tensor]) / BATCH * 1e6
        stride = PATCH_FRAMES // shape[0]
        at_stride[stride] = at_stride.get(stride, 0.0) + until - before
        share = (until - before) / total
        print(f"| {number} | {shape} | {stride} | {until - before:.0f} | {share:.2f} |")
        before = until
    print("\n| stride | µs a window | share so far | network, shared at best |")
    print("|---:|---:|---:|---:|")
    so_far = 0.0
    for stride, spent in sorted(at_stride.items()):
        so_far += spent
        frames = HOP_FRAMES + BORDER_FRAMES.get(stride, PATCH_FRAMES)
        left = total - so_far * max(0.0, 1 - frames / PATCH_FRAMES)
        print(f"| {stride} | {spent:.0f} | {so_far / total:.2f} | {left / total:.2f} |")
    return 0


def _prepared(content: bytes, tensor: int) -> tuple[Any, Any]:
    model, graph = unpack(content, bare=True)
    graph.outputs = np.array([tensor], np.int32)
    interpreter = Interpreter(model_content=pack_pruned(model, graph), num_threads=1)
    entry = interpreter.get_input_details()[0]
    patches = np.random.default_rng(0).normal(-3, 2, (BATCH, *entry["shape"][1:]))
    interpreter.resize_tensor_input(entry["index"], patches.shape)
    interpreter.allocate_tensors()
    return interpreter, patches.astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
