# SPDX-License-Identifier: Apache-2.0
"""Draws the icons of the page: a ring, the o of oido, and the sound that reaches it.

    python docs/make_icons.py [--check]

Writes icon.svg, and PNGs of it: with round corners, and, for phones that cut icons into a shape of
their own (maskable) or round them themselves (Apple), filled to the edge; and card.png, which other
sites show beside a link to the page. --check writes nothing, and fails if a file differs.
"""

from __future__ import annotations

import math
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / "src/oido/web/icons"

# In a square of side 1; the drawing keeps to the circle of 0.4 that every mask leaves.
BACK, RING, WAVE = (0x10, 0x15, 0x1C), (0xF4, 0xF1, 0xEA), (0x35, 0xC2, 0xA6)
CENTRE = (0.42, 0.5)
RING_RADIUS, STROKE = 0.16, 0.062
WAVE_RADII, WAVE_ANGLE = (0.275, 0.38), math.radians(42)
CORNER = 0.22
SAMPLES = 4  # per side of a pixel
CARD_WIDTH, CARD_HEIGHT = 1200, 630
CARD_RADII = tuple(0.275 + 0.105 * n for n in range(9))

Mask = NDArray[np.bool_]


def picture(size: int, rounded: bool) -> NDArray[np.uint8]:
    """u8[size, size, 4], RGBA."""
    side = (np.arange(size * SAMPLES) + 0.5) / (size * SAMPLES)
    x, y = np.meshgrid(side, side)
    colours = np.zeros((*x.shape, 4))
    colours[_square(x, y) if rounded else np.ones_like(x, bool)] = (*BACK, 255)
    colours[_arc(x, y, RING_RADIUS, math.pi)] = (*RING, 255)
    for radius in WAVE_RADII:
        colours[_arc(x, y, radius, WAVE_ANGLE)] = (*WAVE, 255)
    cells = colours.reshape(size, SAMPLES, size, SAMPLES, 4)
    alpha = cells[..., 3:].sum(axis=(1, 3))
    # Of pixels at the edge, colour is the mean of what is there.
    mean = (cells[..., :3] * cells[..., 3:]).sum(axis=(1, 3)) / np.maximum(alpha, 1)
    return np.concatenate([mean, alpha / SAMPLES**2], axis=2).round().astype(np.uint8)


def card() -> NDArray[np.uint8]:
    """u8[630, 1200, 4]: the same drawing, whose waves go on over the whole picture."""
    height, width = 2 * CARD_HEIGHT, 2 * CARD_WIDTH  # two samples a side are enough at this size
    y, x = np.mgrid[0:height, 0:width] / height
    x -= 0.2
    colours = np.zeros((height, width, 3))
    colours[:] = BACK
    colours[_arc(x, y, RING_RADIUS, math.pi)] = RING
    for number, radius in enumerate(CARD_RADII):
        share = 1 - number / len(CARD_RADII)  # quieter, the farther
        shade = [share * wave + (1 - share) * back for wave, back in zip(WAVE, BACK)]
        colours[_arc(x, y, radius, WAVE_ANGLE)] = shade
    mean = colours.reshape(CARD_HEIGHT, 2, CARD_WIDTH, 2, 3).mean(axis=(1, 3))
    solid = np.full((CARD_HEIGHT, CARD_WIDTH, 1), 255.0)
    return np.concatenate([mean, solid], axis=2).round().astype(np.uint8)


def _arc(x: NDArray[np.float64], y: NDArray[np.float64], radius: float, angle: float) -> Mask:
    """Points within half a stroke of an arc to the right, so far up and down, with round ends."""
    dx, dy = x - CENTRE[0], y - CENTRE[1]
    from_centre = np.hypot(dx, dy)
    on_arc = dx >= from_centre * math.cos(angle)
    distance = np.abs(from_centre - radius)
    end_x, end_y = radius * math.cos(angle), radius * math.sin(angle)
    ends = np.hypot(dx - end_x, np.abs(dy) - end_y)
    return np.where(on_arc, distance, ends) <= STROKE / 2


def _square(x: NDArray[np.float64], y: NDArray[np.float64]) -> Mask:
    beyond = [np.maximum(np.abs(side - 0.5) - (0.5 - CORNER), 0) for side in (x, y)]
    return np.hypot(*beyond) <= CORNER


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG (ISO/IEC 15948) of u8[h, w, 4]."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def svg() -> str:
    """The same drawing, in units of a hundredth."""

    def colour(rgb: tuple[int, int, int]) -> str:
        return "#{:02x}{:02x}{:02x}".format(*rgb)

    def arc(radius: float) -> str:
        x = 100 * (CENTRE[0] + radius * math.cos(WAVE_ANGLE))
        y = 100 * radius * math.sin(WAVE_ANGLE)
        r, middle = 100 * radius, 100 * CENTRE[1]
        return f"M{x:.2f} {middle - y:.2f}A{r:g} {r:g} 0 0 1 {x:.2f} {middle + y:.2f}"

    waves = "".join(arc(radius) for radius in WAVE_RADII)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        f'<rect width="100" height="100" rx="{100 * CORNER:g}" fill="{colour(BACK)}"/>'
        f'<g fill="none" stroke-width="{100 * STROKE:g}" stroke-linecap="round">'
        f'<circle cx="{100 * CENTRE[0]:g}" cy="{100 * CENTRE[1]:g}" r="{100 * RING_RADIUS:g}" '
        f'stroke="{colour(RING)}"/><path d="{waves}" stroke="{colour(WAVE)}"/></g></svg>\n'
    )


def icons() -> dict[str, bytes]:
    """All icons, by file name."""
    return {
        "icon.svg": svg().encode(),
        "icon-192.png": png(picture(192, rounded=True)),
        "icon-512.png": png(picture(512, rounded=True)),
        "maskable-512.png": png(picture(512, rounded=False)),
        "apple-touch-icon.png": png(picture(180, rounded=False)),
        "card.png": png(card()),
    }


def _pixels(content: bytes) -> bytes:
    """What a file shows: zlib's versions compress the same pixels to other bytes."""
    start = content.find(b"IDAT")
    if not content.startswith(b"\x89PNG") or start < 0:
        return content
    (size,) = struct.unpack(">I", content[start - 4 : start])
    return content[: start - 4] + zlib.decompress(content[start + 4 : start + 4 + size])


def main(check: bool) -> int:
    differing = []
    for name, content in icons().items():
        path = FOLDER / name
        if not check:
            path.write_bytes(content)
        elif not path.is_file() or _pixels(path.read_bytes()) != _pixels(content):
            differing.append(name)
    if differing:
        print(f"differ: {', '.join(differing)}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
