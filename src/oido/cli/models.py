# SPDX-License-Identifier: Apache-2.0
"""``oido models``: list, fetch, verify, annotate, and look into models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.errors import ModelNotFoundError, OptionError
from oido.models import fetch
from oido.models.registry import CATALOG, DEFAULT_MODEL, ENSEMBLE, ENSEMBLE_MEMBERS, card

if TYPE_CHECKING:
    from oido.heads import Head
    from oido.models.model import AudioModel

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  oido models list
  oido models fetch yamnet/classification
  oido models fetch yamnet/classification --from-file ~/Downloads/yamnet.tflite
  oido models info yamnet/classification --labels
  oido models info my-birds.tflite
  oido models annotate birds.tflite --labels labels.txt --sample-rate 16000
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

    annotating = actions.add_parser(
        "annotate",
        help="write labels and sample rate into a .tflite that lacks them",
        description="Write metadata into a .tflite: the labels of its scores and its sample rate.",
        epilog="examples:\n  oido models annotate birds.tflite --labels labels.txt "
        "--sample-rate 16000\n  oido models annotate old.tflite --labels l.txt --sample-rate 32000 "
        "-o new.tflite\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    annotating.add_argument("file", metavar="FILE", type=Path, help="the .tflite")
    annotating.add_argument(
        "--labels",
        metavar="TEXT-FILE",
        type=Path,
        action="append",
        required=True,
        help="a label per line, in the order of the scores (repeat for each output)",
    )
    annotating.add_argument(
        "--sample-rate", metavar="HZ", type=int, required=True, help="the rate that it wants"
    )
    annotating.add_argument("--name", default="", help="what the model is called")
    annotating.add_argument("--description", default="", help="what it is")
    annotating.add_argument("--licence", default="", help="under which licence it is")
    annotating.add_argument("--author", default="", help="who made it")
    annotating.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        help="write here (default: replace FILE, and keep it as FILE.orig, FILE.orig2, …)",
    )
    annotating.set_defaults(run=_annotate)

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
    print(
        f"{ENSEMBLE}\n  {' and '.join(ENSEMBLE_MEMBERS)} heard together: windows and events of the"
    )
    print("  first, and more often right than either; and slower than the first alone")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    if args.name == ENSEMBLE:
        if args.from_file is not None:
            raise OptionError(f"{ENSEMBLE} is two files; fetch each: {', '.join(ENSEMBLE_MEMBERS)}")
        for member in ENSEMBLE_MEMBERS:
            print(fetch.fetch(card(member), on_message=lambda line: print(line, file=sys.stderr)))
        return 0
    entry = card(args.name)
    if args.from_file is not None:
        path = fetch.install(entry, args.from_file.expanduser())
    else:
        path = fetch.fetch(entry, on_message=lambda line: print(line, file=sys.stderr))
    print(path)
    return 0


def _info(args: argparse.Namespace) -> int:
    from oido.models.loading import load_model

    model = load_model(args.model, on_message=lambda line: print(line, file=sys.stderr))
    if args.labels:
        print("\n".join(model.labels))
        return 0
    windows = model.windows
    seconds = windows.window_samples / windows.sample_rate_hz
    facts = {
        "name": model.name,
        "what": model.summary,
        "file": model.path,
        "size": f"{model.size_bytes:,} bytes",
        "sha256": model.sha256,
        "licence": model.licence,
        "author": model.attribution,
        "input": f"{windows.sample_rate_hz} Hz, mono, windows of {windows.window_samples} samples "
        f"({seconds:g} s)",
        "front end": _front_end_of(model),
        "labels": _labels_of(model.head),
        "precision": model.precision,
        "scores": "raw, 0..1; not probabilities"
        if model.head.calibration is None
        else "calibrated: every score has a probability beside it",
    }
    if model.head.thresholds:
        facts["thresholds"] = f"of events, its own for {len(model.head.thresholds)} labels"
    if model.novelty is not None:
        facts["unknown"] = "it tells sounds that it was not taught"
    for head in model.heads[:-1]:
        facts[f"also {head.name!r}"] = f"{_labels_of(head)}; --head {head.name}"
    for name, value in facts.items():
        print(f"{name + ':':<11} {value}")
    return 0


def _labels_of(head: Head) -> str:
    more = ", …" if len(head.labels) > 3 else ""
    return f"{len(head.labels)} ({', '.join(head.labels[:3])}{more})"


def _annotate(args: argparse.Namespace) -> int:
    from oido.heads import Head
    from oido.models.tflite.metadata_writer import annotate
    from oido.writers.atomic import AtomicFile, keep_original

    names = ["scores"] if len(args.labels) == 1 else [f"head_{n}" for n in range(len(args.labels))]
    heads = [
        Head(name, tuple(_read(path).decode("utf-8-sig").splitlines()))
        for path, name in zip(args.labels, names)
    ]
    content = annotate(
        _read(args.file),
        heads,
        sample_rate_hz=args.sample_rate,
        name=args.name or args.file.stem,
        description=args.description,
        licence=args.licence,
        author=args.author,
    )
    output = args.output or args.file
    file = AtomicFile(output, binary=True)
    with file.guard():
        file.stream.write(content)
        if output.exists() and output.samefile(args.file):
            keep_original(output)
    file.commit()
    print(output)
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelNotFoundError(f"{path}: cannot be read ({error.strerror})") from error


def _front_end_of(model: AudioModel) -> str:
    from oido.models.model import EnsembleNetwork, MnNetwork, WholeNetwork

    network = model.network
    if isinstance(network, EnsembleNetwork):
        return "one of each member"
    if isinstance(network, MnNetwork):
        return "EfficientAT's: pre-emphasis, STFT 1024/800/320, 128 Kaldi mel bands to 15 kHz"
    if isinstance(network, WholeNetwork):
        return "inside the model; it is run as it is"
    front_end = network.front_end
    return (
        f"{front_end.patch_frames} frames of {network.graph.mel.shape[0]} mel bands; STFT window "
        f"{front_end.window_samples}, hop {front_end.hop_samples}, FFT {front_end.fft_samples}"
    )


def _verify(args: argparse.Namespace) -> int:
    cached = [entry for entry in CATALOG if fetch.cache_path(entry).exists()]
    for entry in cached:
        print(f"{entry.name}: ok, {fetch.verify(entry)}")
    if not cached:
        print("no model is in the cache yet; `oido models fetch` brings the default one")
    return 0
