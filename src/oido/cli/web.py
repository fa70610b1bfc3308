# SPDX-License-Identifier: Apache-2.0
"""Write the page that hears inside the browser, for any web host.

examples:
  oido web export site
  oido web export site --model birds.tflite --model yamnet/classification
  oido web export site --locale es --url https://example.org/oido/
  python -m http.server -d site 8000       then open http://127.0.0.1:8000

The folder is the whole page. Any web host serves it, also from a subfolder; browsers give the
microphone to pages on https or localhost only. The model runs in the browser: no sound leaves the
device, and after the first visit no network is needed. A custom classifier of `oido train` brings
its calibration and its thresholds.

A page is made whole or not at all. A folder of an earlier export is replaced; one in which anything
was added or changed is not touched. An oido that was built without LiteRT.js fetches it first:
`python -m oido.server.vendor` (needs npm, of Node.js), or `make web` in the source.
"""

from __future__ import annotations

import argparse
from inspect import getdoc
from typing import Any

from oido.cli.arguments import add_command, local_path
from oido.cli.options import fetch_model
from oido.cli.terminal import print_line
from oido.messages import tr


def add_parser(commands: Any) -> None:
    """Add ``oido web``."""
    actions = add_command(commands, "web", None, __doc__).actions()
    examples = "".join((__doc__ or "").partition("examples:")[1:])
    add = add_command(actions, "export", _export, f"{getdoc(_export)}\n\n{examples}")
    add("folder FOLDER", "where to", type=local_path)
    add(
        "--model NAME-or-FILE",
        "a model to choose in the page, may be repeated; the first is the one that it opens "
        "with (default: yamnet/classification)",
        action="append",
    )
    add("--locale LOCALE", "en or es; default: the browser's")
    add("--url ADDRESS", "where the page will be, so that sites that show a link find its picture")


def _export(args: argparse.Namespace) -> None:
    """Write the page as static files.

    Write the page, and the models that it hears with, as static files.
    """
    from oido.models.loading import load_model
    from oido.models.registry import DEFAULT_MODEL
    from oido.server.page_files import export_page

    names = args.model or [DEFAULT_MODEL]
    models = [load_model(fetch_model(name)) for name in names]
    report = export_page(args.folder, models, locale=args.locale, url=args.url)
    print_line(
        tr(
            "{folder}: {files} files, {size_bytes:.1f} MB",
            folder=report.folder,
            files=report.files,
            size_bytes=report.size_bytes / 1e6,
        )
    )
    for name, size in report.models:
        print_line(tr("  hears with {name} ({size:.1f} MB)", name=name, size=size / 1e6))
    megabytes = report.first_visit_bytes / 1e6
    print_line(
        tr(
            "  a first visit: {megabytes:.1f} MB, where the host serves the .br and .gz files",
            megabytes=megabytes,
        )
    )
    print_line(tr("  try it: python -m http.server -d {folder} 8000", folder=report.folder))
