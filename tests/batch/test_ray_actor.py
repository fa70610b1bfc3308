# SPDX-License-Identifier: Apache-2.0
"""The Ray engine's actor without Ray, and what is told where there is none."""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from oido import __version__
from oido.batch import ray_actor
from oido.batch.ray_actor import RayActor, Restarted, Started, crash_path
from oido.batch.ray_engine import RayEngine
from oido.batch.sources import find_sources
from oido.batch.units import Flush, RunSpec, Unit
from oido.batch.worker import Fatal
from oido.errors import MissingExtraError, OptionError, OutputError


@pytest.fixture
def actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayActor]:
    monkeypatch.setattr("faulthandler.enable", lambda *_, **__: None)  # pytest has its own
    monkeypatch.setattr("faulthandler.disable", lambda: None)
    actor = RayActor("tested")
    yield actor
    actor.end()
    assert not crash_path("tested").exists()


def begun(actor: RayActor, folder: Path) -> str:
    said = actor.prepare(__version__, pickle.dumps(RunSpec(folder=str(folder))))
    assert isinstance(said, Started)
    assert said.model[0] == "yamnet/classification"
    return said.life


def test_a_life_holds_what_it_heard_and_the_next_one_nothing(
    actor: RayActor, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", [0.0] * 16_000, 16_000)
    (source,) = find_sources([str(tmp_path / "a.wav")])
    life = begun(actor, tmp_path / "r")
    assert [r.finished for r in actor.serve(Unit(source), life, None)] == [()]
    (report,) = actor.serve(Flush(), life, None)
    assert [o.unit.source for o in report.finished[0].outcomes] == [source]
    assert len(list(actor.serve(Unit(source), life, None))) == 1
    again = begun(actor, tmp_path / "r")
    with pytest.raises(Restarted):
        next(actor.serve(Flush(), life, None))
    (report,) = actor.serve(Flush(), again, None)
    assert report.finished == ()


def test_a_node_of_another_version_says_so(actor: RayActor) -> None:
    said = actor.prepare("0.0.1", b"not even a pickle")
    assert isinstance(said, Fatal)
    assert f"has oido {__version__}, and this is 0.0.1" in said.reason


def test_a_folder_that_a_node_does_not_see_is_refused_before_anything_is_heard(
    actor: RayActor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_actor, "_SHARED_SECONDS", 1.0)
    life = begun(actor, tmp_path / "r")
    (tmp_path / "r").mkdir(exist_ok=True)
    (tmp_path / "r" / "oido-archive.json").write_bytes(b"that of another archive")
    with pytest.raises(OutputError, match=r"does not see the results in .*all nodes share"):
        next(actor.serve(Flush(), life, b"that of this archive"))
    (tmp_path / "r" / "oido-archive.json").write_bytes(b"that of this archive")
    assert next(actor.serve(Flush(), life, b"that of this archive")).ends_task


def test_the_next_process_tells_how_the_one_before_crashed(actor: RayActor, tmp_path: Path) -> None:
    begun(actor, tmp_path / "r")
    with crash_path("tested").open("a") as file:
        file.write("Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n")
    after = RayActor("tested")
    order = pickle.dumps(RunSpec(folder=str(tmp_path / "r")))
    said = after.prepare(__version__, order)
    assert isinstance(said, Started)
    assert said.crash == "Segmentation fault"
    assert isinstance(said := after.prepare(__version__, order), Started)
    assert said.crash == ""


def test_a_crash_while_loading_is_the_end(actor: RayActor) -> None:
    with crash_path("tested").open("a") as file:
        file.write("Fatal Python error: Illegal instruction\n")
    said = RayActor("tested").prepare(__version__, pickle.dumps(RunSpec()))
    assert isinstance(said, Fatal)
    assert "could not start" in said.reason
    assert "Illegal instruction" in said.reason


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"oido\[archive,ray\]"):
        RayEngine(RunSpec())


def test_an_address_where_no_ray_is() -> None:
    pytest.importorskip("ray", reason="needs Ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OptionError, match=f"no Ray cluster at 127.0.0.1:{port}"):
        RayEngine(RunSpec(), 1, f"127.0.0.1:{port}")
    with pytest.raises(OptionError, match="--address auto"):
        RayEngine(RunSpec(), 1, "ray://127.0.0.1:10001")
