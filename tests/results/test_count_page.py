# SPDX-License-Identifier: Apache-2.0
"""What a count says, in one number or many, in two languages, and as a page."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from oido.evaluation.prevalence import count_true
from oido.messages import in_language, shown
from oido.results.count_page import count_page, count_sentences, count_warnings
from oido.results.counting import EventCount


def counted(n: int = 40, reviewed: int = 20, sites: int = 2, label: str = "Owl") -> EventCount:
    scores = np.linspace(0.05, 0.95, n)
    keys = [(f"s{k % sites}",) for k in range(n)]
    numbers = np.arange(0, n, max(1, n // reviewed))[:reviewed]
    found = count_true(scores, keys, numbers, scores[numbers] > 0.5)
    events = {key: keys.count(key) for key in dict.fromkeys(keys)}
    hours = dict.fromkeys(events, 2.0) | {(): 2.0 * len(events)}
    return EventCount(label, ("site",), found, events, hours, 0, ())


def test_one_review_is_one_review() -> None:
    one, many = (list(count_sentences(counted(reviewed=r)))[1] for r in (1, 20))
    assert one.startswith("from 1 review; ")
    assert many.startswith("from 20 reviews; ")
    assert "of 1 event is true" in next(count_sentences(counted(1, 1, 1)))
    with in_language("es"):
        assert shown(one).startswith("de 1 revisión; ")
        assert shown(many).startswith("de 20 revisiones; ")


def test_windows_are_called_so() -> None:
    windows = replace(counted(), unit="windows", confirmed=1)
    texts = list(count_sentences(windows))
    assert "of 40 windows hold it" in texts[0]
    assert texts[2] == "by site: of 2, 1 have a reviewed window that holds it"
    warned = replace(windows, unreviewed=(("s1",),), unlike=("s1",))
    warnings = list(count_warnings(warned))
    assert any("s1: sounds unlike what was reviewed at other sites" in text for text in warnings)
    assert any(text.startswith("no window was reviewed of s1: ") for text in warnings)
    assert not list(count_warnings(counted()))


def test_the_page_has_every_figure_with_its_interval() -> None:
    pytest.importorskip("jinja2")
    count = counted(label="<b>Owl")
    page = count_page(count, "results/")
    assert "&lt;b&gt;Owl, counted in results/" in page
    assert "<b>Owl" not in page
    for key, each in count.counted.groups.items():
        share = f"{each.value / 20:.2%} ({each.low / 20:.2%} to {each.high / 20:.2%})"
        assert share in page
        assert f">{key[0]}<" in page
    assert page.count('class="span"') == 4  # two sites, by share and by hour
    places = [float(v) for v in re.findall(r"left:([\d.]+)%", page)]
    assert max(places) <= 100
    with in_language("es"):
        assert "contado en results/" in count_page(count, "results/")
