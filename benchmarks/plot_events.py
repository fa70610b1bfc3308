# SPDX-License-Identifier: Apache-2.0
"""Scores, level and events of recordings on one picture, to judge the edges by eye.

    python benchmarks/plot_events.py examples/street.flac -o docs/events.svg
    python benchmarks/plot_events.py ../shared/audio/everyday/*/*/*.wav -o .bench/plots/

For each recording: its level in 20 ms with the stretches that stand out of the background, the
framewise scores of the labels in its list of events, and the events as bars below.
"""

from __future__ import annotations

import argparse
from html import escape
from pathlib import Path

import numpy as np

import oido
from oido.events.stretches import StretchFinder
from oido.params import LEVELS_PER_SECOND
from oido.signal.decode import open_audio
from oido.signal.level import LevelMeter
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler

WIDTH, LEFT, TOP = 960, 180, 30
LEVEL_HEIGHT, SCORE_HEIGHT, ROW_HEIGHT = 110, 26, 18
COLOURS = ("#1b6ca8", "#c8553d", "#2a7f62", "#8a5a9e", "#b08900", "#5b6770")
QUIETEST_DB = -90.0


def levels_of(path: Path) -> np.ndarray:
    """dB of every 20 ms at 16 kHz."""
    with open_audio(path) as reader:
        resampler = Resampler(reader.info.sample_rate_hz, 16_000)
        blocks = [resampler.push(block) for block in mono_blocks(reader, "mix")]
        blocks.append(resampler.flush())
    return np.asarray(LevelMeter(16_000).push(np.concatenate(blocks)))


def line(points: list[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{path}"/>'


def rectangle(x: float, y: float, width: float, height: float, colour: str, more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}" {more}/>'


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def picture(result: oido.ClassificationResult, levels: np.ndarray, name: str) -> str:
    events = result.events()
    labels = list(dict.fromkeys(event.label for event in events))[: len(COLOURS)]
    scale = (WIDTH - LEFT - 20) / result.duration
    finder = StretchFinder()
    finder.push(levels)
    finder.flush()
    scores_top = TOP + LEVEL_HEIGHT + 12
    events_top = scores_top + SCORE_HEIGHT * len(labels) + 12
    height = events_top + ROW_HEIGHT * len(events) + 34
    parts = [text(10, 18, name, 'font-weight="600"')]
    for stretch in finder.closed:
        first, end = stretch.first / LEVELS_PER_SECOND, stretch.end / LEVELS_PER_SECOND
        x, width = LEFT + first * scale, (end - first) * scale
        parts.append(rectangle(x, TOP, width, height - TOP - 30, "#e8eef3"))
    y = TOP + LEVEL_HEIGHT * (levels / QUIETEST_DB)
    x = LEFT + (np.arange(len(levels)) + 0.5) / LEVELS_PER_SECOND * scale
    parts.append(line(list(zip(x.tolist(), y.tolist())), "#5b6770"))
    parts.append(text(10, TOP + 14, "level, dB"))
    parts.append(text(10, TOP + 30, f"0 to {QUIETEST_DB:g}", 'fill="#777"'))
    middles = LEFT + result.frame_times.mean(axis=1) * scale
    for number, label in enumerate(labels):
        base = scores_top + SCORE_HEIGHT * (number + 1)
        values = result.framewise_scores[:, result.labels.index(label)]
        curve = base - (SCORE_HEIGHT - 5) * values
        parts.append(line(list(zip(middles.tolist(), curve.tolist())), COLOURS[number]))
        parts.append(text(10, base - 6, label[:26], f'fill="{COLOURS[number]}"'))
    for number, event in enumerate(events):
        y_row = events_top + ROW_HEIGHT * number
        colour = COLOURS[labels.index(event.label)] if event.label in labels else "#999"
        start, width = event.start_time * scale, (event.end_time - event.start_time) * scale
        parts.append(rectangle(LEFT + start, y_row, width, ROW_HEIGHT - 6, colour, 'rx="3"'))
        also = f" (also {', '.join(event.also)})" if event.also else ""
        words = f"{event.label} {event.score:.2f}{also}"
        is_late = event.start_time > 0.6 * result.duration
        place = LEFT + start - 6 if is_late else LEFT + start + width + 6
        anchor = ' text-anchor="end"' if is_late else ""
        parts.append(text(place, y_row + 10, words, f'font-size="11"{anchor}'))
    step = next(s for s in (0.5, 1, 2, 5, 10, 30, 60, 600, 3600) if result.duration / s <= 16)
    for tick in np.arange(0, result.duration + 1e-9, step):
        parts.append(text(LEFT + tick * scale, height - 10, f"{tick:g} s", 'fill="#777"'))
    style = 'font-family="system-ui, sans-serif" font-size="12" fill="#222"'
    box = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    body = "\n".join(parts)
    background = rectangle(0, 0, WIDTH, height, "#fff")
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {style}>\n{background}\n{body}\n</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="FILE.svg or a folder")
    parser.add_argument("--model", default="yamnet/classification")
    args = parser.parse_args()
    classifier = oido.AudioClassifier(args.model)
    for path in args.recordings:
        output = args.output
        if output.suffix != ".svg":
            output.mkdir(parents=True, exist_ok=True)
            output = output / f"{path.stem}.svg"
        svg = picture(classifier.classify(path), levels_of(path), path.name)
        output.write_text(svg, encoding="utf-8")
        print(output)


if __name__ == "__main__":
    main()
