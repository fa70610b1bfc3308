# SPDX-License-Identifier: Apache-2.0
"""``oido doctor``: every line is the outcome of a real try."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from oido.cli import doctor
from oido.cli.main import run
from oido.errors import OidoError
from oido.live import microphone
from oido.models import fetch
from oido.models.registry import DEFAULT_MODEL, card


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


@pytest.fixture
def lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, tuple[str, str]]]:
    """The lines by name, as (mark, text), where some packages are not here, or of a version."""
    real = metadata.version

    def told(*missing: str, **versions: str) -> dict[str, tuple[str, str]]:
        def version(name: str) -> str:
            if name in missing:
                raise metadata.PackageNotFoundError(name)
            return versions.get(name) or ("99" if name in LATEST else real(name))

        monkeypatch.setattr(doctor.metadata, "version", version)
        monkeypatch.setattr(doctor, "_model", lambda: "not tried")
        assert run(["doctor"]) == 0
        parts = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
        return {name: (mark, text) for mark, name, text in parts}

    return told


LATEST = ("sounddevice", "paho-mqtt", "jinja2", "starlette", "uvicorn", "websockets")
LATEST += ("python-multipart", "prometheus-client", "scikit-learn", "matplotlib", "ray", "torch")

EXTRAS = [
    ("live", "paho-mqtt"),
    ("live", "sounddevice"),
    ("server", "starlette"),
    ("train", "scikit-learn"),
    ("ray", "ray"),
    ("torch", "torch"),
]


@pytest.mark.parametrize(("extra", "package"), EXTRAS)
def test_an_extra_that_is_not_complete_names_what_is_missing_and_the_command(
    extra: str, package: str, lines: Callable[..., dict[str, tuple[str, str]]]
) -> None:
    mark, text = lines()[f"oido[{extra}]"]
    assert mark == "ok"
    assert f"{package} 99" in text
    mark, text = lines(package)[f"oido[{extra}]"]
    assert mark == "-"
    assert text == f"{package} is not installed: pip install 'oido[{extra}]'"


def test_every_extra_that_users_have_has_a_line(
    lines: Callable[..., dict[str, tuple[str, str]]],
) -> None:
    known = set(metadata.metadata("oido").get_all("Provides-Extra") or [])
    told = {name.removeprefix("oido[").rstrip("]") for name in lines() if "[" in name}
    assert told == known - {"parquet", "dev", "heavy-tests", "site"}
    assert "pip install 'oido[parquet]'" in lines("pyarrow")["pyarrow"][1]


def test_a_version_that_will_not_do_is_not_ok(
    lines: Callable[..., dict[str, tuple[str, str]]],
) -> None:
    assert lines(ray="2.59.1")["oido[ray]"] == (
        "-",
        "ray 2.59.1 is not >=2.60: pip install 'oido[ray]'",
    )
    assert lines(torch="2.13.0+cpu")["oido[torch]"][0] == "ok"
    assert lines(ray="2.100")["oido[ray]"][0] == "ok"
    evaluate = {"sed-scores-eval": "0.0.4", "setuptools": "80.9.0"}
    assert lines(pandas="2.2.2", **evaluate)["oido[evaluate]"][0] == "ok"
    assert "pandas 3.0 is not <3" in lines(pandas="3.0", **evaluate)["oido[evaluate]"][1]


def test_oido_that_is_not_installed_knows_no_extras(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[..., dict[str, tuple[str, str]]]
) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", requires)
    assert lines()["extras"][0] == "-"


def test_without_sounddevice_the_microphone_names_the_command(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[..., dict[str, tuple[str, str]]]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # importing it is an ImportError
    assert lines()["microphone"] == (
        "-",
        "the microphone needs sounddevice: pip install 'oido[live]'",
    )


def test_without_a_microphone_and_with_one(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[..., dict[str, tuple[str, str]]]
) -> None:
    devices: list[microphone.InputDevice] = []
    monkeypatch.setattr(microphone, "input_devices", lambda: devices)
    assert "there is none" in lines()["microphone"][1]
    devices.append(microphone.InputDevice(3, "USB", "ALSA", 1, 48_000, False))
    assert lines()["microphone"] == ("ok", "1 input(s), none of them the default")
    devices.append(microphone.InputDevice(4, "Built-in", "ALSA", 1, 48_000, True))
    assert lines()["microphone"] == ("ok", "Built-in")


def test_portaudio_is_named_apart_from_what_asks_it(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[..., dict[str, tuple[str, str]]]
) -> None:
    """sounddevice is there, and the library is not: another cure."""
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    mark, text = lines()["PortAudio"]
    assert mark == "-"
    assert "apt install libportaudio2" in text


def test_portaudio_says_its_version(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[..., dict[str, tuple[str, str]]]
) -> None:
    class Made:
        def get_portaudio_version(self) -> tuple[int, str]:
            return 1246976, "PortAudio V19.6.0"

    monkeypatch.setattr(microphone, "load_sounddevice", Made)
    assert lines()["PortAudio"] == ("ok", "PortAudio V19.6.0")


def test_litert_js_is_here_or_says_how_to_come(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[..., dict[str, tuple[str, str]]]
) -> None:
    for here, mark, word in ((False, "-", "oido.server.vendor"), (True, "ok", "on the device")):
        monkeypatch.setattr("oido.server.vendor.is_vendored", lambda here=here: here)
        found = lines()["LiteRT.js"]
        assert found[0] == mark
        assert word in found[1]


def test_the_cache_is_tried_and_told_with_its_limit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[..., dict[str, tuple[str, str]]],
) -> None:
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "new"))
    monkeypatch.setenv("OIDO_CACHE_LIMIT", "700M")
    assert lines()["cache"] == ("ok", f"{tmp_path / 'new'}, at most 700 MB beside the models")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "file" / "cache"))
    mark, text = lines()["cache"]
    assert mark == "-"
    assert "set OIDO_CACHE to a folder" in text
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "new"))
    monkeypatch.setenv("OIDO_CACHE_LIMIT", "plenty")
    assert lines()["cache"][0] == "-"


def test_each_model_is_here_whole_or_says_how_to_come(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[..., dict[str, tuple[str, str]]],
) -> None:
    entry = card(DEFAULT_MODEL)
    whole = fetch.fetch(entry).read_bytes()
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OIDO_MODEL_PATH", str(tmp_path))
    for content, mark in ((whole, "ok"), (whole[:-1] + b"!", "-")):
        (tmp_path / "yamnet.tflite").write_bytes(content)
        assert lines()[DEFAULT_MODEL][0] == mark
    assert lines()["yamnet"] == ("-", "not here yet: oido models fetch yamnet (15.3 MB)")


def test_a_package_without_its_files_is_not_ok(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[..., dict[str, tuple[str, str]]],
) -> None:
    """What is left of a package when only its note of being installed is."""
    info = tmp_path / "h5py-3.99.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: h5py\nVersion: 3.99\n")
    (info / "RECORD").write_text("h5py/__init__.py,,\nh5py-3.99.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert lines()["oido[h5]"] == (
        "-",
        "h5py 3.99 lacks its files (first: pip uninstall h5py): pip install 'oido[h5]'",
    )
    (tmp_path / "h5py").mkdir()
    (tmp_path / "h5py" / "__init__.py").touch()
    assert lines()["oido[h5]"] == ("ok", "h5py 3.99")
