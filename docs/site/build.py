# SPDX-License-Identifier: Apache-2.0
"""Build the docs as a site: pages in both languages, search, docstrings; links and anchors checked.

``python docs/site/build.py [-o FOLDER]``, or ``make site``, which installs what it needs. What
comes out is files alone: any web host serves them, and a browser opens index.html without one.
Exit code 1 if the generator warns of anything, or a link of what it built leads nowhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import check
from pages import API, LANGUAGES, ROOT, SiteTree, api_page, navigation

HERE = Path(__file__).parent
_FIRST_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>oido</title>
<script>
location.replace((navigator.language.startsWith("es") ? "es" : "en") + "/index.html");
</script>
<p><a href="en/index.html">English</a> · <a href="es/index.html">Español</a></p>
"""
"""Leads to the reader's language; without scripts the reader chooses."""


def build(site: Path, scratch: Path) -> bool:
    """Build into a folder, by way of another for the pages; False if the generator warns."""
    pages = scratch / "site-pages"
    SiteTree(pages).write()
    for language in LANGUAGES:
        tree = pages / language
        (tree / API).write_text(api_page(), encoding="utf-8")
        (tree / "assets").mkdir()
        (tree / "assets" / "iframe-worker.js").write_bytes((HERE / "iframe-worker.js").read_bytes())
        if not _run_generator(tree, site / language, language):
            return False
    (site / "index.html").write_text(_FIRST_PAGE, encoding="utf-8")
    return True


def _run_generator(tree: Path, folder: Path, language: str) -> bool:
    config = {
        "INHERIT": str(HERE / "mkdocs.yml"),
        "docs_dir": str(tree.resolve()),
        "site_dir": str(folder.resolve()),
        "nav": navigation(language),
        "theme": {"language": language},
        "hooks": [str(HERE / "language_switch.py")],
        "plugins": {
            "mkdocstrings": {
                "handlers": {
                    "python": {
                        "paths": [str(ROOT / "src")],
                        "options": {"extensions": [str(HERE / "docstrings.py")]},
                    }
                }
            }
        },
    }
    path = tree.with_suffix(".yml")
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML, too
    # Not --quiet: what is not said does not count as a warning, and --strict would let it pass.
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(path)]
    # The theme's advertisement of another generator; the bounds in pyproject.toml keep to this one.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    wrong = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    if done.returncode != 0:
        print(*wrong, sep="\n", file=sys.stderr)
    return done.returncode == 0


def main() -> int:
    """Build, and check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "build" / "site", metavar="FOLDER"
    )
    args = parser.parse_args()
    scratch = ROOT / "build"
    scratch.mkdir(exist_ok=True)
    if not build(args.output, scratch):
        return 1
    found = list(check.problems(args.output))
    print(*found, sep="\n", file=sys.stderr, end="\n" if found else "")
    n_pages = len(list(args.output.rglob("*.html")))
    print(f"{args.output / 'index.html'}: {n_pages} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
