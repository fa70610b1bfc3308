# SPDX-License-Identifier: Apache-2.0
"""``oido serve``: hear for a page in the browser, and for other programs, over the network."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import threading
import webbrowser
from typing import Any

from oido.errors import MissingExtraError, OptionError

__all__ = ["add_parser"]

_TOKEN_VARIABLE = "OIDO_SERVE_TOKEN"  # its name, not the token

_EPILOG = """\
examples:
  oido serve
  oido serve --demo
  oido serve --port 9000 --model yamnet/classification --model birds.tflite
  OIDO_SERVE_TOKEN=$(openssl rand -hex 16) oido serve --host 0.0.0.0
  curl -F file=@street.m4a http://127.0.0.1:8000/v1/classify
  curl --data-binary @street.m4a 'http://127.0.0.1:8000/v1/classify?level=clip&top=3'

Only programs on this machine reach it, unless --host says otherwise; then a token is needed. At /
is a page that listens and hears recordings; --demo opens it. The API is described at /docs and
/openapi.json. Nothing of an upload is kept. SIGTERM or Ctrl-C stops
it when the requests under way are answered; a second one at once.
"""

_EXTRA = ("starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")


def add_parser(commands: Any) -> None:
    """Add ``oido serve``."""
    parser = commands.add_parser(
        "serve",
        help="a page that hears, and HTTP and WebSocket for programs",
        description="Hear recordings and streams, for a page in the browser and for programs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        metavar="NAME-or-FILE",
        action="append",
        help="see `oido models` (repeat; the first is heard unless a request names another)",
    )
    parser.add_argument(
        "--precision",
        choices=("int8", "float32"),
        help="float32: a quantised YAMNet's weights with float activations (default: the file's)",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE.json",
        action="append",
        help="what `oido calibrate` made for one of the models: probabilities and thresholds "
        "(repeat)",
    )
    parser.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="where to listen (default 127.0.0.1)"
    )
    parser.add_argument(
        "--port", metavar="N", type=int, default=8000, help="default 8000; 0 is any free one"
    )
    parser.add_argument(
        "--token",
        metavar="TEXT",
        help=f"what clients must send as Authorization: Bearer TEXT; or in {_TOKEN_VARIABLE}, "
        "where other users of this machine do not see it",
    )
    parser.add_argument(
        "--certificate", metavar="FILE", help="serve https and wss by this certificate (PEM)"
    )
    parser.add_argument(
        "--key", metavar="FILE", help="its private key (default: in the certificate's file)"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="recordings heard at the same time, and threads for streams (default: one per core)",
    )
    parser.add_argument("--demo", action="store_true", help="open the page in the browser")
    parser.add_argument("--no-page", action="store_true", help="only the API, without the page")
    _add_limits(parser)
    parser.set_defaults(run=_run)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    group.add_argument("--max-body", metavar="MB", type=float, help="of one upload (default 105)")
    group.add_argument(
        "--max-duration", metavar="SECONDS", type=float, help="of one recording (default 3600)"
    )
    group.add_argument(
        "--max-time",
        metavar="SECONDS",
        type=float,
        help="that a worker may be busy with one recording (default 120)",
    )
    group.add_argument(
        "--max-streams", metavar="N", type=int, help="streams at the same time (default 64)"
    )


def _run(args: argparse.Namespace) -> int:
    if args.demo and args.no_page:
        raise OptionError("--demo opens the page, and --no-page leaves it out: give one of them")
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        raise MissingExtraError(f"oido serve needs {names}: pip install 'oido[server]'")
    from oido.cli.exit_codes import EXIT_OK
    from oido.cli.options import fetch_model
    from oido.server.app import create_app
    from oido.server.page import page_routes
    from oido.server.serve import serve
    from oido.server.settings import Limits, Settings

    wanted = {
        "body_bytes": None if args.max_body is None else int(args.max_body * 1e6),
        "duration_seconds": args.max_duration,
        "timeout_seconds": args.max_time,
        "streams": args.max_streams,
    }
    given = {
        "models": None if not args.model else tuple(fetch_model(name) for name in args.model),
        "precision": args.precision,
        "calibrations": tuple(args.calibration or ()) or None,
        "token": args.token or os.environ.get(_TOKEN_VARIABLE) or None,
        "workers": args.workers,
        "certificate": args.certificate,
        "key": args.key,
    }
    settings = Settings(
        host=args.host,
        port=args.port,
        limits=Limits(**{name: value for name, value in wanted.items() if value is not None}),
        **{name: value for name, value in given.items() if value is not None},
    )
    if not args.model:
        fetch_model(settings.models[0])

    def say(address: str) -> None:
        print(
            f"oido: hearing by {', '.join(settings.models)} at {address} (its API: {address}/docs)",
            file=sys.stderr,
            flush=True,
        )
        if args.demo:
            _open_page(address)

    pages = () if args.no_page else page_routes(settings)
    serve(create_app(settings, pages=pages), settings, say)
    return EXIT_OK


def _open_page(address: str) -> None:
    """Show the page, without waiting for the browser; where there is none, say where it is."""
    # An address that means all of them is none that a browser can open.
    page = address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:") + "/"

    def open_it() -> None:
        try:
            browser = webbrowser.get()
            # One of the terminal would take the terminal that the server is in.
            is_window = type(browser) is not webbrowser.GenericBrowser
            opened = is_window and browser.open(page)
        except webbrowser.Error:
            opened = False
        if not opened:
            print(
                f"oido: no browser could be opened; the page is at {page}",
                file=sys.stderr,
                flush=True,
            )

    threading.Thread(target=open_it, daemon=True).start()
