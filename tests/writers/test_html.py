# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from oido import MissingExtraError
from oido.writers import html
from oido.writers.html import environment, number, render

pytest.importorskip("jinja2")

EVIL = "</pre></style><script>alert('x')</script>\"><img src=x onerror='1'>"


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_hostile_text_in_the_api_page_stays_text() -> None:
    operation = {
        "summary": EVIL,
        "description": EVIL,
        "parameters": [{"name": EVIL, "schema": {"type": EVIL}, "description": EVIL}],
        "responses": {"200": {"description": EVIL}},
    }
    document = {"info": {"description": EVIL}, "paths": {EVIL: {"get": operation}}}
    page = render("api.html", "server", title=EVIL, document=document, schemas=EVIL)
    elements = Elements(page)
    assert not {"script", "img"} & set(elements.names)
    # Heading, description, path, summary, description, three of the parameter, answer, schemas.
    assert sum(EVIL in text for text in elements.texts) == 10


def test_every_template_escapes_and_loads_nothing() -> None:
    folder = Path(html.__file__).parent
    templates = sorted(folder.glob("*.html"))
    assert [path.name for path in templates] == [
        "api.html",
        "archive.html",
        "base.html",
        "charts.html",
        "count.html",
        "evaluation.html",
    ]
    assert environment().autoescape is True
    for path in [*templates, folder / "style.css"]:
        text = path.read_text("utf-8")
        for mark in ("| safe", "|safe", "autoescape false", "url(", "@import", "://", "<script"):
            assert mark not in text, f"{mark} in {path.name}"


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'oido\[archive\]'"):
        render("archive.html", "archive")


def test_numbers_that_are_none_are_signs() -> None:
    values = (0.12345, float("nan"), float("inf"), -float("inf"))
    assert [number(value) for value in values] == ["0.123", "–", "∞", "−∞"]


def test_control_characters_are_spelled_out_and_lines_stay_lines() -> None:
    page = environment().from_string(
        "{% macro cell(text) %}<td>{{ text }}</td>{% endmacro %}"
        "{{ name }}|{{ [name] | join }}|{{ cell(name) }}|<pre>{{ text | lines }}</pre>"
    )
    shown = page.render(name="a\n\x1b<\u202e\udce9", text="a\n\x1b<b>")
    name = r"a\n\x1b&lt;\u202e\xe9"
    assert shown == f"{name}|{name}|<td>{name}</td>|<pre>a\n\\x1b&lt;b&gt;</pre>"
    assert shown.encode()
