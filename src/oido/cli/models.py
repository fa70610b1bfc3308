# SPDX-License-Identifier: Apache-2.0
"""``oido models``: list, fetch, verify, and look into models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from oido.models import fetch
from oido.models.registry import CATALOG, DEFAULT_MODEL, card

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  oido models list
  oido models fetch yamnet/classification
  oido models fetch yamnet/classification --from-file ~/Downloads/yamnet.tflite
  oido models info yamnet/classification --labels
  oido models info my-birds.tflite
  oido models verify

Models are looked for in the folders of OIDO_MODEL_PATH, then in the cache (OIDO_CACHE replaces its
place), then fetched. Size and SHA-256 must be the published ones, wherever a file comes from.
"""


def add_parser(commands: Any) -> None:
    """Add ``oido models``."""
    parser = commands.add_parser(
        "models",
        help="list, fetch, verify and look into models",
        description="The models that oido knows, and what is in them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = actions.add_parser(
        "list",
        help="the models, and which of them are here",
        description="List the models that oido knows, and where those are that are here.",
    )
    listing.set_defaults(run=_list)

    fetching = actions.add_parser(
        "fetch",
        help="bring a model to this machine",
        description="Bring a model to this machine, verify it, and print its path.",
    )
    fetching.add_argument(
        "name", metavar="NAME", nargs="?", default=DEFAULT_MODEL, help="see `oido models list`"
    )
    fetching.add_argument(
        "--from-file", metavar="FILE", type=Path, help="take it from this file, not from the net"
    )
    fetching.set_defaults(run=_fetch)

    info = actions.add_parser(
        "info",
        help="what is in a model: by name, or any .tflite",
        description="Say what is in a model, read from the file itself.",
    )
    info.add_argument(
        "model",
        metavar="NAME-or-FILE",
        nargs="?",
        default=DEFAULT_MODEL,
        help="a name of the list, or the path of a .tflite",
    )
    info.add_argument("--labels", action="store_true", help="print its labels, one per line")
    info.set_defaults(run=_info)

    verifying = actions.add_parser(
        "verify",
        help="check the cached models against their SHA-256",
        description="Check the cached models against their published SHA-256.",
    )
    verifying.set_defaults(run=_verify)


def _list(args: argparse.Namespace) -> int:
    for entry in CATALOG:
        path = fetch.find(entry)
        where = str(path) if path else f"not here yet: oido models fetch {entry.name}"
        print(f"{entry.name}  ({entry.size_bytes / 1e6:.1f} MB, {entry.licence})")
        print(f"  {entry.summary}\n  {where}")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    entry = card(args.name)
    if args.from_file is not None:
        path = fetch.install(entry, args.from_file.expanduser())
    else:
        path = fetch.fetch(entry, say=lambda line: print(line, file=sys.stderr))
    print(path)
    return 0


def _info(args: argparse.Namespace) -> int:
    from oido.models.model import load_model

    model = load_model(args.model, say=lambda line: print(line, file=sys.stderr))
    if args.labels:
        print("\n".join(model.labels))
        return 0
    front_end = model.front_end
    rate = front_end.sample_rate_hz
    facts = {
        "name": model.name,
        "what": model.card.summary if model.card else model.metadata.description,
        "file": model.path,
        "size": f"{model.size_bytes:,} bytes",
        "sha256": model.sha256,
        "licence": model.card.licence if model.card else model.metadata.licence,
        "author": model.card.attribution if model.card else model.metadata.author,
        "input": f"{rate} Hz, mono, windows of {front_end.patch_samples} samples "
        f"({front_end.patch_samples / rate:g} s)",
        "front end": f"{front_end.patch_frames} frames of {model.graph.mel.shape[0]} mel bands; "
        f"STFT window {front_end.window_samples}, hop {front_end.hop_samples}, "
        f"FFT {front_end.fft_samples}",
        "labels": f"{len(model.labels)} ({', '.join(model.labels[:3])}, …)",
        "scores": "raw, 0..1; not probabilities",
    }
    for name, value in facts.items():
        print(f"{name + ':':<11}{value}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    cached = [entry for entry in CATALOG if fetch.cache_path(entry).exists()]
    for entry in cached:
        print(f"{entry.name}: ok, {fetch.verify(entry)}")
    if not cached:
        print("no model is in the cache yet; `oido models fetch` brings the default one")
    return 0
