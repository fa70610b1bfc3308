# SPDX-License-Identifier: Apache-2.0
"""Who has a Spanish system reads no English: every help, what goes wrong, tables and reports.

What programs read stays as it is: exit codes, JSON, CSV, and what is stored.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import soundfile

from oido.cli.main import build_parser, run
from oido.cli.terminal import EXIT_USAGE
from oido.messages import in_language, shown, tr, translated
from oido.models.labels import label_text
from oido.models.model import AudioModel
from oido.models.registry import CATALOG
from oido.server.vendor import is_vendored
from tests.calibration.labelled_sounds import labelled_sounds
from tests.results.owl_archives import make_owls, owl_file, review
from tests.results.results_folders import SCHEMAS, answer_yes, heard_archive
from tests.results.test_adapting import sampled
from tests.signal.decode.wav_bytes import wav
from tests.spanish import (
    english,
    english_in_page,
    texts_of_page,
    unveiled,
    veiled_texts,
    words_past_the_catalogue,
)
from tests.training.taught_sounds import KINDS, make_sounds

COMMANDS = [
    *(name for name in build_parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr]
]


@pytest.fixture
def spanish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OIDO_LOCALE")
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")


def _helps() -> Iterator[str]:
    yield "--help"
    for name in COMMANDS:
        yield f"{name} --help"
        yield f"{name} --help-all"
        command = build_parser(name)._subparsers._group_actions[0].choices[name]  # type: ignore[union-attr]
        if command._subparsers is not None:
            for action in command._subparsers._group_actions[0].choices:
                yield f"{name} {action} --help"


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
    "query no-such-folder",
    "query x 'score > 1' --sql 'select 1'",
    "batch x.wav -o r --repair",
    "serve --max-body 0",
    "serve --max-time long",
    "serve --token ''",
    "listen --on Siren --do webhook:nothing",
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
    code = run(shlex.split(words))
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
    assert not english_in_page(html)
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
    assert not english_in_page(page)


def _parsers(parser: Any) -> Iterator[Any]:
    yield parser
    for action in parser._actions:
        if action.choices and hasattr(action, "_name_parser_map"):
            for each in action.choices.values():
                yield from _parsers(each)


def _names_of_values() -> set[str]:
    """Words that the English help has for values, and the Spanish one has not."""
    names = {str(a.metavar) for p in _parsers(build_parser()) for a in p._actions if a.metavar}
    assert {"FILE", "FOLDER", "SECONDS", "FORMAT[,FORMAT…]"} <= names
    with in_language("es"):
        return {
            word
            for name in names
            for word in re.findall(r"[A-Z]{2,}", name)
            if word not in re.findall(r"[A-Z]{2,}", translated(name))
        }


@pytest.mark.usefixtures("spanish")
def test_values_have_spanish_names_in_every_help_and_in_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = _names_of_values()
    for words in _helps():
        with suppress(SystemExit):
            run(words.split())
        told = capsys.readouterr()
        prose = re.sub(r"^  oido .*$", "", told.out or told.err, flags=re.MULTILINE)
        assert not names & set(re.findall(r"(?<![\w-])[A-Z]{2,}(?!\w)", prose)), words
    assert run(["classify"]) == 2
    assert "falta RUTA" in capsys.readouterr().err
    assert run(["classify", "--format"]) == 2
    assert "--format necesita un argumento" in capsys.readouterr().err


@pytest.mark.usefixtures("spanish")
def test_commands_are_called_in_help_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        run(["--help"])
    listed = re.findall(r"^    (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert listed[: len(COMMANDS)] == COMMANDS


class Spoken:
    """Runs commands in Spanish, and looks at all that they print, and at the pages they write.

    No word of it may have come past the catalogue but those that are no language: names that the
    user or the data gave, what can be typed as it is printed, and rows for programs.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.names: set[str] = {*KINDS, "Ana", "north", "scores", "linear", "webm", "mkv"}
        """That data and models of the tests have, formats, and packages that may be missing."""
        for each in metadata.requires("oido") or ():
            self.names.update(re.findall(r"\w+", re.split(r"[<>=!~;\[ ]", each)[0]))

    def __call__(self, words: str, *codes: int) -> str:
        argv = shlex.split(words)
        code = run(argv)
        out, err = self._capsys.readouterr()
        assert code in (codes or (0,)), unveiled(out + err)
        veiled = "\n".join(line.removeprefix("oido: ") for line in (out + err).splitlines())
        known = {*self.names, *re.findall(r"\w+", words), *_typed(argv[0])}
        if code == EXIT_USAGE:  # it lists what can be written in its place
            known |= {*SCHEMAS, *_COLUMNS}
        left = words_past_the_catalogue(veiled, known, _COLUMNS)
        assert not left, words
        text = unveiled(veiled)
        assert not english(text), words
        return text

    def page(self, path: Path, *names: str) -> None:
        """A page that was written; names: of its own data."""
        html = path.read_text("utf-8")
        assert '<html lang="es">' in html
        left = words_past_the_catalogue(texts_of_page(html), {*self.names, *names, "oido"})
        assert not left, path.name
        assert not english_in_page(unveiled(html))


def _typed(command: str) -> set[str]:
    """What can be typed for a command's options, and names of models, which all of them take."""
    found = {card.name for card in CATALOG} | {"ensemble"}
    for parser in _parsers(build_parser(command)):
        for action in parser._actions:
            if not hasattr(action, "_name_parser_map"):
                found |= {each for each in action.choices or () if isinstance(each, str)}
    return found


_COLUMNS = {"similarity", "start_at", "recorded_at", "also", "n"}.union(
    *(each.names for each in SCHEMAS.values())
)
"""Of tables of `query` and `find`, as conditions name them."""


@pytest.fixture
def spoken(spanish: None, capsys: pytest.CaptureFixture[str]) -> Iterator[Spoken]:
    with veiled_texts():
        yield Spoken(capsys)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("duckdb", "pyarrow", "jinja2"):
        pytest.importorskip(module)
    return heard_archive(tmp_path_factory.mktemp("archivo"))


OF_AN_ARCHIVE = [
    ("batch {recordings} -o {results} --resume --embeddings --jobs 1", 3),
    ("batch {recordings} -o {results} --resume --embeddings --threshold 0.9", 2),
    ("batch {recordings} -o {results}", 2),
    ("batch status {results}", 3),
    ("batch verify {results}", 0),
    ("batch clean {results}", 0),
    ("query {results}", 0),
    ("query {results} \"label = 'Habla'\" --limit 1", 0),
    ("query {results} \"label = 'Perro'\"", 0),
    ("query {results} 'scor > 0.5'", 2),
    ("query {results} --columns filee", 2),
    ("query {results} --table recordings", 0),
    ("query {results} 'score >> 3'", 2),
    ("query {results} 'score = 1 +'", 2),
    ("query {results} 'foo(score) > 1'", 2),
    ("query {results} --sql 'select label, count(*) from events'", 2),
    ("query {results} --table eventos", 2),
    ("query {results} --sql 'SELECT count(*) AS n FROM events'", 0),
    ("query {results} -o {tmp}/q.csv", 0),
    ("report {results}", 0),
    ("report {results} --by hour", 0),
    ("report {results} --label Habla -o {tmp}/r.csv", 0),
    ("convert {results} -o {tmp}/c.csv", 0),
    ("convert {results} -o {tmp}/c.csv", 0),
    ("convert {results} --format audacity -o {tmp}/pistas/", 0),
    ("find {results} --text habla --count 3", 0),
    ("find {results} --text Habla --count 3 -o {tmp}/h.csv", 0),
    ("find {results} --text Tijeras", 2),
    ("find {results} --like no.wav", 2),
    ("clips {results} --label Habla --choose stratified -o {tmp}/recortes", 0),
    ("clips {results} --from {tmp}/h.csv --label habla -o {tmp}/recortes2", 0),
    ("clips {results} --label Tijeras -o {tmp}/recortes3", 2),
    ("count {results} --label Habla --reviewed {tmp}/recortes/clips.csv", 2),
]


def test_what_is_told_of_an_archive_is_spanish(
    archive: Path, spoken: Spoken, tmp_path: Path
) -> None:
    places = {"results": archive, "recordings": archive.parent / "recordings", "tmp": tmp_path}
    for words, code in OF_AN_ARCHIVE:
        spoken(words.format(**places), code)
    table = tmp_path / "recortes" / "clips.csv"
    answer_yes(table)
    reviewed = f"count {archive} --label Habla --reviewed {table}"
    assert "evento es verdadero" in spoken(f"{reviewed} --by site,day -o {tmp_path}/n.csv")
    said = spoken(f"{reviewed} --by file,hour --report {tmp_path}/n.html")
    assert said.startswith("Habla: 1 de 1 evento")
    spoken.page(tmp_path / "n.html", "results")
    for by in ("hour", "day", "file"):
        spoken(f"report {archive} --by {by} -o {tmp_path}/r.html --examples 0")
    parameters = json.loads((archive / "oido-archive.json").read_text("utf-8"))["parameters"]
    options = set(re.findall(r"\w+", json.dumps(parameters)))
    spoken.page(tmp_path / "r.html", "results", "recordings", "hop", *options)
    store = tmp_path / "p.db"
    spoken(f"labels add {store} {table} --who Ana")
    assert "Habla de Ana: 1 sí, 0 no, 0 en duda" in spoken(f"labels show {store}")
    spoken(f"labels export {store} -o {tmp_path}/l.csv")
    spoken(f"labels merge {store} {store}")
    spoken(f"labels undo {store} --who Ana")
    spoken(f"labels undo {store} --who Bo", 2)
    # Last, because it does damage.
    folder = tmp_path / "dañado"
    shutil.copytree(archive, folder)
    next(iter((folder / "events").glob("*.parquet"))).write_bytes(b"nada")
    spoken(f"batch verify {folder}", 4)


OF_RECORDINGS = [
    ("classify {sound} --windows -v", 0),
    ("classify {sound} --clip", 0),
    ("classify {sound} --frames -o {tmp}/f.csv", 0),
    ("classify {sound} {tmp}/vacio.wav -o {tmp}/c.csv", 3),
    ("embed {sound} -o {tmp}/e.npz", 0),
    ("listen {sound} --replay --plain --on 'Sirena>0.6 for 1s' --do exec:true", 0),
    ("models list", 0),
    ("models info yamnet/classification", 0),
    ("models info efficientat/mn04", 0, 1),
    ("models info ensemble", 0, 1),
    ("models verify", 0, 1),
    ("thresholds show yamnet/classification", 0),
    ("export yamnet/classification -o {tmp}/y.tflite", 0),
    ("thresholds edit {tmp}/y.tflite --set Perro=0.4", 0),
    ("cache show", 0),
    ("devices", 0, 1),
    ("doctor", 0),
]


@pytest.mark.slow
def test_what_is_told_of_recordings_models_and_the_machine_is_spanish(
    examples: Path, spoken: Spoken, tmp_path: Path
) -> None:
    (tmp_path / "vacio.wav").write_bytes(b"")
    for words, *codes in OF_RECORDINGS:
        spoken(words.format(sound=examples / "alarm.flac", tmp=tmp_path), *codes)


def test_every_way_to_fail_is_told_and_kept_in_spanish_to_read(
    examples: Path, spoken: Spoken, tmp_path: Path
) -> None:
    """Reasons are stored in English, whatever made them, and are Spanish wherever they are read."""
    pytest.importorskip("duckdb")
    folder, results = tmp_path / "sonidos", tmp_path / "oido"
    folder.mkdir()
    flac = (examples / "street.flac").read_bytes()
    for name, content in {
        "vacio.wav": b"",
        "texto.mp3": b"hola",
        "corto.wav": b"RIFF",
        "ruido.flac": np.random.default_rng(0).bytes(20_000),
        "cortado.flac": flac[:300_000],
        "mitad.flac": flac[1_000:9_000],
        "cero.wav": wav(np.zeros(0), 16_000),
        "menos.wav": wav(np.zeros(16_000), 16_000)[:1_000],
    }.items():
        (folder / name).write_bytes(content)
    soundfile.write(folder / "nan.wav", np.full(16_000, np.nan, np.float32), 16_000, "FLOAT")
    (folder / "roto.wav").symlink_to("/no/hay")
    nowhere = "http://127.0.0.1:9/x.wav http://no-hay.invalid/y.wav"
    told = spoken(f"batch {folder} {nowhere} -o {results} --jobs 1", 3)
    assert "no es un formato" in told
    status = spoken(f"batch status {results}", 3)
    table = spoken(f"query {results} --table recordings")
    page = tmp_path / "r.html"
    spoken(f"report {results} -o {page} --examples 0")
    stored = [
        row["failure_reason"]
        for row in pyarrow.parquet.read_table(results / "recordings").to_pylist()
        if row["failure_reason"]
    ]
    assert len(stored) >= 8
    for reason in stored:
        assert reason not in status + table + unveiled(page.read_text("utf-8")), reason
        [shown] = [line for line in status.splitlines() if reason.partition(": ")[0] in line]
        assert shown.partition("  ")[2] not in ("", reason)


def test_calibrations_are_told_of_in_spanish(spoken: Spoken, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    table = labelled_sounds(tmp_path / "datos", each=4)
    spoken.names |= {"Beep", "bleep", "Clicking", "Hiss"}  # as this table calls them
    words = f"calibrate yamnet/classification {table}"
    written = "".join(f" -o {tmp_path}/c.{kind}" for kind in ("tflite", "json", "csv"))
    told = spoken(f"{words} --target recall=0.9 --force{written}")
    assert "se ha juzgado con grabaciones apartadas" in told
    assert "todas" in told
    told = spoken(f"{words} --guarantee fnr=0.4 --confidence 0.5")
    assert "Las etiquetas son correctas." in told
    assert "tiene 4" in spoken(f"{words} --guarantee fnr=0.01", 2)
    spoken(f"evaluate {tmp_path}/c.tflite {table} --report {tmp_path}/e.html -q", 0)
    spoken.page(tmp_path / "e.html")


def test_a_drift_is_told_of_in_spanish(spoken: Spoken, tmp_path: Path) -> None:
    sounds = make_sounds(tmp_path / "sonidos", each=5)
    assert "no se ha encontrado ningún cambio" in spoken(f"drift {sounds} {sounds}")
    (sounds / "click" / "mal.wav").write_bytes(b"RIFF")
    told = spoken(f"drift {sounds / 'hiss'} {sounds / 'click'} --level 0.1", 3)
    assert "un cambio claro" in told
    assert "excluido: " in told
    spoken(f"drift {sounds} no-existe", 2)


def test_data_are_told_of_in_spanish(spoken: Spoken, tmp_path: Path) -> None:
    sounds = make_sounds(tmp_path / "sonidos", each=3)
    shutil.copy(sounds / "hiss" / "hiss-0.wav", sounds / "click" / "otra.wav")
    (sounds / "click" / "mal.wav").write_bytes(b"RIFF")
    assert "grabaciones" in spoken(f"train {sounds} --check")


@pytest.mark.slow
def test_what_was_taught_is_told_of_in_spanish(spoken: Spoken, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    sounds = make_sounds(tmp_path / "sonidos", each=6)
    spoken(f"train {sounds} -o {tmp_path}/t.tflite --report {tmp_path}/t.html")
    spoken.page(tmp_path / "t.html")
    spoken(f"models info {tmp_path}/t.tflite")
    spoken(f"classify {sounds}/hiss/hiss-0.wav --model {tmp_path}/t.tflite")


@pytest.mark.slow
def test_what_is_adapted_and_taught_further_is_told_of_in_spanish(
    spoken: Spoken, tmp_path: Path, model: AudioModel
) -> None:
    archive = make_owls(tmp_path / "oido", 0.05, windows=120)
    path = owl_file(tmp_path / "buho.tflite", model)
    spoken.names |= {"owl", *(f"site{n}" for n in range(6))}
    labels = review(archive, tmp_path / "p.db", sampled(archive, 240))
    words = f"adapt {archive.folder} {path} --labels {labels} -o {tmp_path}/a.tflite"
    assert "pérdida logarítmica" in spoken(words, 0)
    few = review(archive, tmp_path / "few.db", range(9))
    spoken(words.replace(str(labels), str(few)), 1)
    spoken(f"models info {tmp_path}/a.tflite")
    count = f"count {archive.folder} --model {path} --label owl --reviewed {labels}"
    assert "de 1440 ventanas" in spoken(f"{count} --report {tmp_path}/n.html")
    spoken.page(tmp_path / "n.html", "oido")
    sounds = make_sounds(tmp_path / "sonidos", each=6)
    report = tmp_path / "s.html"
    pytest.importorskip("torch")
    spoken(f"train {sounds} -o {tmp_path}/s.tflite --student --minutes 0.1 --report {report}")
    spoken.page(report)
    spoken(f"models info {tmp_path}/s.tflite")


def test_words_past_the_catalogue_would_be_found() -> None:
    with veiled_texts(), in_language("es"):
        good = shown(tr("{path}: no such file", path="a.wav"))
        bad = shown(tr("{name}: {reason}", name="a.wav", reason="the disk is gone"))
        assert unveiled(good) == "a.wav: no existe ese archivo"
        assert not words_past_the_catalogue(good)
        assert words_past_the_catalogue(bad) == ["a.wav: the disk is gone"]
        page = texts_of_page('<p>seed</p><img alt="majority class"><code>x y</code>')
        assert words_past_the_catalogue(page) == ["seed", "majority class"]
        label = shown(label_text("Speech"))
        assert words_past_the_catalogue(f"{label}\nSpeech\nfile  label", (), ("file", "label")) == [
            "Speech"
        ]


def test_an_exported_page_is_told_of_in_spanish(spoken: Spoken, tmp_path: Path) -> None:
    if not is_vendored():
        pytest.skip("needs LiteRT.js: make web")
    assert "una primera visita: " in spoken(f"web export {tmp_path}/pagina")
    (tmp_path / "pagina" / "index.html").write_text("cambiado")
    spoken(f"web export {tmp_path}/pagina", 2)


def test_a_server_says_where_it_is_in_spanish(spanish: None) -> None:
    for module in ("starlette", "uvicorn"):
        pytest.importorskip(module)
    process = subprocess.Popen(
        [sys.executable, "-m", "oido", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "oyendo con yamnet/classification en http://127.0.0.1:" in line
        assert not english(line.removeprefix("oido: "))
    finally:
        process.terminate()
        process.communicate(timeout=30)
