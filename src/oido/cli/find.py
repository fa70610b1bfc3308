# SPDX-License-Identifier: Apache-2.0
"""Find where else a sound is: the windows of an archive that are nearest to an example.

examples:
  oido batch recordings/ -o results/ --embeddings     an archive that can be searched
  oido find results/ --like owl.wav                   where does it sound like this?
  oido find results/ --like night3.wav@1:02:12-1:02:14 --not car.wav
  oido find results/ --like-event night3.wav@1:02:12  like what is heard there
  oido find results/ --text owl --count 20            like the archive's best windows of a label
  oido find results/ --like owl.wav --where "file like 'north/%'" -o hits.csv
  oido clips results/ --from hits.csv -o owls/        the hits as files to be heard

An example is a recording, or a span of one in seconds or as 1:02:12, on this machine or of the
archive. Windows that overlap or touch are one hit; the example itself is none. The similarity is
the cosine between embeddings, less what all windows of the archive have in common: 1 is the same
sound, 0 is any other; it is no probability. The first search makes an index in the archive's folder
(--index: elsewhere), with about a kilobyte a window; it may be deleted, and is made again. Where
the archive has grown, what is new is added first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import open_results, quotes_cells, table_format
from oido.cli.terminal import data_output, print_message, use_utf8
from oido.errors import OptionError
from oido.messages import joined, tr

if TYPE_CHECKING:
    from oido.results.find import Finder
    from oido.results.results import Results


def add_parser(commands: Any) -> None:
    """Add ``oido find``."""
    add = add_command(commands, "find", _run, __doc__)
    add.results()
    add(
        "--like AUDIO[@START-END]",
        "an example: a recording or a span of it (repeat: like any of them)",
        action="append",
        default=[],
    )
    add(
        "--like-event FILE@TIME",
        "an event of the archive: its recording, and when it begins or a time in it (repeat)",
        action="append",
        default=[],
    )
    add(
        "--text WORDS",
        "like the archive's five best windows of a label, in any language that labels are shown "
        "in; with oido[words], of labels that mean about the same as any words (repeat)",
        action="append",
        default=[],
    )
    add(
        "--not AUDIO[@START-END]",
        "what it is not: what is as near to this counts for nothing (repeat)",
        action="append",
        default=[],
        dest="unlike",
    )
    add(
        "--where CONDITION", "only windows for which this is true, in SQL: file, start_at and so on"
    )
    add("--count N", "how many hits at most (default 50)", type=int, default=50)
    add("--exact", "compare every window, also of millions, where otherwise sketches choose first")
    add(
        "--index FOLDER",
        "where the index is kept (default: search-index in the archive)",
        type=local_path,
    )
    add.embedding_model()
    add_output = add.group("output")
    add_output(
        "-o, --output FILE", "write a file: .csv, .jsonl, .json or .parquet", type=local_path
    )
    add_output(
        "--format FORMAT",
        "table (for reading, the default), csv, jsonl, json, parquet; a file's name tells it",
    )
    add_output.csv_cells()
    add_output.quiet()
    add.clock()


def print_meanings(finder: Finder, results: Results, texts: Sequence[str]) -> None:
    """Say for which labels words were taken that are the name of none."""
    from oido.models.labels import label_text

    for text in texts:
        labels = finder.labels_of(text)
        if labels != (results.label_here(text),):
            named = joined(", ", map(label_text, labels))
            print_message(tr("{text}: no label here; taken for {labels}", text=text, labels=named))


def _run(args: argparse.Namespace) -> None:
    from oido.cli.progress import show_progress
    from oido.cli.tables import show_table
    from oido.writers.atomic import write_atomically
    from oido.writers.query_tables import write_table

    if not (args.like or args.like_event or args.text):
        raise OptionError(tr("say what is looked for: --like clip.wav, or --text owl"))
    format_name = table_format(args)
    # Parts are compared with the ledger as the index reads them; not all of them at each search.
    args.unchecked = True
    with open_results(args, prints_doubts=False) as results:
        from oido.results.find import Finder  # it needs what opening has found to be there

        with show_progress(tr("indexing"), args.quiet) as on_progress:
            finder = Finder(results, args.index, on_progress, args.model)
        if not args.quiet:
            print_meanings(finder, results, args.text)
        table = finder.find(
            args.like,
            args.unlike,
            events=args.like_event,
            texts=args.text,
            where=args.where,
            count=args.count,
            is_exact=args.exact,
        )
    if args.output is not None:
        with write_atomically(args.output, binary=format_name == "parquet") as file:
            write_table(table.to_reader(), format_name, file.stream, quoted=quotes_cells(args))
        if not args.quiet:
            print_message(
                tr("{num_rows} hits in {output}", num_rows=table.num_rows, output=args.output)
            )
    elif format_name == "table":
        show_table(table, every_column=False)
    else:
        use_utf8(newline="")
        stream = sys.stdout.buffer if format_name == "parquet" else data_output()
        write_table(table.to_reader(), format_name, stream, quoted=quotes_cells(args))
