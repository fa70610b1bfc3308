# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from oido.cli import report
from oido.errors import MissingExtraError, OptionError, UnknownLabelError
from tests.results.results_folders import FolderMaker, event, heard_archive, recording
from tests.results.results_folders import run as run_command

pytest.importorskip("duckdb", reason="needs oido[archive]")


def run(*words: str) -> int:
    return run_command(report, *words)


def test_page_figures_and_words_of_a_real_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = str(heard_archive(tmp_path))
    page, figures = tmp_path / "report.html", tmp_path / "report.json"
    capsys.readouterr()
    words = ("-o", str(page), "--json", str(figures), "--label", "Police car (siren)")
    assert run(results, *words, "--hours-in", "Europe/Madrid") == 0
    shown = capsys.readouterr()
    said = "40 seconds in 3 recordings; 1 failed\n  empty (EmptyAudioError): 1\n"
    assert shown.out.startswith(said)
    assert "Police car (siren): 1 event in 33.3% of recordings" in shown.out
    assert f"{page} is written" in shown.err
    assert "Speech: " not in shown.out
    assert run(results, "--label", "Dog") == 0
    assert capsys.readouterr().out.endswith("\n  Dog: no event\n")
    content = json.loads(figures.read_text("utf-8"))
    assert content["heard"] == 3
    assert content["time_sources"] == {"name": 2, "tags": 1}
    hours = {entry["name"]: entry["events"] for entry in content["by_hour"] if entry["events"]}
    assert set(hours) == {"08", "14"}, "06:30 and 12:00 UTC, in Madrid; at 17:17 it was silent"
    assert "Police car (siren), hour by hour" in page.read_text("utf-8")


def test_options_reach_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = ("15-10-2023 0630.wav", "15-10-2023 0700.wav")
    maker.commit(
        {
            "recordings": [recording(name, 60.0) for name in names],
            "events": [event(names[0], 0.0, 1.0, "Dog")],
        }
    )
    page = tmp_path / "informe.html"
    words = ("--time-pattern", "%d-%m-%Y %H%M", "--time-zone", "Europe/Madrid", "--gap", "600")
    assert run(str(maker.folder), *words, "--locale", "es", "-o", str(page), "-q") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "from 2023-10-15 04:30 to 2023-10-15 05:01 UTC, 1 gap of more than 600 s" in shown.out
    text = page.read_text("utf-8")
    assert "1 hueco de más de 10 min: 29 min" in text
    assert "Perro" in text


def test_gaps_are_told_by_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = [f"fell/20231015_{hour:02d}0000.wav" for hour in range(6, 12)]
    names += [f"marsh/20231015_{hour:02d}0000.wav" for hour in (6, 11)]
    maker.commit({"recordings": [recording(name, 3600.0) for name in names]})
    for words, told in (
        ((), "1 gap of more than 3600 s, at 1 of 2 sites"),
        (
            ("--gap", "20000"),
            "0 gaps of more than 20000 s between the first and the last recording of a site",
        ),
        (("--site", "2023{site}_*.wav", "--gap", "60"), "0 gaps of more than 60 s"),
    ):
        assert run(str(maker.folder), *words) == 0
        assert f"from 2023-10-15 06:00 to 2023-10-15 12:00 UTC, {told}\n" in capsys.readouterr().out


def test_what_is_wrong_is_told_first(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    folder = str(maker.folder)
    with pytest.raises(OptionError, match=r"-o needs a name that ends in \.html, \.csv or \.xlsx"):
        run("nowhere", "-o", "report.pdf")
    with pytest.raises(OptionError, match=r"by 'sites'; did you mean site\?"):
        run("nowhere", "-o", "a.csv", "--by", "day,sites")
    with pytest.raises(OptionError, match="by 'x'; choose from label, file, site, day, hour"):
        run("nowhere", "--by", "x")
    with pytest.raises(OptionError, match=r"--json needs a name that ends in \.json"):
        run("nowhere", "--json", "report.txt")
    with pytest.raises(OptionError, match="choose from en, es"):
        run("nowhere", "--locale", "fr")
    with pytest.raises(OptionError, match="is not a results folder"):
        run(str(tmp_path))
    with pytest.raises(UnknownLabelError, match="'Dgo'; the nearest are: 'Dog'"):
        run(folder, "--label", "Dgo")
    maker.commit({"recordings": [recording("a.wav", 9.0)]})
    with pytest.raises(OptionError, match=r"--site '\{site\}_A' matches none of the recordings"):
        run(folder, "--site", "{site}_A")


@pytest.fixture
def sites(tmp_path: Path) -> str:
    maker = FolderMaker(tmp_path / "results")
    names = ("rec/A/20231014_235900.wav", "rec/B/20231015_063000.wav", "rec/B/=1+1.wav")
    rows = [
        event(names[0], 30.0, 31.5, "Owl"),
        event(names[0], 61.0, 62.0, "Dog", 0.75),
        event(names[1], 0.0, 1.0, "Dog"),
    ]
    maker.commit({"recordings": [recording(name, 120.0) for name in names], "events": rows})
    return str(maker.folder)


def test_a_table_counts_by_what_is_named(
    sites: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "summary.csv"
    assert run(sites, "-o", str(target), "--by", "site,day") == 0
    assert "summary.csv is written" in capsys.readouterr().err
    assert target.read_text("utf-8").splitlines() == [
        "site,day,recordings,recorded_hours,events,events_per_hour,recordings_with_events,"
        "event_seconds,highest_score,threshold",
        "A,2023-10-14,1,0.016667,1,60.0,1,1.5,0.5,0.2",
        "A,2023-10-15,1,0.016667,1,60.0,1,1.0,0.75,0.2",
        "B,2023-10-15,1,0.033333,1,30.0,1,1.0,0.5,0.2",
        "B,,1,0.033333,0,0.0,0,0.0,,0.2",
    ]
    assert run(sites, "-o", str(target), "-q", "--locale", "es") == 0
    first, *rows = target.read_text("utf-8").splitlines()
    assert first.startswith("label,recordings,"), "by label, if nothing else is said"
    assert [row.partition(",3,")[0] for row in rows] == ["Perro", '"Búho, lechuza"']
    assert run(sites, "-o", str(target), "-q", "--by", "file") == 0
    assert "rec/B/=1+1.wav" in target.read_text("utf-8")


def test_an_archive_just_begun_has_tables_without_rows(tmp_path: Path) -> None:
    pytest.importorskip("xlsxwriter", reason="needs oido[xlsx]")
    folder = str(FolderMaker(tmp_path / "results").folder)
    for name in ("a.csv", "a.xlsx", "a.html"):
        assert run(folder, "-o", str(tmp_path / name), "-q") == 0
        assert run(folder, "-o", str(tmp_path / name), "-q", "--by", "day,label,site") == 0
    assert (tmp_path / "a.csv").read_text().startswith("day,label,site,recordings,")
    assert run(folder, "--by", "label", "-q") == 0


def test_a_table_is_shown_where_no_file_is_wanted(
    sites: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(sites, "--by", "site", "--site", "{site}/*", "--label", "perro") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "with a score (no probability) of at least 0.2" in shown[-4]
    assert [re.split(r"  +", line)[:4] for line in shown[-3:]] == [
        ["site", "recordings", "recorded hours", "events"],
        ["A", "1", "0.03333", "1"],
        ["B", "2", "0.06667", "1"],
    ]


def test_a_workbook_has_a_sheet_for_each_and_what_it_is_about(
    sites: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xlsxwriter", reason="needs oido[xlsx]")
    openpyxl = pytest.importorskip("openpyxl", reason="reads the workbooks back")
    target = tmp_path / "summary.xlsx"
    assert run(sites, "-o", str(target), "-q") == 0
    book = openpyxl.load_workbook(target)
    names = ["by label", "by file", "by site", "by day", "by hour"]
    assert book.sheetnames == [*names, "about"]
    files = [row[0].value for row in book["by file"].iter_rows(min_row=2)]
    assert files == sorted(files)
    assert len(files) == 3
    about = dict(row for row in book["about"].iter_rows(min_row=2, values_only=True))
    assert about["threshold of events"] == 0.2
    assert about["zone of days and hours"] == "UTC"
    assert run(sites, "-o", str(target), "-q", "--by", "day,label") == 0
    assert openpyxl.load_workbook(target).sheetnames == ["by day, label", "about"]


def test_a_workbook_without_its_package_is_one_sentence_before_the_work(
    sites: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'oido\[xlsx\]', or end the name"):
        run("nowhere", "-o", str(tmp_path / "a.xlsx"))
    assert not (tmp_path / "a.xlsx").exists()


def test_examples_are_in_the_page_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, page = str(heard_archive(tmp_path)), tmp_path / "report.html"
    capsys.readouterr()
    assert run(results, "-o", str(page)) == 0
    told = re.search(
        r"with (\d+) clips of the recordings in it \(([\d.]+) MB", capsys.readouterr().err
    )
    assert told is not None
    clips = re.findall(r'<audio [^>]*src="data:audio/flac;base64,([^"]+)"', page.read_text("utf-8"))
    assert len(clips) == int(told[1]) > 5
    for clip in clips:
        assert 0.3 < soundfile.info(io.BytesIO(base64.b64decode(clip))).duration <= 5.001
    assert run(results, "-o", str(page), "--label", "tubular bells", "--examples", "1") == 0
    assert "with 1 clip of the recordings" in capsys.readouterr().err
    for words in (("--examples", "0"), ("--label", "Dog")):  # nobody asked to hand on other sounds
        assert run(results, "-o", str(page), *words) == 0
        assert "clip" not in capsys.readouterr().err
        assert "<audio" not in page.read_text("utf-8")
    shutil.rmtree(tmp_path / "recordings")
    assert run(results, "-o", str(page), "-q") == 0
    text = page.read_text("utf-8")
    assert "Recordings of which nothing is to be heard here: not there any more: 2." in text
    assert "<audio" not in text
    with pytest.raises(OptionError, match="there are 0 examples of a label or more, not -1"):
        run(results, "-o", str(page), "--examples", "-1")


def test_recordings_unlike_what_was_taught_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def report_of(name: str, unknown: list[bool | None]) -> tuple[str, str, dict[str, Any]]:
        maker = FolderMaker(tmp_path / name, model="birds")
        rows = [recording(f"{n}.wav", 60.0, unknown=each) for n, each in enumerate(unknown)]
        maker.commit({"recordings": rows})
        page, figures = tmp_path / "r.html", tmp_path / "r.json"
        assert run(str(maker.folder), "-o", str(page), "--json", str(figures), "-q") == 0
        text = re.sub(r"<[^>]*>", "", page.read_text("utf-8"))
        return capsys.readouterr().out, text, json.loads(figures.read_text("utf-8"))

    out, page, figures = report_of("most", [True, True, False, None])
    assert "unlike everything that the model was taught: 2 of 3 recordings\n" in out
    assert "says little of what is in them" in out
    assert "Caution: 2 of 3 recordings: unlike everything that the model was taught" in page
    assert (figures["unlike"], figures["compared"]) == (2, 3)
    assert "with a score (no probability) of at least the model's own threshold" in out
    out, page, figures = report_of("some", [True, False, False])
    assert "taught: 1 of 3 recordings\n" in out
    assert "says little" not in out
    assert "Note: 1 of 3 recordings" in page
    out, page, figures = report_of("none", [None, None])
    assert "unlike" not in out + page
    assert (figures["unlike"], figures["compared"]) == (0, 0)
