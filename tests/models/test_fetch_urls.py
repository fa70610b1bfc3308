# SPDX-License-Identifier: Apache-2.0
"""Fetching from the web: every way a server can fail is told, and only the right bytes are kept."""

from __future__ import annotations

import pytest

from oido.errors import ModelFetchError
from oido.models import fetch
from oido.models.registry import UrlSource


def files_in(folder):
    return [p for p in folder.rglob("*") if p.is_file()] if folder.exists() else []


@pytest.mark.parametrize("what", ["right", "redirect"])
def test_the_right_bytes_are_cached(site, cache, make_card, content, what):
    card = make_card(UrlSource(site.url(what)))
    path = fetch.fetch(card)
    assert path.read_bytes() == content
    assert path == fetch.cache_path(card)
    assert cache in path.parents
    assert files_in(cache) == [path]


def test_the_second_time_nothing_is_asked_for(site, cache, make_card):
    card = make_card(UrlSource(site.url("right")))
    first = fetch.fetch(card)
    site.asked.clear()
    assert fetch.fetch(card) == first
    assert site.asked == []


def test_after_the_first_fetch_no_network_is_needed(site, cache, make_card):
    path = fetch.fetch(make_card(UrlSource(site.url("right"))))
    assert fetch.fetch(make_card(UrlSource("http://127.0.0.1:9/never"))) == path
    assert fetch.fetch(make_card()) == path


def test_sources_are_tried_in_order_until_one_gives_the_model(site, cache, make_card, content):
    said = []
    wanted = [site.url(what) for what in ("missing", "wrong", "right", "short")]
    path = fetch.fetch(make_card(*map(UrlSource, wanted)), said.append)
    assert path.read_bytes() == content
    assert site.asked == ["/missing", "/wrong", "/right"]
    assert len(said) == 3
    for line, url in zip(said, wanted):
        assert url in line


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("wrong", "SHA-256"),
        ("short", "100 bytes"),
        ("page", "26 bytes"),
        ("missing", "Not Found"),
        ("hang-up", "closed"),
        ("cut", ""),
        ("garbage", ""),
    ],
)
def test_a_bad_answer_is_told_and_not_kept(site, cache, make_card, what, said):
    with pytest.raises(ModelFetchError) as raised:
        fetch.fetch(make_card(UrlSource(site.url(what))))
    line = next(x for x in str(raised.value).splitlines() if site.url(what) in x)
    answer = line.split(site.url(what), 1)[1].lstrip(": ")
    assert answer, "what the source said is missing"
    assert said in answer
    assert files_in(cache) == []


@pytest.mark.parametrize("what", ["cut", "garbage", "hang-up"])
def test_a_broken_connection_does_not_stop_the_next_source(site, cache, make_card, content, what):
    card = make_card(UrlSource(site.url(what)), UrlSource(site.url("right")))
    assert fetch.fetch(card).read_bytes() == content


@pytest.mark.parametrize("what", ["silent", "slow-end"])
def test_a_server_that_falls_silent_is_given_up(site, cache, make_card, monkeypatch, what):
    monkeypatch.setattr(fetch, "_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(ModelFetchError, match="timed out"):
        fetch.fetch(make_card(UrlSource(site.url(what))))
    assert files_in(cache) == []


def test_when_all_fail_each_source_and_its_answer_is_named(site, cache, make_card):
    closed = "http://127.0.0.1:9/closed"
    bad_name = "http://no-such-host.invalid/file"
    urls = [site.url("missing"), site.url("wrong"), closed, bad_name]
    with pytest.raises(ModelFetchError) as raised:
        fetch.fetch(make_card(*map(UrlSource, urls)))
    message = str(raised.value)
    answers = [line for line in message.splitlines() if line.startswith("  - ")]
    assert len(answers) == 4
    for line, url in zip(answers, urls):
        assert line.startswith(f"  - {url}: ")
        assert len(line) > len(f"  - {url}: ") + 5
    assert "refused" in answers[2]
    assert "pretended/model" in message
    # And what to do about it:
    assert "--from-file" in message
    assert "OIDO_MODEL_PATH" in message


def test_a_model_without_sources_says_how_to_bring_it(cache, make_card):
    with pytest.raises(ModelFetchError, match="--from-file"):
        fetch.fetch(make_card())
