# SPDX-License-Identifier: Apache-2.0
"""Who has a Spanish system reads no English: every help, what goes wrong, tables and reports.

What programs read stays as it is: exit codes, JSON, CSV, and what is stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from oido.cli.main import build_parser, run
from oido.messages import in_language

ENGLISH = re.compile(
    r"\b(the|of|and|with|which|that|this|from|for|is|are|was|were|it|its|they|to|by|or|be|been|"
    r"have|not|what|where|when|only|than|each|every|there|one|many|at|on|in|as|an|but|"
    r"write|says?|give[ns]?|sounds?|missing|needs?|must|"
    r"options|heard|hears?)\b",
    re.IGNORECASE,
)
"""Words that no Spanish sentence has, but for those of commands, which are left out before."""

COMMANDS = [
    *(name for name in build_parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr]
]


def without_commands(text: str) -> str:
    """A text without what is no language: commands, options, names and values."""
    text = re.sub(r"`[^`]*`|\[ for DURATION\]|for 2s", "", text)
    text = re.sub(r"^  oido .*?(\s{2,}|$)", "", text, flags=re.MULTILINE)
    text = re.sub(r"^  (cat|python) .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\([\w,]+\)|\S*\|\S*", "", text)
    text = re.sub(r"\{[^}\s]*\}|\[[^]]*\]|'[^'\n]*'|\"[^\"\n]*\"", "", text)
    return re.sub(r"[\w/.:-]*[/_.=-][\w/.:=-]*|\b[A-Z][A-Z-]+\b|--?[\w-]+", "", text)


def english(text: str) -> list[str]:
    """The lines with English in them."""
    return [line for line in without_commands(text).splitlines() if ENGLISH.search(line)]


@pytest.fixture
def spanish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OIDO_LOCALE")
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")


def _helps() -> Iterator[str]:
    yield "--help"
    for name in COMMANDS:
        yield f"{name} --help"
        yield f"{name} --help-all"
    for name in ("list", "fetch", "info", "annotate", "verify"):
        yield f"models {name} --help"
    for words in ("cache clear", "thresholds show", "thresholds edit", "web export"):
        yield f"{words} --help"


def test_english_would_be_found() -> None:
    assert english("usage: oido x\n\nHear what is in it")
    assert not english("uso: oido x --of FILE\n\nOye lo que hay `for the record` {mean,at-max}")


@pytest.mark.parametrize("words", list(_helps()))
@pytest.mark.usefixtures("spanish")
def test_every_help_is_spanish(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        run(words.split())
    told = capsys.readouterr()
    shown = told.out or told.err  # --help-all, where there is nothing rare
    assert shown
    assert not english(shown)


ERRORS = [
    "classify",
    "classify no-such-file.wav",
    "classify . --format xyz",
    "classify x.wav --top 0",
    "classify x.wav --top many",
    "classify x.wav --threshold 1.5",
    "classify x.wav --level",
    "classify x.wav --windows --clip",
    "classify x.wav --allow Dgo",
    "classify x.wav --aggregation best",
    "classify x.wav --jbos 2",
    "classify x.wav --hop 0.123",
    "classify x.wav --format npz --frames",
    "clasify x.wav",
    "batch x.wav",
    "batch status no-such-folder",
    "batch x.wav -o r --retry-failed",
    "query no-such-folder",
    "report no-such-folder",
    "convert no-such-folder -o x.csv",
    "train no-such-folder -o x.tflite",
    "train no-such-folder",
    "evaluate yamnet/classification no-such-folder",
    "calibrate yamnet/classification no-such-folder -o x.json",
    "drift no-such-folder no-other",
    "export yamnet/classification -o x.xyz",
    "embed x.wav",
    "models info no-such-model",
    "models fetch no-such-model",
    "listen --act",
    "listen --on Dog>2 --do exec:true",
    "listen --on Dog --do nonsense:x",
    "listen no-such-source",
    "serve --demo --no-page",
    "serve --port 99999",
    "thresholds edit no-such.tflite --set Dog=2",
    "web export out --locale fr",
    "web export out --url example.org",
    "cache clear nonsense",
]


@pytest.mark.parametrize("words", ERRORS)
@pytest.mark.usefixtures("spanish")
def test_what_goes_wrong_is_said_in_spanish_with_the_same_exit_code(
    words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = run(words.split())
    told = capsys.readouterr().err
    assert code in (1, 2, 3)
    assert told.startswith("oido: ")
    assert not english(told.removeprefix("oido: "))
    monkeypatch.setenv("OIDO_LOCALE", "en")
    assert run(words.split()) == code
    assert capsys.readouterr().err != told


@pytest.mark.usefixtures("spanish")
def test_a_table_for_people_is_spanish_and_rows_for_programs_are_not(
    examples: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["classify", str(examples / "street.flac"), "-q"]
    assert run(words) == 0
    table = capsys.readouterr().out
    assert "inicio – fin" in table
    assert "Habla" in table
    assert not english(table)
    for form in ("csv", "jsonl", "json"):
        assert run([*words, "--format", form]) == 0
        spanish = capsys.readouterr().out
        with monkeypatch.context() as patch:
            patch.setenv("OIDO_LOCALE", "en")
            assert run([*words, "--format", form]) == 0
        assert capsys.readouterr().out == spanish


@pytest.mark.usefixtures("spanish")
def test_lists_and_states_are_spanish(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["models", "list"]) == 0
    assert "dónde está" in capsys.readouterr().out
    assert run(["cache"]) == 0
    assert not english(capsys.readouterr().out)
    assert run(["models", "info", "yamnet/classification"]) == 0
    assert "etiquetas:" in capsys.readouterr().out


@pytest.fixture
def examples() -> Path:
    return Path(__file__).parents[2] / "examples"


def test_an_archive_is_told_of_in_spanish_and_stored_in_english(
    examples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("duckdb", "pyarrow", "jinja2"):
        pytest.importorskip(module)
    sounds, folder = tmp_path / "sounds", tmp_path / "results"
    sounds.mkdir()
    (sounds / "street.flac").symlink_to(examples / "street.flac")
    (sounds / "broken.wav").write_bytes(b"")
    monkeypatch.setenv("OIDO_LOCALE", "es")
    assert run(["batch", str(sounds), "-o", str(folder)]) == 3
    told = capsys.readouterr().err
    assert "broken.wav: está vacío (0 bytes)" in told
    assert run(["batch", "status", str(folder)]) == 3
    status = capsys.readouterr().out
    assert "está vacío (0 bytes)" in status
    assert not english(status)
    assert run(["batch", "status", str(folder), "--json"]) == 3
    assert "is empty (0 bytes)" in json.loads(capsys.readouterr().out)["failures"][0]["reason"]
    page = tmp_path / "informe.html"
    assert run(["report", str(folder), "-o", str(page), "--examples", "0"]) == 0
    assert not english(capsys.readouterr().out)
    html = page.read_text("utf-8")
    assert '<html lang="es">' in html
    assert "está vacío (0 bytes)" in html
    assert not english(
        re.sub(r"<style>.*?</style>|<[^>]*>|<dl>.*?</dl>", " ", html, flags=re.DOTALL)
    )
    # Labels are those of the model in what is stored, and either language asks for them.
    for label in ("Speech", "Habla", "habla"):
        words = [
            "query",
            str(folder),
            f"label = '{label}'",
            "--format",
            "csv",
            "--columns",
            "label",
        ]
        assert run(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert set(lines[1:]) == {"Speech"}, label


def test_an_archive_is_the_same_in_whatever_language_labels_were_typed(
    examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("duckdb", "pyarrow"):
        pytest.importorskip(module)
    folder, thresholds = tmp_path / "results", tmp_path / "t.csv"
    thresholds.write_text("Sirena,0.3\n", encoding="utf-8")
    words = ["batch", str(examples / "street.flac"), "-o", str(folder)]
    words += ["--thresholds", str(thresholds)]
    assert run([*words, "--allow", "Sirena", "--allow", "habla/"]) == 0
    thresholds.write_text("Siren,0.3\n", encoding="utf-8")
    # Other parameters would be refused.
    assert run([*words, "--resume", "--allow", "Siren", "--allow", "Speech/"]) == 0
    capsys.readouterr()
    header = json.loads((folder / "oido-archive.json").read_text("utf-8"))
    assert header["parameters"]["selection"]["category_allowlist"] == ["Siren", "Speech/"]


def test_reports_on_a_classifier_are_spanish() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from tests.evaluation.made_predictions import random_judged
    from tests.evaluation.report_pages import full_report

    made = full_report(random_judged(60, 3, background=True))
    english_text, english_json = str(made), json.dumps(made.to_dict())
    with in_language("es"):
        text, page = str(made), made.to_html()
        assert json.dumps(made.to_dict()) == english_json
    assert str(made) == english_text
    assert "exactitud" in text
    assert not english(text)
    assert '<html lang="es">' in page
    assert not english(
        re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)
    )
