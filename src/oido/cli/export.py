# SPDX-License-Identifier: Apache-2.0
"""Write a model as one file for phones and other programs: waveform in, scores out.

examples:
  oido export yamnet/classification -o yamnet.tflite --embedding
  oido export yamnet/classification -o yamnet-float.tflite --precision float32
  oido export efficientat/mn04 -o mn04.tflite --window 2
  oido export yamnet/classification -o yamnet.onnx
  oido export yamnet/classification -o yamnet-frames.tflite --framewise

The file takes one window of waveform and gives scores: the front end is inside. A .tflite has
labels, sample rate, calibration and thresholds in its metadata, and runs in LiteRT, MediaPipe and
the Task Library. It is run on several windows, and compared with oido, before it gets its name.
"""

from __future__ import annotations

import argparse
from typing import Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import fetch_model
from oido.cli.terminal import print_line
from oido.messages import shown, tr


def add_parser(commands: Any) -> None:
    """Add ``oido export``."""
    add = add_command(commands, "export", _run, __doc__)
    add("model NAME-or-FILE", "see `oido models list`")
    add("-o, --output FILE", "the file; .tflite or .onnx", type=local_path, required=True)
    add("--format", "if the file's name does not say it", choices=("tflite", "onnx"))
    add(
        "--precision",
        "of a quantised YAMNet: float32 is finer, slower, and four times as large",
        choices=("int8", "float32"),
    )
    add("--embedding", "a second output: the network's embedding")
    add(
        "--framewise",
        "one more output for each head: the scores of the window's columns (YAMNet: 3 of 0.32 s)",
    )
    add(
        "--window SECONDS",
        "what the file takes at once, for a network that hears any length (mn04: 10)",
        type=float,
    )


def _run(args: argparse.Namespace) -> None:
    from oido.inference.export import export

    report = export(
        fetch_model(args.model),
        args.output,
        format=args.format,
        precision=args.precision,
        embedding=args.embedding,
        framewise=args.framewise,
        window=args.window,
    )
    seconds = report.window_samples / report.sample_rate_hz
    outputs = ", ".join(
        f"{name} {list(shape)}" for (name, _), shape in zip(report.outputs, report.shapes)
    )
    print_line(
        tr(
            "{path}: {size_bytes:.1f} MB, {precision}",
            path=report.path,
            size_bytes=report.size_bytes / 1e6,
            precision=report.precision,
        )
    )
    print(
        shown(
            tr(
                "  takes {window_samples} samples ({seconds:.3f} s at {sample_rate_hz} Hz)",
                window_samples=report.window_samples,
                seconds=seconds,
                sample_rate_hz=report.sample_rate_hz,
            )
        )
    )
    print_line(tr("  gives {outputs}", outputs=outputs))
    print(
        shown(
            tr(
                "  checked on {checked_windows} windows: scores differ from oido's by at "
                "most {largest_difference:.2g}",
                checked_windows=report.checked_windows,
                largest_difference=report.largest_difference,
            )
        )
    )
