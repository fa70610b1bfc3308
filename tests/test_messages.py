# SPDX-License-Identifier: Apache-2.0
"""Texts are English wherever they are kept, and in the reader's language where they are shown."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.cli.main import run
from oido.errors import AudioNotFoundError
from oido.messages import (
    MarkedText,
    accepted_language,
    catalogue,
    in_language,
    joined,
    language,
    recognised,
    shown,
    supported,
    system_language,
    text_of,
    tr,
    translated,
)


def no_such_file(path: str) -> MarkedText:
    return tr("{path}: no such file", path=path)


@given(name=st.text(), number=st.floats(allow_nan=False), count=st.integers())
def test_a_text_reads_as_its_f_string_would(name: str, number: float, count: int) -> None:
    text = tr("{name!r}: {number:.3f} of {count:,} {{}}", name=name, number=number, count=count)
    assert text == f"{name!r}: {number:.3f} of {count:,} {{}}"
    assert tr("{} is not {:>5}").format(name, count) == f"{name} is not {count:>5}"


def test_without_values_braces_are_braces() -> None:
    text = tr('a text message can only be {"type": "end"}')
    assert text == 'a text message can only be {"type": "end"}'
    with in_language("es"):
        assert shown(text) == text


def test_it_is_shown_in_the_language_in_use_and_stays_english() -> None:
    error = AudioNotFoundError(no_such_file("perro.wav"))
    with in_language("es"):
        assert shown(error) == "perro.wav: no existe ese archivo"
        assert str(error) == "perro.wav: no such file"
        assert json.dumps([error.args[0]]) == '["perro.wav: no such file"]'
    assert shown(error) == "perro.wav: no such file"


@pytest.mark.parametrize("travel", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_it_keeps_its_translation_on_the_way_from_a_worker(travel: object) -> None:
    assert callable(travel)
    arrived = travel(AudioNotFoundError(no_such_file("a.wav")))
    with in_language("es"):
        assert shown(arrived) == "a.wav: no existe ese archivo"


def test_what_is_put_together_is_translated_in_its_parts() -> None:
    text = tr("{name}: {reason}", name="x", reason=AudioNotFoundError(no_such_file("a.wav")))
    text += " (" + tr("recordings") + ")"
    both = joined("; ", [text, tr("score")])
    assert both == "x: a.wav: no such file (recordings); score"
    with in_language("es"):
        assert shown(both) == "x: a.wav: no existe ese archivo (grabaciones); puntuación"
        assert shown(tr("{what:<12}|", what=tr("score"))) == "puntuación  |"


def test_what_is_cut_or_replaced_is_so_in_the_translation() -> None:
    text = no_such_file("/tmp/x.wav")
    assert text.removeprefix("/tmp/x.wav: ") == "no such file"
    with in_language("es"):
        assert shown(text.removeprefix("/tmp/x.wav: ")) == "no existe ese archivo"
        assert shown(text.replace("/tmp/x.wav", "mine.wav")) == "mine.wav: no existe ese archivo"


def test_what_is_cut_off_may_be_translated_itself() -> None:
    where = tr("{path}, line {number}", path="a.csv", number=2)
    text = tr("{where}: a verdict is yes, no or unsure, not {word}", where=where, word="x")
    assert text.removeprefix(where + ": ") == "a verdict is yes, no or unsure, not x"
    with in_language("es"):
        assert shown(where) != where
        cut = text.removeprefix(where + ": ")
        assert shown(where) + ": " + shown(cut) == shown(text)


def test_a_stored_sentence_is_recognised() -> None:
    stored = str(no_such_file("a: b.wav"))
    assert recognised(stored) == stored
    with in_language("es"):
        assert recognised(stored) == "a: b.wav: no existe ese archivo"
        assert recognised("nothing that oido says") == "nothing that oido says"


def test_errors_of_others_are_as_they_are() -> None:
    assert text_of(OSError(2, "No such file")) == "[Errno 2] No such file"
    assert type(text_of(AudioNotFoundError("plain"))) is str


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "en"),
        ({"LANG": "es_ES.UTF-8"}, "es"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LANG": "es_MX", "LC_MESSAGES": "C"}, "en"),
        ({"LANG": "C.UTF-8", "LC_ALL": "es_AR.UTF-8"}, "es"),
        ({"LANG": "es_ES.UTF-8", "LC_ALL": "", "OIDO_LOCALE": "en"}, "en"),
        ({"LC_ALL": "en_GB.UTF-8", "OIDO_LOCALE": "es"}, "es"),
    ],
)
def test_the_language_of_a_system(
    values: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OIDO_LOCALE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert system_language() == expected
    # A program that uses oido has another language only where OIDO_LOCALE asks for it.
    assert language() == ("es" if values.get("OIDO_LOCALE") == "es" else "en")


def test_names_of_languages() -> None:
    names = ("es", "ES", "es-MX", "es_ES@euro", "pt", "")
    assert [supported(name) for name in names] == ["es", "es", "es", "es", "en", "en"]


def test_a_language_lasts_as_long_as_its_block() -> None:
    with in_language("es"):
        with in_language("en"):
            assert translated("score") == "score"
        assert translated("score") == "puntuación"
        assert translated("score", "en") == "score"
    assert language() == "en"


def test_english_reads_no_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    catalogue.cache_clear()
    assert run(["classify", "no-such-recording.wav"]) == 3
    assert "no such file" in capsys.readouterr().err
    assert catalogue.cache_info().currsize == 0


def test_a_command_speaks_the_language_of_its_system(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OIDO_LOCALE")
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    assert run(["classify", "perro.wav", "-q"]) == 3
    assert capsys.readouterr().err == "oido: perro.wav: no existe ese archivo\n"
    assert run(["classify", "perro.wav", "-q", "--locale", "en"]) == 3
    assert capsys.readouterr().err == "oido: perro.wav: no such file\n"


@pytest.mark.parametrize(
    ("header", "language_"),
    [
        ("es", "es"),
        ("ES-mx", "es"),
        ("en-GB,es;q=0.9", "en"),
        ("es;q=0.4, en;q=0.8", "en"),
        ("fr, de;q=0.9, es;q=0.1", "es"),
        ("es;q=0", "en"),
        ("*, es;q=0.5", "en"),
        ("es;q=x, en;q=0.1", "en"),
        ("", "en"),
        (",;=", "en"),
        ("es;q=1.0000", "en"),  # no weight of RFC 9110
    ],
)
def test_of_a_header_the_language_of_ours_that_it_wants_most(header: str, language_: str) -> None:
    assert accepted_language(header) == language_


def test_without_a_wish_it_is_the_language_in_use() -> None:
    with in_language("es"):
        assert accepted_language("") == accepted_language("fr") == accepted_language("*") == "es"
        assert accepted_language("en") == "en"


@given(st.text())
def test_any_header_is_one_of_our_languages(header: str) -> None:
    assert accepted_language(header) in ("en", "es")


def test_a_language_can_be_asked_for_beside_the_one_in_use() -> None:
    outer = tr("{path}: {reason}", path="a.wav", reason=no_such_file("b.wav"))
    assert shown(outer, "es") == "a.wav: b.wav: no existe ese archivo"
    assert recognised("b.wav: no such file", "es") == "b.wav: no existe ese archivo"
    with in_language("es"):
        assert shown(outer, "en") == "a.wav: b.wav: no such file"
        assert recognised("b.wav: no such file", "en") == "b.wav: no such file"


def test_what_was_added_to_a_stored_sentence_is_recognised_too() -> None:
    stored = "a.wav: is empty (0 bytes) (heard up to 3.0 s; those rows are kept)"
    told = "a.wav: está vacío (0 bytes) (oído hasta 3.0 s; esas filas se conservan)"
    assert recognised(stored, "es") == told
    assert recognised("a.wav: there is no channel 7; it has one channel, 0", "es").endswith(
        "no existe el canal 7; tiene un canal, el 0"
    )
    assert recognised("options", "es") == "options"  # a name may be a word of the catalogue
    refused = tr("{path}: cannot be read ({reason})", path="x", reason="Permission denied")
    assert shown(refused, "es") == "x: no se puede leer (Permiso denegado)"
