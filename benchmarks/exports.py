# SPDX-License-Identifier: Apache-2.0
"""What exported files weigh and how long one window takes: LiteRT and onnxruntime, one core.

    OIDO_MODEL_PATH=../shared/models python benchmarks/exports.py

Prints a Markdown table; milliseconds are medians of 30 runs of one window of noise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter

import oido

EXPORTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("yamnet/classification", {}),
    ("yamnet/classification", {"precision": "float32"}),
    ("efficientat/mn04", {"window": 2.0}),
    ("efficientat/mn04", {}),
)


def litert(path: Path) -> Callable[[np.ndarray], object]:
    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]

    def run(window: np.ndarray) -> None:
        interpreter.set_tensor(entry, window)
        interpreter.invoke()

    return run


def onnx(path: Path) -> Callable[[np.ndarray], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    return lambda window: session.run(None, {entry: window})


def milliseconds(run: Callable[[np.ndarray], object], samples: int, repeats: int) -> float:
    window = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    times = []
    for _ in range(repeats + 3):
        start = time.perf_counter()
        run(window)
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:]) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    print("| export | format | size | window | one window | largest difference |")
    print("|---|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, options in EXPORTS:
            for ending, runner in ((".tflite", litert), (".onnx", onnx)):
                report = oido.export(name, Path(folder) / f"model{ending}", **options)
                took = milliseconds(runner(report.path), report.window_samples, repeats)
                seconds = report.window_samples / report.sample_rate_hz
                print(
                    f"| {name}, {report.precision} | {report.format} "
                    f"| {report.size_bytes / 1e6:.1f} MB | {seconds:.3g} s | {took:.1f} ms "
                    f"| {report.largest_difference:.1g} |"
                )


if __name__ == "__main__":
    main()
