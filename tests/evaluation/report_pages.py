# SPDX-License-Identifier: Apache-2.0
"""A page as a parser sees it, and reports full of what strangers may write."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from oido.datasets.clip import Clip, LeftOut
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.report import Report
from oido.evaluation.verdict import CurvePoint
from tests.evaluation.made_predictions import random_judged

__all__ = ["HOSTILE", "Page", "full_report", "hostile_clips"]

HOSTILE = ('<script>alert("x")</script>', "\"><img src=x onerror='1'>", "</style></title>&amp;")


VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """What is in a page; every element must be closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, text: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(text)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for element, attributes in self.elements if element == name]


def full_report(clips: ClipPredictions) -> Report:
    return Report.of(
        clips,
        title=HOSTILE[0],
        baselines=[(HOSTILE[1], 0.4, 0.3), ("majority", 0.2)],
        learning_curve=[CurvePoint(5, 0.5, 0.1), CurvePoint(10, 0.7, 0.1)],
        facts={HOSTILE[2]: HOSTILE[0], "seed": 3},
        parity=0.001,
        left_out=[LeftOut(HOSTILE[1], HOSTILE[0])],
        notes=[HOSTILE[2]],
    )


def hostile_clips() -> ClipPredictions:
    clips = random_judged(40, 3)
    paths = tuple(Clip(f"{HOSTILE[1]}{n}.wav", group=str(n)) for n in range(40))
    return replace(clips, classes=HOSTILE, clips=paths)
