# SPDX-License-Identifier: Apache-2.0
"""Makes the page's one font: Atkinson Hyperlegible Next, cut to its needs, with its signs.

    python docs/make_font.py FILE

FILE is the variable font of the weights, upright and Latin (woff2; npm's package
@fontsource-variable/atkinson-hyperlegible-next has it). Kept are the letters of western European
languages, what the page's texts use, and the weights from 400 to 700. The signs of the families of
sounds, and a few more, are drawn here: so they look the same on every device, and are no emoji.
Needs fonttools with brotli.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

WEB = Path(__file__).resolve().parents[1] / "src/oido/web"
FONT = WEB / "fonts/atkinson-hyperlegible-next.woff2"
WEIGHTS = (400, 700)
LATIN = {*range(0x20, 0x7F), *range(0xA0, 0x100), *map(ord, "–—‘’“”…−")}

Points = Sequence[tuple[float, float]]
"""A contour, in a square of side 100 whose lower edge is the line of writing; holes turn back."""


def arc(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Points:
    """Points of an ellipse, from one angle to another, in degrees."""
    n = max(2, round(abs(end - start) / 20))
    is_open = abs(end - start) < 360
    angles = [math.radians(start + (end - start) * k / n) for k in range(n + is_open)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def disc(x: float, y: float, r: float) -> Points:
    return arc(x, y, r, r, 360, 0)


def wave(y: float) -> Points:
    """A band that swings once."""
    xs = [4 + 92 * k / 18 for k in range(19)]
    middle = [y + 9 * math.sin((x - 4) / 92 * 2 * math.pi) for x in xs]
    upper = [(x, m + 7) for x, m in zip(xs, middle)]
    return [*upper, *((x, m - 7) for x, m in reversed([*zip(xs, middle)]))]


SIGNS: dict[str, list[Points]] = {
    "☺": [disc(50, 66, 20), [(8, 0), *arc(50, 0, 42, 40, 180, 0), (92, 0)]],  # a person
    "❦": [  # a paw
        *(disc(x, y, 11) for x, y in [(16, 46), (38, 68), (62, 68), (84, 46)]),
        arc(50, 20, 28, 24, 360, 0),
    ],
    "♪": [  # a note
        arc(32, 12, 22, 16, 360, 0),
        [(42, 10), (42, 88), (54, 88), (54, 10)],
        [(54, 88), (88, 66), (84, 44), (54, 66)],
    ],
    "➤": [  # a car
        [(4, 18), (4, 44), (22, 48), (34, 72), (68, 72), (82, 48), (96, 44), (96, 18)],
        disc(26, 16, 14),
        disc(74, 16, 14),
        [(38, 62), (30, 48), (48, 48), (48, 62)],
        [(54, 62), (54, 48), (72, 48), (64, 62)],
    ],
    "▲": [  # look out
        [(50, 88), (98, 0), (2, 0)],
        [(44, 60), (46, 28), (54, 28), (56, 60)],
        [*reversed(disc(50, 15, 6))],
    ],
    "⌂": [  # a house
        [(50, 88), (100, 44), (86, 44), (86, 0), (14, 0), (14, 44), (0, 44)],
        [(40, 0), (60, 0), (60, 30), (40, 30)],
    ],
    "≈": [wave(24), wave(56)],
    "•": [disc(50, 38, 22)],
    "✓": [[(6, 40), (20, 52), (40, 30), (82, 84), (96, 72), (42, 4)]],
    "✗": [[(10, 70), (24, 84), (90, 14), (76, 0)], [(76, 84), (90, 70), (24, 0), (10, 14)]],
    "✎": [[(4, 0), (10, 26), (66, 82), (86, 62), (30, 6)]],
    "▸": [[(18, 80), (86, 40), (18, 0)]],
}


def add_signs(font: TTFont) -> None:
    """Draws the signs, as high as a capital."""
    scale = font["OS/2"].sCapHeight / 88
    gap = round(6 * scale)
    for sign, contours in SIGNS.items():
        name = f"uni{ord(sign):04X}"
        pen = TTGlyphPen(None)
        for points in contours:
            first, *rest = [(round(gap + x * scale), round(y * scale)) for x, y in points]
            pen.moveTo(first)
            for point in rest:
                pen.lineTo(point)
            pen.closePath()
        font["glyf"][name] = pen.glyph()
        font["hmtx"][name] = (round(100 * scale) + 2 * gap, gap)
        font["gvar"].variations[name] = []
        for table in font["cmap"].tables:
            if table.isUnicode():
                table.cmap[ord(sign)] = name
    font.setGlyphOrder(font["glyf"].glyphOrder)
    del font["HVAR"]  # it counts glyphs; the widths of the others are in gvar, too


def main(source: Path) -> None:
    font = TTFont(source)
    instantiateVariableFont(font, {"wght": WEIGHTS}, inplace=True)
    options = Options()
    options.layout_features = ["kern", "mark", "mkmk", "ccmp", "tnum", "locl"]
    options.hinting = False
    options.name_IDs = ["*"]  # its names, and the licence in them, stay
    texts = {ord(sign) for sign in (WEB / "ui/words.js").read_text("utf-8") if sign > " "}
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=sorted(LATIN | texts))
    subsetter.subset(font)
    add_signs(font)
    font.flavor = "woff2"
    font.save(FONT)
    print(f"{FONT.name}: {FONT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
