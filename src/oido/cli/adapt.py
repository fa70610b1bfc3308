# SPDX-License-Identifier: Apache-2.0
"""Adapt a taught model to the place of an archive, where reviews say that it is better for it.

examples:
  oido train owls/ -o owl.tflite --embeddings-only
  oido clips results/ --model owl.tflite --label owl --choose stratified -o sample/
  oido labels add project.db sample/clips.csv --who Ana       when its verdicts are written
  oido adapt results/ owl.tflite -o adapted.tflite --labels project.db

From windows that nobody has reviewed, how frequent each sound is there is estimated, and what the
place sounds like without it is learnt. The reviews only judge, those of places that chance chose
(--choose stratified or random; others are left out): what was tried is adopted where, at
sites (or recordings) left out of the choice, its log loss is less and its ranking no worse, with
intervals of 95 %. Otherwise the model is kept as it was: no file is written, and the exit code is
1. The archive must hold embeddings of the network that the model was taught on.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import open_results, require_suffix, require_writable
from oido.cli.terminal import EXIT_FATAL, EXIT_OK, print_line, print_message
from oido.messages import tr

if TYPE_CHECKING:
    from oido.evaluation.bootstrap import Estimate
    from oido.results.adapting import AdaptedModel


def add_parser(commands: Any) -> None:
    """Add ``oido adapt``."""
    add = add_command(commands, "adapt", _run, __doc__)
    add.results()
    add("model MODEL.tflite", "what `oido train --embeddings-only` wrote")
    add("--labels FILE", "the label store with reviews of this archive", required=True)
    add("-o, --output FILE.tflite", "the adapted model", type=local_path, required=True)
    add(
        "--site PATTERN",
        "where the site stands in a name, such as '{site}_*.wav' (default: the first folder that "
        "differs)",
    )
    add.options("seed", help="of the windows that are drawn, and of folds (default 0)")
    add.quiet()
    add.clock()


def _run(args: argparse.Namespace) -> int:
    from oido.cli.progress import show_progress
    from oido.results.adapting import adapt_model

    require_suffix("-o", args.output, ".tflite")
    require_writable(args.output)
    progress = show_progress(tr("reviews"), args.quiet)
    with open_results(args, prints_doubts=False) as results, progress as on_progress:
        found = adapt_model(
            results,
            args.model,
            args.labels,
            site=args.site,
            seed=args.seed,
            on_progress=on_progress,
        )
    _print(found)
    if not found.content:
        print_message(
            tr("kept as it was: {reason}; nothing is written", reason=found.adaptation.reason)
        )
        return EXIT_FATAL
    found.write(args.output)
    if not args.quiet:
        print_message(
            tr(
                "adopted: {chosen}; {output} is written",
                chosen=found.adaptation.chosen,
                output=args.output,
            )
        )
    return EXIT_OK


def _print(found: AdaptedModel) -> None:
    from oido.results.counting import left_out_text

    adaptation = found.adaptation
    facts = {"reviews": adaptation.reviews, "sources": adaptation.sources, "drawn": found.drawn}
    if found.by == "site":
        text = tr("reviews: {reviews}, at sites: {sources}; windows drawn: {drawn}", **facts)
    else:
        text = tr("reviews: {reviews}, of recordings: {sources}; windows drawn: {drawn}", **facts)
    print_line(text)
    if found.left_out:
        print_message(left_out_text(found.left_out))
    if found.elsewhere:
        print_message(
            tr(
                "reviews that are of no window of this archive: {elsewhere}",
                elsewhere=found.elsewhere,
            )
        )
    for row in adaptation.table:
        print_line(
            tr(
                "  {name}: log loss {loss}, average precision {precision}",
                name=row.name,
                loss=_text(row.log_loss),
                precision=_text(row.average_precision),
            )
        )
    if adaptation.table:
        print_line(
            tr(
                "chosen at other sources: log loss {loss}, average precision {precision}",
                loss=_change(adaptation.less_loss, tr("less by {by}"), tr("more by {by}")),
                precision=_change(
                    adaptation.more_precision, tr("more by {by}"), tr("less by {by}")
                ),
            )
        )


def _change(change: Estimate, grown: str, shrunk: str) -> str:
    """How much a figure differs, in words for either direction."""
    from oido.evaluation.bootstrap import Estimate

    if round(change.value, 3) == 0:
        facts = {"low": _figure(change.low), "high": _figure(change.high)}
        return tr("equal ({low} to {high})", **facts) if change.has_interval else tr("equal")
    if change.value >= 0 or not change.is_known:
        return grown.format(by=_text(change))
    return shrunk.format(by=_text(Estimate(-change.value, -change.high, -change.low)))


def _text(estimate: Estimate) -> str:
    if not estimate.is_known:
        return "–"
    if not estimate.has_interval:
        return _figure(estimate.value)
    value, low, high = map(_figure, estimate)
    return tr("{value} ({low} to {high})", value=value, low=low, high=high)


def _figure(value: float) -> str:
    """Three decimals, and no minus before a zero."""
    return f"{round(value, 3) + 0.0:.3f}"
