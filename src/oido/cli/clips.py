# SPDX-License-Identifier: Apache-2.0
"""Cut clips out of an archive's recordings: the best of a label, any, or some of every score.

examples:
  oido clips results/ --label Owl -o owls/                    the 50 best, and a table of them
  oido clips results/ --label Owl --count 200 --choose stratified -o owls/
  oido clips results/ --label Dog --where "hour(start_at) < 6" --seconds 3 -o night-dogs/
  oido clips results/ --from hits.csv --label owl -o owls/    what `oido find` found
  oido clips results/ --model owl.tflite --label owl --choose stratified -o sample/
  oido clips results/ --label Owl --format wav --site '{site}_*.wav' -o owls/

Each clip is named by site, time (in UTC, where it is known) and score, and keeps the rate of its
recording. clips.csv beside them has a row for each: `oido train owls/clips.csv --background FOLDER`
learns from it, with each recording as a source of its own. Stratified takes as many from each tenth
of the scores, and weight says how many events a clip stands for, so that what is counted in the
clips can be said of all events. Recordings at addresses are fetched, one at a time. Windows (--of
windows, --model) are there whatever their score, so that `oido count` misses nothing that is below
a threshold.
"""

from __future__ import annotations

import argparse
from typing import Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import open_results
from oido.cli.terminal import EXIT_FAILED_FILES, print_message
from oido.errors import OptionError
from oido.messages import tr


def add_parser(commands: Any) -> None:
    """Add ``oido clips``."""
    add = add_command(commands, "clips", _run, __doc__)
    add.results()
    add("--label LABEL", "events of this label; with --from, what the clips are called")
    add(
        "--from FILE.csv",
        "rows that `oido find` or `oido query` wrote",
        type=local_path,
        dest="table",
    )
    add("--where CONDITION", "only events for which this is true, in SQL")
    add.windows()
    add("--count N", "how many clips at most (default 50)", type=int, default=50)
    add(
        "--choose HOW",
        "top: the best (default); random; stratified: from each tenth of the scores (of windows: "
        "from each half of what is above)",
        choices=("top", "random", "stratified"),
        default="top",
    )
    add.options("seed", help="another choice of random and stratified (default 0)")
    add("--seconds S", "how long each clip is (default: its event, and 0.25 s around)", type=float)
    add(
        "--site PATTERN",
        "where the site stands in a name, such as '{site}_*.wav' (default: the first folder that "
        "differs)",
    )
    add_output = add.group("output")
    add_output("-o, --output FOLDER", "where the clips go", type=local_path, required=True)
    add_output("--format FORMAT", "flac (default) or wav", choices=("flac", "wav"), default="flac")
    add_output.quiet()
    add.clock()


def _run(args: argparse.Namespace) -> int | None:
    from oido.cli.progress import show_progress
    from oido.results.clip_files import chosen_events, listed_places, write_clips
    from oido.results.window_sample import chosen_windows
    from oido.results.window_scores import open_head

    if args.label is None and args.table is None:
        raise OptionError(tr("say which clips: --label Owl, or --from hits.csv"))
    if args.table is not None and args.where is not None:
        raise OptionError(tr("--where chooses events: leave it out, or --from"))
    if args.table is not None and (args.model is not None or args.of == "windows"):
        raise OptionError(tr("--of and --model choose windows: leave them out, or --from"))
    with open_results(args, prints_doubts=False) as results:
        if args.table is not None:
            places = listed_places(results, args.table, args.label, site=args.site)[: args.count]
        elif args.model is None and args.of == "events":
            places = chosen_events(
                results,
                args.label,
                args.count,
                args.choose,
                where=args.where,
                site=args.site,
                seed=args.seed,
            )
        else:
            places = chosen_windows(
                results,
                args.label,
                args.count,
                args.choose,
                head=None if args.model is None else open_head(results, args.model)[1],
                where=args.where,
                site=args.site,
                seed=args.seed,
            )
    with show_progress(tr("clips"), args.quiet) as on_progress:
        cut = write_clips(
            places,
            args.output,
            seconds=args.seconds,
            format_name=args.format,
            on_progress=on_progress,
        )
    for recording, reason in cut.unreached.items():
        print_message(tr("no clip of {recording}: {reason}", recording=recording, reason=reason))
    if not cut.written:
        raise OptionError(
            tr(
                "none of {n_places} clips could be cut: no recording was reached",
                n_places=len(places),
            )
        )
    if not args.quiet:
        clips = (
            tr("1 clip")
            if len(cut.written) == 1
            else tr("{n_written} clips", n_written=len(cut.written))
        )
        print_message(tr("{clips} and clips.csv in {output}", clips=clips, output=args.output))
    return EXIT_FAILED_FILES if cut.unreached else None
