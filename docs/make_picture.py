# SPDX-License-Identifier: Apache-2.0
"""Draw docs/terminal.svg: what the first command of the README prints."""

from __future__ import annotations

import subprocess
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "oido classify examples/street.flac --threshold 0.4"
WIDTH, LINE, MARGIN = 760, 21, 22


def main() -> None:
    """Run it and draw it."""
    words = [sys.executable, "-m", *COMMAND.split()]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [f"$ {COMMAND}", *done.stdout.splitlines()]
    height = 2 * MARGIN + LINE * len(lines)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#1d2430"/>',
    ]
    for number, line in enumerate(lines):
        colour = "#8fd3a8" if number == 0 else "#8b98a9" if number == 1 else "#e6e9ee"
        y = MARGIN + LINE * number + 15
        out.append(
            f'<text x="{MARGIN}" y="{y}" fill="{colour}" xml:space="preserve">{escape(line)}</text>'
        )
    out.append("</svg>")
    (ROOT / "docs" / "terminal.svg").write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
