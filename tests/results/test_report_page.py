# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from oido.errors import OptionError
from oido.messages import catalogue
from oido.results import Results
from oido.results.examples import Example, Examples, Unreached, best_examples
from oido.results.report_page import Words, html_page
from oido.results.summary import summarize
from oido.results.tallies import KEYS, tally
from oido.writers.html import Faded, environment
from tests.results.results_folders import FolderMaker, event, recording

SPANISH: dict[str, str] = catalogue("es")._catalog  # type: ignore[attr-defined]
EVIL = '<script>alert("x")</script>'
VOID = ("meta", "img", "input", "br", "col")


class Reader(HTMLParser):
    """Text by element, and whether every element that is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def full_archive(folder: Path) -> Path:
    """Everything that a report can tell of: gaps, failures, doubts, days, hostile names."""
    maker = FolderMaker(folder)
    names = [f"2023{month:02d}{day:02d}_060000.WAV" for month in (3, 10) for day in (25, 26, 29)]
    recordings = [recording(name, 3600.0) for name in names]
    recordings += [
        recording("20231029_023000.WAV", 60.0),
        recording("20230326_023000.WAV", 60.0),
        recording("19700101_000000.WAV", 60.0),
        recording("20231029_060000-0300.WAV", 60.0),
        recording(f"{EVIL}.wav", 0.0, failure_kind="EmptyAudioError", failure_reason=EVIL),
    ]
    events = [event(name, 1.0, 2.0, "Dog") for name in names]
    events.append(event(names[0], 5.0, 6.0, EVIL))
    events += [event(names[1], float(n), n + 1.0, f"label {n:02d}") for n in range(40)]
    maker.commit({"recordings": recordings, "events": events})
    return maker.folder


def archive_of_two_sites(folder: Path) -> Path:
    """One site records each hour of a morning, the other pauses for four of them."""
    maker = FolderMaker(folder)
    names = [f"fell/20231015_{hour:02d}0000.wav" for hour in range(6, 12)]
    names += [f"marsh/20231015_{hour:02d}0000.wav" for hour in (6, 11)]
    maker.commit({"recordings": [recording(name, 3600.0) for name in [*names, "marsh/x.wav"]]})
    return maker.folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    from oido.results import Clock

    folder = full_archive(tmp_path_factory.mktemp("page") / "results")
    with Results(str(folder), Clock(zone="Europe/Madrid")) as results:
        summary = summarize(results, zone="Europe/Madrid", label="Dog")
        tables = {("site", "hour"): tally(results, ["site", "hour"])}
        examples = best_examples(results, ["Dog"], 3)
    return {locale: html_page(summary, locale, tables, examples) for locale in ("en", "es")}


@pytest.mark.parametrize("locale", ["en", "es"])
def test_the_page_is_whole_and_asks_for_nothing(pages: dict[str, str], locale: str) -> None:
    reader = Reader(pages[locale])
    assert reader.open == []
    assert EVIL in reader.text, "a label is text"
    assert not [tag for tag, *_ in reader.attributes if tag in ("script", "link", "iframe", "img")]
    assert not [name for _, name, _ in reader.attributes if name in ("src", "href", "onload")]
    assert not re.search(r"url\(|@import|https?://", pages[locale])
    assert ("html", "lang", locale) in reader.attributes
    assert any(name == "content" and "default-src 'none'" in v for _, name, v in reader.attributes)


def test_what_it_tells(pages: dict[str, str]) -> None:
    text = Reader(pages["en"]).text
    for told in (
        "1 of 11 recordings could not be heard to their end",
        "the time of 2 of 10 recordings is not known",
        "came twice on a clock that was set back; the first is taken: 1",
        "never came on a clock of that zone, left out: 1",
        "from a clock that was not set, left out: 1",
        "can be read in two ways; the likelier is taken: 1",
        "gaps longer than 1 h",
        "scores are the model's raw outputs and not probabilities",
        "from 2023-03-25 to 2023-10-29",
        "12 more labels",
        "Dog, hour by hour",
        "2023-03-26 07:00",  # the end of a gap, as the recording begins
        "empty: 1",
        "yamnet/classification",
        "An event reached a score of 0.20.",
        "Recordings of which nothing is to be heard here: not there any more: 6.",
        "By site, hour",
        "Pale: less than an hour, and less than a tenth of the longest, was recorded",
    ):
        assert told in text, told
    assert "By month" not in text


@pytest.mark.parametrize(
    ("gap_seconds", "remark"),
    [
        (3600.0, "1 gap longer than 1 h: 4 h"),
        (18_000.0, "no gap longer than 5 h between the first and the last recording of a site"),
    ],
)
def test_gaps_are_those_of_each_site(tmp_path: Path, gap_seconds: float, remark: str) -> None:
    with Results(str(archive_of_two_sites(tmp_path / "results"))) as results:
        text = Reader(html_page(summarize(results, gap_seconds=gap_seconds))).text
    assert remark in text
    assert ("marsh 2023-10-15 07:00 2023-10-15 11:00 4 h" in text) == (gap_seconds == 3600.0)
    assert "first recorded last recorded gaps gap hours" in text
    assert "2023-10-15 06:00 2023-10-15 12:00 0 0.00" in text, "the fell's row"


def test_spanish_is_complete(pages: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = Reader(pages["es"]).text
    assert "Lo que se ha oído en results" in text
    assert "Perro" in text, "AudioSet's labels are translated"
    english = {phrase for phrase in SPANISH if phrase in text and SPANISH[phrase] != phrase}
    words = {"label", "labels", "model", "hour"}  # parts of other words and of names
    assert {p for p in english if len(p) > 6 and p not in words} == set()


def test_every_text_of_the_page_has_a_translation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()
    call = Words.__call__
    monkeypatch.setattr(
        Words, "__call__", lambda self, text, *v: (asked.add(text), call(self, text, *v))[1]
    )
    with Results(str(full_archive(tmp_path / "a"))) as results:
        tables = {(key,): tally(results, [key]) for key in KEYS}
        html_page(summarize(results, label="Dog"), "es", tables)
    maker = FolderMaker(tmp_path / "b", calibrated=True, model="birds.tflite")
    with Results(str(maker.folder)) as results:
        summary = summarize(results)
        html_page(summary, "es", {("label",): tally(results, ["label"])})
    summary = replace(summary, threshold=0.5, label_thresholds={"Dog": 0.75})
    clip = Example("a.wav", 0.0, 1.0, 0.5, 0.0, b"fLaC")
    why = Counter(get_args(Unreached))
    html_page(summary, "es", {}, Examples({"Dog": [clip]}, why, left_out=True))
    maker.commit({"recordings": [recording("20231015_060000.wav", 9.0)]})
    with Results(str(maker.folder)) as results:
        html_page(summarize(results), "es")
    for gap_seconds in (3600.0, 18_000.0):
        with Results(str(archive_of_two_sites(tmp_path / f"{gap_seconds}"))) as results:
            html_page(summarize(results, gap_seconds=gap_seconds), "es")
    assert asked - set(SPANISH) == set()
    assert [t for t in asked if SPANISH[t].count("{}") != t.count("{}")] == []


def test_thresholds_of_some_labels_stand_beside_the_model_s_own(tmp_path: Path) -> None:
    with Results(str(full_archive(tmp_path / "a"))) as results:
        summary = summarize(results)
    page = html_page(replace(summary, threshold=None, label_thresholds={"Dog": 0.75}))
    assert "own threshold of its label, or else 0.2. Of others: Dog 0.75." in Reader(page).text


def test_a_language_that_is_none() -> None:
    with pytest.raises(OptionError, match="choose from en, es"):
        Words("fr")


def test_numbers_and_durations() -> None:
    english, spanish = Words("en"), Words("es")
    assert english.number(12345.678, 1) == "12,345.7"
    assert spanish.number(12345.678, 1) == "12.345,7"
    told = [english.duration(s) for s in (0.26, 59.94, 60, 303, 3600, 26_430, 86_400, 275_000)]
    assert told == ["0.3 s", "59.9 s", "1 min", "5 min 3 s", "1 h", "7 h 20 min", "1 d", "3 d 4 h"]


def test_bars_and_cells_are_in_proportion() -> None:
    charts = environment().get_template("charts.html").make_module({"words": Words("en")})
    chart = charts.bars("Dogs", ["00", "01", "02"], [2.0, None, 8.0])
    assert re.findall(r"height:([\d.]+)%", chart) == ["25.0", "0.0", "100.0"]
    assert "max. 8.0" in chart
    rows = [("a", [1.0, 2.0]), ("b", [4.0, None]), ("c", [0.0, 0.0])]
    by_row = charts.heat_map("x", ["00", "01"], rows)
    assert re.findall(r"--v:([\d.]+)", by_row) == ["0.50", "1.00", "1.00"]
    by_table = charts.heat_map("x", ["00", "01"], rows, by_row=False)
    assert re.findall(r"--v:([\d.]+)", by_table) == ["0.25", "0.50", "1.00"]
    assert by_row.count('class="none"') == 1


def test_faded_values_set_no_scale_and_have_no_shade() -> None:
    charts = environment().get_template("charts.html").make_module({"words": Words("en")})
    chart = charts.bars("Dogs", ["00", "01", "02"], [2.0, Faded(800.0), 8.0])
    assert re.findall(r'<i( class="faded")? style="height:([\d.]+)%', chart) == [
        ("", "25.0"),
        (' class="faded"', "100.0"),
        ("", "100.0"),
    ]
    assert "max. 8.0" in chart
    for by_row in (True, False):
        rows = [("a", [1.0, Faded(800.0)]), ("b", [2.0, None])]
        table = charts.heat_map("x", ["00", "01"], rows, by_row, ["4 h", "14 s"], [["p", "q"], []])
        shades = re.findall(r"--v:([\d.]+)", table)
        assert shades == (["1.00", "1.00"] if by_row else ["0.50", "1.00"])
        assert '<td class="faded" title="q">800</td>' in table
        assert "<td>4 h</td><td>14 s</td>" in table
    alone = charts.heat_map("x", ["00"], [("a", [Faded(3.0)])])
    assert "--v" not in alone


def test_the_threshold_that_was_used_and_reasons_without_their_file(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    bad = {"failure_kind": "EmptyAudioError", "failure_reason": "a/bad.wav: holds no audio"}
    maker.commit({"recordings": [recording("a/bad.wav", 0.0, **bad)]})
    with Results(str(maker.folder)) as results:
        for given, shown in ((None, "0.20"), (0.35, "0.35")):
            results.header["parameters"]["detection"] = {"threshold": given, "top": None}
            page = html_page(summarize(results))
            assert f"<dt>detection.threshold</dt><dd>{shown}</dd>" in page
            assert "<dt>detection.top</dt><dd>not set</dd>" in page
            assert f"An event reached a score of {shown}." in page
    assert "<td>a/bad.wav</td><td>holds no audio</td>" in page


def test_a_sliver_beyond_the_hour_does_not_bleach_the_hours(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = [f"{site}/20231015_{hour}0000.wav" for site in "AB" for hour in ("05", "19")]
    rows = [event(name, n * 300.0, n * 300.0 + 1.0, "Dog") for name in names for n in range(12)]
    rows += [event(names[1], 3601.0 + n, 3602.0 + n, "Dog") for n in range(8)]
    recordings = [recording(name, 3614.0 if "_19" in name else 3600.0) for name in names]
    maker.commit({"recordings": recordings, "events": rows})
    with Results(str(maker.folder)) as results:
        tables = {("site", "hour"): tally(results, ["site", "hour"])}
        page = html_page(summarize(results, label="Dog"), "en", tables)
    assert set(re.findall(r"--v:([\d.]+)", page.partition("Label by hour")[2])) == {"1.00"}
    assert page.count('<td class="faded"') == 2, "by hour, and by day and hour"
    assert 'title="8 in 28.0 s"' in page
    assert page.count('<tr class="faded">') == 2, "20:00 at both sites"
    assert "28.0 s" in page


def test_long_archives_go_by_week_and_month(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    days = [
        f"{y}{m:02d}{d:02d}_060000.WAV"
        for y in range(2018, 2024)
        for m in range(1, 13)
        for d in range(1, 29)
    ]
    maker.commit({"recordings": [recording(name, 60.0) for name in days[:200]]})
    with Results(str(maker.folder)) as results:
        assert "By week" in html_page(summarize(results))
    maker.commit({"recordings": [recording(name, 60.0) for name in days[200:]]})
    with Results(str(maker.folder)) as results:
        page = html_page(summarize(results))
    assert "By month" in page
    assert re.findall(r"The longest [^<]*", page) == ["The longest 100 of 2,015."]
