# SPDX-License-Identifier: Apache-2.0
"""A page that hears, and HTTP and WebSocket for programs.

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
it when the requests under way are answered, at the latest after 30 s; a second one at once.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from typing import Any

from oido.cli.arguments import above_zero, add_command
from oido.cli.browser import open_page
from oido.cli.options import fetch_model
from oido.cli.terminal import print_message
from oido.errors import MissingExtraError, OptionError
from oido.messages import tr

TOKEN_VARIABLE = "OIDO_SERVE_TOKEN"  # its name, not the token

_EXTRA = ("starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")


def add_parser(commands: Any) -> None:
    """Add ``oido serve``."""
    add = add_command(commands, "serve", _run, __doc__)
    add(
        "--model NAME-or-FILE",
        "see `oido models` (repeat; the first is heard unless a request names another)",
        action="append",
    )
    add.options("precision")
    add(
        "--calibration FILE.json",
        "what `oido calibrate` made for one of the models: probabilities and thresholds (repeat)",
        action="append",
    )
    add(
        "--labels-file FILE",
        "labels in another language, one a line (Latin_Common where the model's own are): rows "
        "have them (repeat for another model)",
        action="append",
    )
    add("--host ADDRESS", "where to listen (default 127.0.0.1)", default="127.0.0.1")
    add("--port N", "default 8000; 0 is any free one", type=int, default=8000)
    add(
        "--token TEXT",
        f"what clients must send as Authorization: Bearer TEXT; or in {TOKEN_VARIABLE}, "
        "where other users of this machine do not see it",
    )
    add("--certificate FILE", "serve https and wss by this certificate (PEM)")
    add("--key FILE", "its private key (default: in the certificate's file)")
    add(
        "--workers N",
        "recordings heard at the same time, and threads for streams (default: one per core)",
        type=int,
    )
    add("--demo", "open the page in the browser")
    add("--no-page", "only the API, without the page")
    add = add.group("limits")
    add("--max-body MB", "of one upload (default 105)", type=above_zero)
    add(
        "--max-upload SECONDS",
        "from an upload's first byte to its last (default 120)",
        type=above_zero,
    )
    add("--max-duration SECONDS", "of one recording (default 3600)", type=above_zero)
    add(
        "--max-time SECONDS",
        "that a worker may be busy with one recording (default 120)",
        type=above_zero,
    )
    add("--max-streams N", "streams at the same time (default 64)", type=int)
    add(
        "--max-connections N",
        "of one client address, beside as many as there are streams (default 256)",
        type=int,
    )
    add.rare("max_body", "max_upload", "max_duration", "max_time", "max_streams", "max_connections")


def token_of(args: argparse.Namespace) -> str | None:
    """What clients must send, by option or environment; None: nothing. Raises OptionError."""
    if args.token == "":  # such as of a variable that is not set: nobody wants an open server so
        raise OptionError(tr("--token is empty; leave it out for a server without a token"))
    return args.token or os.environ.get(TOKEN_VARIABLE) or None


def _run(args: argparse.Namespace) -> None:
    if args.demo and args.no_page:
        raise OptionError(
            tr("--demo opens the page, and --no-page leaves it out: give one of them")
        )
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        raise MissingExtraError(
            tr("oido serve needs {names}: pip install 'oido[server]'", names=names)
        )
    from oido.server.app import create_app
    from oido.server.page import page_routes
    from oido.server.serve import serve
    from oido.server.settings import Limits, Settings

    limits = {
        "body_bytes": None if args.max_body is None else int(args.max_body * 1e6),
        "upload_seconds": args.max_upload,
        "duration_seconds": args.max_duration,
        "timeout_seconds": args.max_time,
        "streams": args.max_streams,
        "address_connections": args.max_connections,
    }
    facts = {
        "models": None if not args.model else tuple(fetch_model(name) for name in args.model),
        "precision": args.precision,
        "calibrations": tuple(args.calibration or ()) or None,
        "labels_files": tuple(args.labels_file or ()) or None,
        "token": token_of(args),
        "workers": args.workers,
        "certificate": args.certificate,
        "key": args.key,
    }
    settings = Settings(
        host=args.host,
        port=args.port,
        limits=Limits(**{name: value for name, value in limits.items() if value is not None}),
        **{name: value for name, value in facts.items() if value is not None},
    )
    if not args.model:
        fetch_model(settings.models[0])

    def on_started(address: str) -> None:
        models = ", ".join(settings.models)
        print_message(
            tr(
                "hearing by {models} at {address} (its API: {address}/docs)",
                models=models,
                address=address,
            )
        )
        if args.demo:
            open_page(address)

    pages = () if args.no_page else page_routes(settings)
    serve(create_app(settings, pages=pages), settings, on_started)
