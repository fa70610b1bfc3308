# SPDX-License-Identifier: Apache-2.0
"""List, fetch, verify and look into models.

examples:
  oido models list
  oido models fetch yamnet/classification
  oido models fetch --from-file ~/Downloads/yamnet.tflite
  oido models fetch birdnet/2.4 --accept-licence CC-BY-NC-SA-4.0
  oido models info yamnet/classification --labels
  oido models info birdnet/2.4 --labels --place 48.1,11.6 --date 2026-05-12
  oido models info my-birds.tflite
  oido models annotate birds.tflite --labels labels.txt --sample-rate 16000
  oido models annotate frogs.tflite --labels l.txt --sample-rate 48000 --scores logits
  oido models verify

Models are looked for in the folders of OIDO_MODEL_PATH, then in the cache (OIDO_CACHE replaces its
place), then fetched. Size and SHA-256 must be the published ones, wherever a file comes from.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from oido.cli.arguments import add_command, local_path
from oido.cli.options import fetch_model
from oido.cli.place import add_place, species_of
from oido.cli.terminal import data_output, print_line, print_message
from oido.errors import ModelFormatError, OptionError
from oido.heads import ScoreKind
from oido.messages import joined, recognised, shown, tr, translated
from oido.models import cache, fetch
from oido.models.registry import CATALOG, DEFAULT_MODEL, ENSEMBLE, ENSEMBLE_MEMBERS, ModelCard, card

if TYPE_CHECKING:
    from oido.heads import Head
    from oido.models.model import AudioModel


def add_parser(commands: Any) -> None:
    """Add ``oido models``."""
    actions = add_command(commands, "models", None, __doc__).actions()
    add_command(actions, "list", _list, _list.__doc__)
    add_fetching = add_command(actions, "fetch", _fetch, _fetch.__doc__)
    add_fetching(
        "name NAME",
        f"see `oido models list` (default {DEFAULT_MODEL}, or what --from-file is)",
        nargs="?",
    )
    add_fetching("--from-file FILE", "take it from this file, not from the net", type=local_path)
    add_fetching(
        "--accept-licence LICENCE",
        "of a model whose licence asks more than a notice: you have read and accept it; kept",
    )
    add_fetching("-v, --verbose", "say where it comes from")
    add_info = add_command(actions, "info", _info, _info.__doc__)
    add_info(
        "model NAME-or-FILE",
        "a name of the list, or the path of a .tflite",
        nargs="?",
        default=DEFAULT_MODEL,
    )
    add_info("--labels", "print its labels, one per line")
    add_info.options("labels_file")
    add_place(add_info)
    add_annotating = add_command(actions, "annotate", _annotate, _annotate.__doc__)
    add_annotating("file FILE", "the .tflite", type=local_path)
    add_annotating(
        "--labels TEXT-FILE",
        "a label per line, in the order of the scores (repeat for each output)",
        type=local_path,
        action="append",
        required=True,
    )
    add_annotating("--sample-rate HZ", "the rate that it wants", type=int, required=True)
    add_annotating(
        "--scores KIND",
        "what its outputs are: scores of 0..1 (sigmoid, softmax), or logits, of which oido takes "
        "the sigmoid (default: as the graph ends)",
        choices=get_args(ScoreKind),
    )
    add_annotating(
        "--window SECONDS",
        "of a model that takes any length: how long its windows are (default 1)",
        type=float,
    )
    add_annotating(
        "--input NAME=VALUE[,VALUE…]",
        "what a further input gets, beside the waveform (repeat for each)",
        type=_input_values,
        action="append",
        default=[],
    )
    add_annotating("--name", "what the model is called", default="")
    add_annotating("--description", "what it is", default="")
    add_annotating("--licence", "under which licence it is", default="")
    add_annotating("--author", "who made it", default="")
    add_annotating(
        "-o, --output FILE",
        "write here (default: replace FILE, and keep it as FILE.orig, FILE.orig2, …)",
        type=local_path,
    )
    add_command(actions, "verify", _verify, _verify.__doc__)


def _list(args: argparse.Namespace) -> None:
    """The models, and which of them are here.

    List the models that oido knows, and where those are that are here.
    """
    heads = (tr("name"), tr("what"), tr("good at"), tr("size"), tr("licence"), tr("where it is"))
    rows = [tuple(map(shown, heads))]
    paths = {entry.name: fetch.find(entry) for entry in CATALOG}
    for entry in CATALOG:
        how = tr("oido models fetch {name}", name=entry.name) + (
            "" if entry.sha256 else tr(" --from-file FILE")
        )
        where = shown(paths[entry.name] or tr("not here yet: {how}", how=how))
        texts = translated(entry.title), translated(entry.good_at)
        rows.append((entry.name, *texts, shown(entry.size), shown(entry.licence), where))
    members = [entry for entry in CATALOG if entry.name in ENSEMBLE_MEMBERS]
    missing = not all(paths[entry.name] for entry in members)
    both_name = tr("{members}, heard together", members=joined(tr(" and "), ENSEMBLE_MEMBERS))
    not_here = tr("not here yet: oido models fetch {name}", name=ENSEMBLE)
    rows.append(
        (
            ENSEMBLE,
            shown(both_name),
            shown(tr("what happens when, best of all; slowest")),
            f"{sum(entry.size_bytes for entry in members) / 1e6:.1f} MB",
            shown(joined(tr(" and "), [entry.licence for entry in members])),
            shown(not_here if missing else tr("as those two")),
        )
    )
    widths = [max(map(len, column)) for column in zip(*rows)]
    for name, what, good_at, size, licence, where in rows:
        fields = f"{name:<{widths[0]}}  {what:<{widths[1]}}  {good_at:<{widths[2]}}"
        print_line(f"{fields}  {size:>{widths[3]}}  {licence:<{widths[4]}}  {where}")


def _fetch(args: argparse.Namespace) -> None:
    """Bring a model to this machine.

    Bring a model to this machine, verify it, and print its path.
    """
    if args.accept_licence is not None:
        if args.name is None:
            raise OptionError(tr("--accept-licence is of one model; name it"))
        fetch.accept_licence(card(args.name), args.accept_licence)
    if args.from_file is not None and args.name is None:
        print(fetch.install_known(args.from_file.expanduser()), file=data_output())
        return
    name = args.name or DEFAULT_MODEL
    members = ENSEMBLE_MEMBERS if name == ENSEMBLE else (name,)
    if args.from_file is not None:
        if args.name == ENSEMBLE:
            raise OptionError(
                tr(
                    "{ensemble} is two files; fetch each: {ensemble_members}",
                    ensemble=ENSEMBLE,
                    ensemble_members=", ".join(ENSEMBLE_MEMBERS),
                )
            )
        chosen, file = card(args.name), args.from_file.expanduser()
        if not chosen.sha256:
            _read_unchecked(chosen, file)
        print(fetch.install(chosen, file), file=data_output())
        return
    on_source = print_message if args.verbose else (lambda _: None)
    for member in members:
        path = fetch.fetch(card(member), on_source, on_start=print_message)
        print(path, file=data_output())


def _read_unchecked(chosen: ModelCard, file: Path) -> None:
    """Raise ModelFormatError for a file that is not of this network; warn that no more is known."""
    from oido.models.torch_models import from_torch

    content = fetch.content_of(file)
    try:
        from_torch(content, chosen, None)
    except ModelFormatError as error:
        raise ModelFormatError(
            tr("{file} is not {name}: {error}", file=file, name=chosen.name, error=error)
        ) from error
    print_message(
        tr(
            "warning: {file} has the tensors of {name}, but whether it is the "
            "published file is not known: its SHA-256 {sha256_of} is compared with "
            "nothing. oido was never run with the published weights of this network",
            file=file,
            name=chosen.name,
            sha256_of=cache.sha256_of(content),
        )
    )


def _info(args: argparse.Namespace) -> None:
    """What is in a model: by name, or any .tflite.

    Say what is in a model, read from the file itself.
    """
    from oido.models.labels import labels_from, shown_labels
    from oido.models.loading import load_model

    model = load_model(fetch_model(args.model))
    names = dict(zip(model.labels, model.labels))
    if args.labels_file:
        others = labels_from(args.labels_file, model.labels)
        names = dict(zip(model.labels, shown_labels(model.labels, "en", others)))
    if args.labels and args.place is not None:
        rows = species_of(args).items()
        lines = [f"{value:.3f}  {names[label]}" for label, value in rows]
        print("\n".join(lines), file=data_output())
        return
    if args.labels:
        print("\n".join(names.values()), file=data_output())
        return
    windows = model.windows
    seconds = windows.window_samples / windows.sample_rate_hz
    facts = {
        tr("name"): recognised(model.name),
        tr("what"): recognised(model.summary),
        tr("file"): model.path,
        tr("size"): tr("{size:,} bytes", size=model.size_bytes),
        "sha256": model.sha256,
        tr("licence"): recognised(model.licence),
        tr("author"): recognised(model.attribution),
        tr("input"): tr(
            "{sample_rate_hz} Hz, mono, windows of {window_samples} samples ({seconds:g} s)",
            sample_rate_hz=windows.sample_rate_hz,
            window_samples=windows.window_samples,
            seconds=seconds,
        ),
        tr("front end"): _front_end_of(model),
        tr("labels"): _labels_of(model.head),
        tr("precision"): model.precision,
        tr("scores"): _SCORES[model.head.kind]
        if model.head.calibration is None
        else tr("calibrated: every score has a probability beside it"),
    }
    if model.head.thresholds:
        facts[tr("thresholds")] = tr(
            "of events, its own for {n_thresholds} labels", n_thresholds=len(model.head.thresholds)
        )
    if model.novelty is not None:
        facts[tr("unknown")] = tr("it tells sounds that it was not taught")
    for head in model.heads[:-1]:
        facts[shown(tr("also {name!r}", name=head.name))] = (
            f"{_labels_of(head)}; --head {head.name}"
        )
    for name, value in facts.items():
        print_line(tr("{name:<11} {value}", name=shown(name) + ":", value=shown(value)))


_SCORES = {
    "sigmoid": tr("raw, 0..1; not probabilities"),
    "softmax": tr("raw, of a softmax: 0..1, together 1 or less; not probabilities"),
    "logits": tr("the sigmoid of its logits, 0..1; not probabilities"),
}
"""By what an output of scores gives."""


def _labels_of(head: Head) -> str:
    from oido.models.labels import label_text

    more = ", …" if len(head.labels) > 3 else ""
    return f"{len(head.labels)} ({', '.join(map(shown, map(label_text, head.labels[:3])))}{more})"


def _annotate(args: argparse.Namespace) -> None:
    """Write labels and sample rate into a .tflite that lacks them.

    Write metadata into a .tflite: the labels of its scores and its sample rate. What else it says
    of them, such as thresholds and probabilities, stays.

    examples:
      oido models annotate birds.tflite --labels labels.txt --sample-rate 16000
      oido models annotate old.tflite --labels l.txt --sample-rate 32000 -o new.tflite
      oido models annotate old.tflite --labels l.txt --sample-rate 48000 --scores logits
    """
    from oido.models.tflite.metadata_writer import labelled
    from oido.models.tflite.waveform import takes_any_length, waveform_first
    from oido.writers.atomic import keep_original, write_atomically

    labels = [_label_lines(path) for path in args.labels]
    original = waveform_first(fetch.content_of(args.file), set(map(len, labels)))
    if args.window is None and takes_any_length(original):
        print_message(
            tr("{file} takes any length; windows of 1 s: --window says another", file=args.file)
        )
    facts = {name: getattr(args, name) for name in ("name", "description", "licence", "author")}
    content = labelled(
        original,
        labels,
        sample_rate_hz=args.sample_rate,
        kind=args.scores,
        inputs=dict(args.input),
        window_samples=args.window and round(args.window * args.sample_rate),
        facts={name: value for name, value in facts.items() if value},
        default_name=args.file.stem,
    )
    output = args.output or args.file
    _require_usable(content, output)
    with write_atomically(output, binary=True) as file:
        file.stream.write(content)
        if output.exists() and output.samefile(args.file):
            keep_original(output)
    print(output, file=data_output())


def _require_usable(content: bytes, output: Path) -> None:
    """Raise ModelFormatError for a file that oido could not hear by, before it is written."""
    from oido.inference.classifier import AudioClassifier

    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        path = Path(folder) / "annotated.tflite"
        path.write_bytes(content)
        try:
            AudioClassifier(path)
        except ModelFormatError as error:
            reason = error.__cause__ or error  # without the path
            raise ModelFormatError(
                tr(
                    "{output} is not written, because oido could not use it: {reason}",
                    output=output,
                    reason=reason,
                )
            ) from error


def _input_values(text: str) -> tuple[str, list[float]]:
    """NAME=VALUE[,VALUE…]. Raises OptionError."""
    name, _, values = text.partition("=")
    try:
        return name.strip(), [float(value) for value in values.split(",")]
    except ValueError:
        raise OptionError(
            tr("--input is NAME=VALUE[,VALUE…], all numbers, not {text!r}", text=text)
        ) from None


def _label_lines(path: Path) -> tuple[str, ...]:
    """The labels of a text file; lines without text do not count."""
    from oido.dialects import decode_text, split_lines

    return tuple(
        line.strip() for line in split_lines(decode_text(fetch.content_of(path))) if line.strip()
    )


def _front_end_of(model: AudioModel) -> str:
    from oido.models.model import EnsembleNetwork, FixedPointNetwork, MnNetwork, WholeNetwork

    network = model.network
    if isinstance(network, EnsembleNetwork):
        return tr("one of each member")
    if isinstance(network, MnNetwork):
        p = network.front_end
        return tr(
            "EfficientAT's: pre-emphasis, STFT "
            "{fft_samples}/{analysis_samples}/{hop_samples}, {bands} Kaldi mel "
            "bands to {high_hz:g} kHz",
            fft_samples=p.fft_samples,
            analysis_samples=p.analysis_samples,
            hop_samples=p.hop_samples,
            bands=p.bands,
            high_hz=p.high_hz / 1000,
        )
    if isinstance(network, FixedPointNetwork):
        q = network.front_end
        return tr(
            "in whole numbers: {patch_frames} frames of {bands} mel bands; FFT "
            "{fft_samples}, hop {hop_samples}",
            patch_frames=q.patch_frames,
            bands=q.bands,
            fft_samples=q.fft_samples,
            hop_samples=q.hop_samples,
        )
    if isinstance(network, WholeNetwork):
        return tr("inside the model; it is run as it is")
    front_end = network.front_end
    return tr(
        "{patch_frames} frames of {shape} mel bands; STFT window "
        "{window_samples}, hop {hop_samples}, FFT {fft_samples}",
        patch_frames=front_end.patch_frames,
        shape=network.graph.mel.shape[0],
        window_samples=front_end.window_samples,
        hop_samples=front_end.hop_samples,
        fft_samples=front_end.fft_samples,
    )


def _verify(args: argparse.Namespace) -> None:
    """Check the cached models against their published SHA-256."""
    cached = [e for e in CATALOG if (fetch.cache_path(e).exists() if e.sha256 else fetch.find(e))]
    for entry in cached:
        print_line(tr("{name}: ok, {verify}", name=entry.name, verify=fetch.verify(entry)))
    if not cached:
        print(shown(tr("no model is in the cache yet; `oido models fetch` brings the default one")))
