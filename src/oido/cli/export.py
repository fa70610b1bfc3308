# SPDX-License-Identifier: Apache-2.0
"""``oido export``: a model as one file for phones and other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  oido export yamnet/classification -o yamnet.tflite --embedding
  oido export yamnet/classification -o yamnet-float.tflite --precision float32
  oido export efficientat/mn04 -o mn04.tflite --window 2
  oido export yamnet/classification -o yamnet.onnx

The file takes one window of waveform and gives scores: the front end is inside. A .tflite has
labels, sample rate, calibration and thresholds in its metadata, and runs in LiteRT, MediaPipe and
the Task Library. It is run on several windows, and compared with oido, before it gets its name.
"""


def add_parser(commands: Any) -> None:
    """Add ``oido export``."""
    parser = commands.add_parser(
        "export",
        help="write a model as one file for phones and other programs",
        description="Write a model as one file: waveform in, scores out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="NAME-or-FILE", help="see `oido models list`")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        required=True,
        help="the file; .tflite or .onnx",
    )
    parser.add_argument(
        "--format", choices=("tflite", "onnx"), help="if the file's name does not say it"
    )
    parser.add_argument(
        "--precision",
        choices=("int8", "float32"),
        help="of a quantised YAMNet: float32 is finer, slower, and four times as large",
    )
    parser.add_argument(
        "--embedding", action="store_true", help="a second output: the network's embedding"
    )
    parser.add_argument(
        "--window",
        metavar="SECONDS",
        type=float,
        help="what the file takes at once, for a network that hears any length (mn04: 10)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from oido.cli.exit_codes import EXIT_OK
    from oido.cli.options import fetch_model
    from oido.inference.export import export

    report = export(
        fetch_model(args.model),
        args.output,
        format=args.format,
        precision=args.precision,
        embedding=args.embedding,
        window=args.window,
    )
    seconds = report.window_samples / report.sample_rate_hz
    outputs = ", ".join(f"{name} [1, {size}]" for name, size in report.outputs)
    print(f"{report.path}: {report.size_bytes / 1e6:.1f} MB, {report.precision}")
    print(
        f"  takes {report.window_samples} samples ({seconds:.3f} s at {report.sample_rate_hz} Hz)"
    )
    print(f"  gives {outputs}")
    print(
        f"  checked on {report.checked_windows} windows: "
        f"scores differ from oido's by at most {report.largest_difference:.2g}"
    )
    return EXIT_OK
