# SPDX-License-Identifier: Apache-2.0
"""Draw docs/street.svg: the waveform of examples/street.flac, and the events heard in it."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np

import oido
from oido.signal.decode import open_audio

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("Siren", "Beep, bleep", "Bell", "Rain", "Engine", "Speech")
WIDTH, WAVE, LANE, LEFT = 900, 90, 30, 120
COLOURS = ("#d1495b", "#edae49", "#66a182", "#2e86ab", "#8d6a9f", "#3d5a80")


def main() -> None:
    """Hear it and draw it."""
    path = ROOT / "examples" / "street.flac"
    with open_audio(path) as reader:
        rate = reader.info.sample_rate_hz
        samples = np.concatenate(list(reader.blocks()))[:, 0]
    result = oido.AudioClassifier(category_allowlist=SHOWN).classify(samples, sample_rate=rate)
    height = WAVE + LANE * len(SHOWN) + 34
    scale = (WIDTH - LEFT - 20) / result.duration

    def x(seconds: float) -> float:
        return round(LEFT + seconds * scale, 1)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fbfaf7"/>',
    ]
    columns = np.array_split(samples, 600)
    peaks = [float(np.abs(c).max()) for c in columns]
    middle = WAVE / 2 + 8
    path_up = " ".join(
        f"M{x(i * result.duration / 600)} {middle - p * 40:.1f}V{middle + p * 40:.1f}"
        for i, p in enumerate(peaks)
    )
    out.append(f'<path d="{path_up}" stroke="#59636e" stroke-width="0.9" fill="none"/>')
    for lane, (label, colour) in enumerate(zip(SHOWN, COLOURS)):
        y = WAVE + 14 + lane * LANE
        out.append(
            f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end" fill="#24292f">'
            f"{escape(label)}</text>"
            f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y + 12}" y2="{y + 12}" stroke="#e4e0d8"/>'
        )
        for event in result.events(threshold=0.4):
            if event.label == label:
                width = (event.end_time - event.start_time) * scale
                out.append(
                    f'<rect x="{x(event.start_time)}" y="{y + 2}" width="{width:.1f}" height="20" '
                    f'rx="4" fill="{colour}"/><text x="{x(event.start_time) + 6}" y="{y + 16.5}" '
                    f'fill="#fff" font-size="12">{event.score:.2f}</text>'
                )
    for second in range(0, int(result.duration) + 1, 5):
        out.append(
            f'<text x="{x(second)}" y="{height - 8}" fill="#59636e" font-size="11" '
            f'text-anchor="middle">{second} s</text>'
        )
    out.append("</svg>")
    (ROOT / "docs" / "street.svg").write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
