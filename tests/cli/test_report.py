# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest

from oido.cli import report
from oido.errors import OptionError, UnknownLabelError
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
    assert shown.out.startswith("40 seconds in 3 recordings; 1 failed\n  EmptyAudioError: 1\n")
    assert "Police car (siren): 1 event in 33.3% of recordings" in shown.out
    assert f"{page} is written" in shown.err
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


def test_what_is_wrong_is_told_first(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    folder = str(maker.folder)
    with pytest.raises(OptionError, match=r"-o needs a name that ends in \.html"):
        run("nowhere", "-o", "report.pdf")
    with pytest.raises(OptionError, match=r"--json needs a name that ends in \.json"):
        run("nowhere", "--json", "report.txt")
    with pytest.raises(OptionError, match="choose from en, es"):
        run("nowhere", "--locale", "fr")
    with pytest.raises(OptionError, match="is not a results folder"):
        run(str(tmp_path))
    with pytest.raises(UnknownLabelError, match="'Dgo'; the nearest are: 'Dog'"):
        run(folder, "--label", "Dgo")
