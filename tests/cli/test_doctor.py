# SPDX-License-Identifier: Apache-2.0
"""``oido doctor``: every line is the outcome of a real try."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.cli import doctor
from oido.cli.main import run
from oido.errors import OidoError


def test_doctor_hears_a_beep(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "hears a 1 kHz tone as 'Beep, bleep'" in text
    assert "FAIL" not in text


def test_unexpected_errors_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(doctor, "available_cores", broken)
    assert run(["doctor"]) == 1
    assert "internal error, ZeroDivisionError: oh" in capsys.readouterr().err


def test_what_fails_is_a_line_and_the_model_decides_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty cache that cannot be written: the rest is tried all the same."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.delenv("OIDO_MODEL_PATH", raising=False)
    assert run(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (failed,) = [line for line in lines if line.startswith("FAIL")]
    assert failed.split()[1] == "model"
    assert "OIDO_CACHE" in failed
    assert any(line.startswith("ok    codecs") for line in lines)


def test_what_one_can_do_without_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> str:
        raise OSError("no sound card")

    def told() -> str:
        raise OidoError("one sentence")

    assert not doctor._try("microphone", broken, optional=True)
    assert not doctor._try("codecs", told)
    assert doctor._try("cores", lambda: "2")
    assert capsys.readouterr().out.splitlines() == [
        "-     microphone      OSError: no sound card",
        "FAIL  codecs          one sentence",
        "ok    cores           2",
    ]


def test_a_package_that_is_not_here_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("no-such-package-of-anybody",))
    assert run(["doctor"]) == 0
    assert "no-such-package-of-anybody not installed: reinstall oido" in capsys.readouterr().out
