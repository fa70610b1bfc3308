# SPDX-License-Identifier: Apache-2.0
"""A page that plays an archive's places one after the other; yes or no, by keys.

examples:
  oido review results/ --label Owl                    500 events, sampled over all scores
  oido review results/ --label Owl --choose uncertain     nearest to the threshold
  oido review results/ --choose novel                 what is like nothing else in the archive
  oido review results/ --from hits.csv --label owl    what `oido find` found
  oido review results/ --where "hour(start_at) < 6" --by Ana --project night.db
  oido review results/ --learn owl --like owl.wav@3-5 -o owl.tflite    it learns what to ask
  OIDO_SERVE_TOKEN=$(openssl rand -hex 16) oido review results/ --label Owl --host 0.0.0.0

The page opens in the browser, for this machine alone. Y is yes, N no, U unsure, 1 to 9 are other
labels, J and K go on and back, Z takes the last answer back, space plays again, and the arrows show
what is before and behind. Each answer is in the project (a label store, as of `oido labels`) at
once, with who gave it, when, and what found the place; what is answered does not come again, also
not in the next review. `oido count --reviewed project.db` reads it, and `oido train` what
`oido labels export` makes of it. With --host, others review with you: the page asks for the token
and for a name. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import getpass
import importlib.util
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oido.cli.arguments import add_command, local_path
from oido.cli.browser import open_page
from oido.cli.find import print_meanings
from oido.cli.options import open_results, require_suffix, require_writable
from oido.cli.serve import TOKEN_VARIABLE, token_of
from oido.cli.terminal import print_message
from oido.errors import MissingExtraError, OptionError
from oido.messages import tr

if TYPE_CHECKING:
    from oido.results import Results
    from oido.review.queues import ItemSource
    from oido.review.session import ReviewSession
    from oido.search.label_store import LabelStore

_EXTRA = ("starlette", "uvicorn", "websockets")
_KEYS = 9


def add_parser(commands: Any) -> None:
    """Add ``oido review``."""
    add = add_command(commands, "review", _run, __doc__)
    add.results()
    add(
        "--project FILE.db",
        "where the answers go, made if there is none (default project.db)",
        type=local_path,
        default=Path("project.db"),
    )
    add("--by NAME", "who answers (default: the user's name; with --host, the page asks)")
    add_asked = add.group("what is asked")
    add_asked("--label LABEL", "places of this label; with --from, what the rows are asked to be")
    add_asked("--where CONDITION", "only places for which this is true, in SQL")
    add_asked(
        "--from FILE.csv",
        "rows that `oido find` or `oido query` wrote",
        type=local_path,
        dest="table",
    )
    add_asked(
        "--choose HOW",
        "stratified: from each tenth of the scores (default); top: the best; random; uncertain: "
        "nearest to the threshold; novel: least like the rest of the archive",
        choices=("stratified", "top", "random", "uncertain", "novel"),
    )
    add_asked(
        "--threshold SCORE", "what uncertain is near to (default: the archive's own)", type=float
    )
    add_asked(
        "--learn LABEL",
        "learn this sound from the answers, in any word of yours, and ask what teaches most",
    )
    add_asked(
        "--like AUDIO[@START-END]",
        "with --learn: an example to begin with, as of `oido find` (repeat)",
        action="append",
        default=[],
    )
    add_asked(
        "--text WORDS",
        "with --learn: begin with the archive's best windows of a label, as of `oido find` "
        "(default: of the one that is learnt)",
        action="append",
        default=[],
    )
    add_asked(
        "--not AUDIO[@START-END]",
        "with --learn: an example of what it is not (repeat)",
        action="append",
        default=[],
        dest="unlike",
    )
    add_asked("--count N", "how many places at most (default 500)", type=int, default=500)
    add_asked.options("seed", help="another choice of them (default 0)")
    add_asked(
        "--other LABEL",
        "what the keys 1 to 9 mean, in turn (repeat; default: the archive's most frequent labels)",
        action="append",
        default=[],
    )
    add_asked(
        "--opinions N",
        "how many people are asked about each place (default 1)",
        type=int,
        default=1,
    )
    add_asked(
        "--index FOLDER",
        "of novel and --learn: where the index is kept (default: search-index in the archive)",
        type=local_path,
    )
    add_asked.embedding_model()
    add_served = add.group("where it is served")
    add_served("--host ADDRESS", "where to listen (default 127.0.0.1)", default="127.0.0.1")
    add_served("--port N", "default 8001; 0 is any free one", type=int, default=8001)
    add_served(
        "--token TEXT",
        f"what everybody must know who reviews; or in {TOKEN_VARIABLE}, where other users of this "
        "machine do not see it",
    )
    add_served("--certificate FILE", "serve https by this certificate (PEM)")
    add_served("--key FILE", "its private key (default: in the certificate's file)")
    add_served("--no-browser", "only print the address")
    add_output = add.group("output")
    add_output(
        "-o, --output FILE.tflite",
        "with --learn: where the page writes what was learnt (default LABEL.tflite)",
        type=local_path,
    )
    add_output.quiet("errors only")
    add.clock()
    add.rare("seed", "index", "model", "opinions", "certificate", "key")


def _run(args: argparse.Namespace) -> None:
    _require_sense(args)
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            tr(
                "oido review needs {names}: pip install 'oido[server,archive]'",
                names=", ".join(missing),
            )
        )
    token = token_of(args)
    with open_results(args, prints_doubts=False) as results:
        if args.learn is not None or args.choose == "novel":
            _index(args, results)
        from oido.review.app import create_review_app
        from oido.search.label_store import LabelStore
        from oido.server.serve import serve
        from oido.server.settings import Settings

        settings = Settings(
            host=args.host, port=args.port, token=token, certificate=args.certificate, key=args.key
        )

        def open_session() -> ReviewSession:
            is_new = not args.project.exists()
            store = LabelStore(args.project)
            try:
                return _session(args, results, store, is_shared=token is not None)
            except BaseException:
                is_new = is_new and not store.history()
                store.close()
                if is_new:  # what asks nothing leaves nothing
                    args.project.unlink(missing_ok=True)
                raise

        app = create_review_app(open_session, settings)

        def on_started(address: str) -> None:
            if not args.quiet:
                print_message(
                    tr(
                        "review at {address}; answers are stored in {project}",
                        address=address,
                        project=args.project,
                    )
                )
            if not args.no_browser:
                open_page(address)

        serve(app, settings, on_started)


def _index(args: argparse.Namespace, results: Results) -> None:
    """Bring the index up to date: here, where it shows how far it is and can be ended."""
    from oido.cli.progress import show_progress
    from oido.results.find import Finder

    with show_progress(tr("indexing"), args.quiet) as on_progress:
        finder = Finder(results, args.index, on_progress)
    if not args.quiet:
        print_meanings(finder, results, args.text)


def _require_sense(args: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is opened. Raises OptionError."""
    if args.table is not None and (args.where is not None or args.choose is not None):
        raise OptionError(tr("--from says which places: leave out --where and --choose"))
    if args.learn is not None:
        named = {"--label": args.label, "--where": args.where, "--from": args.table}
        wrong = [name for name, value in {**named, "--choose": args.choose}.items() if value]
        if wrong:
            raise OptionError(
                tr("--learn chooses by itself what to ask: leave out {names}", names=wrong[0])
            )
        args.output = args.output or Path(f"{_file_name(args.learn)}.tflite")
        require_suffix("-o", args.output, ".tflite")
        require_writable(args.output)
    elif args.output is not None:
        raise OptionError(tr("-o is where something learnt goes: give --learn LABEL, too"))
    elif args.like or args.unlike or args.text:
        raise OptionError(tr("--like, --not and --text are where --learn LABEL begins: add that"))
    if args.threshold is not None and args.choose != "uncertain":
        raise OptionError(tr("--threshold goes with --choose uncertain"))
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise OptionError(
            tr("--threshold is from 0 to 1, not {threshold:g}", threshold=args.threshold)
        )
    require_writable(args.project)


def _file_name(label: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in label) or "learnt"


def _session(
    args: argparse.Namespace, results: Results, store: LabelStore, *, is_shared: bool
) -> ReviewSession:
    from oido.review.queues import QueueChoice, frequent_labels, make_queue
    from oido.review.session import ReviewSession, ReviewSettings

    others = [results.label_here(label) for label in args.other]
    label = args.label
    if args.learn is not None:
        source: ItemSource = _learning(results, store, args)
        label, choice, query = args.learn, "learned", f"oido review --learn {args.learn!r}"
    else:
        wanted = QueueChoice(
            None if label is None else results.label_here(label),
            args.where,
            args.table,
            args.choose or "stratified",
            args.count,
            args.seed,
            args.threshold,
            args.index,
        )
        label, choice, query = wanted.label, wanted.name, wanted.query
        source = make_queue(results, wanted)
    if not others:
        frequent = frequent_labels(results, _KEYS + 1)
        others = [name for name in frequent if name != label][:_KEYS]
    settings = ReviewSettings(
        choice=choice,
        query=query,
        model=str(results.header["model"]["name"]),
        label=label,
        others=tuple(others),
        by=args.by or (None if is_shared else _user()),
        opinions=args.opinions,
        export=args.output,
    )
    return ReviewSession(results, store, source, settings)


def _learning(results: Results, store: LabelStore, args: argparse.Namespace) -> ItemSource:
    # By its name: a review that learns nothing goes without all that fits a head.
    learning = import_module("oido.review.learning")
    loop = learning.LearningLoop(
        results,
        store,
        args.learn,
        like=args.like,
        unlike=args.unlike,
        texts=args.text,
        index=args.index,
        model=args.model,
        seed=args.seed,
    )
    # What will be in the way is said before anybody waits, or answers.
    loop.candidates(1)
    loop.require_writable()
    source: ItemSource = loop
    return source


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name, as in containers
        return "reviewer"
