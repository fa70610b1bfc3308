# SPDX-License-Identifier: Apache-2.0
"""Archives on a Ray cluster of three nodes, of which one dies, and actors that die, too."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oido.errors import OptionError
from tests.batch.archives import hear, tables
from tests.batch.ray_runs import actors, hear_by_ray, make_recordings, nobody_left

ray = pytest.importorskip("ray", reason="needs Ray")
if not sys.platform.startswith("linux"):
    pytest.skip("needs Linux", allow_module_level=True)

from ray.cluster_utils import Cluster  # noqa: E402

from oido.batch.ray_engine import RayEngine  # noqa: E402

pytestmark = pytest.mark.slow

_STORE_BYTES = 80 << 20


@pytest.fixture(scope="module")
def mark() -> Iterator[str]:
    with nobody_left() as mark, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield mark


@pytest.fixture(scope="module")
def cluster(mark: str) -> Iterator[Any]:
    head = {"num_cpus": 1, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    add_node(nodes)
    yield nodes
    nodes.shutdown()


def add_node(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_recordings(tmp_path_factory.mktemp("ray") / "recordings")


@pytest.fixture(scope="module")
def local(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The tables of an undisturbed run by the local engine."""
    folder = str(tmp_path_factory.mktemp("ray") / "local")
    hear([str(recordings)], folder, split_seconds=62)
    found = tables(folder)
    assert len(found["recordings"]) == 10
    assert sum(row["failure_kind"] is not None for row in found["recordings"]) == 1
    return found


def test_a_node_that_dies_midway_costs_no_row_and_doubles_none(
    cluster: Any,
    recordings: Path,
    local: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oido.batch.ray_engine._BACK_SECONDS", 3.0)
    third = add_node(cluster)
    died = []

    def on_step(done: int) -> None:
        if done >= 2 and not died:
            died.append(done)
            cluster.remove_node(third, allow_graceful=False)

    # Of four actors one finds no place at first; with the node that dies another loses its own.
    done = hear_by_ray([str(recordings)], str(tmp_path / "r"), 4, cluster.address, on_step=on_step)
    assert died
    assert died[0] < len(done) == 10
    assert tables(str(tmp_path / "r")) == local


def test_an_actor_that_is_killed_midway_costs_no_row(
    mark: str, cluster: Any, recordings: Path, local: dict[str, Any], tmp_path: Path
) -> None:
    killed: list[int] = []

    def on_step(done: int) -> None:
        if not killed:
            killed.extend(actors(mark))
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    hear_by_ray([str(recordings)], str(tmp_path / "r"), 2, cluster.address, on_step=on_step)
    assert killed
    assert tables(str(tmp_path / "r")) == local


def test_a_node_that_joins_later_gets_an_actor(
    mark: str,
    cluster: Any,
    recordings: Path,
    local: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oido.batch.ray_engine._GROW_SECONDS", 0.0)
    most = len(cluster.list_all_nodes())
    assert most == 2

    def on_step(done: int) -> None:
        nonlocal most
        if most == 2 and len(cluster.list_all_nodes()) == 2:
            add_node(cluster)
        elif most == 2 and done < 8:
            time.sleep(1.0)
            most = max(most, len(actors(mark)))

    hear_by_ray([str(recordings)], str(tmp_path / "r"), None, cluster.address, on_step=on_step)
    assert most == 3
    assert tables(str(tmp_path / "r")) == local


def test_decoders_that_crash_or_stall_cost_their_recordings_and_say_why(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.batch import ray_crashing

    monkeypatch.setattr("oido.batch.run._MOST_CRASHES", 1)
    monkeypatch.setattr("oido.batch.ray_engine.RayActor", ray_crashing.CrashingActor)
    folder = make_recordings(tmp_path / "recordings", 4)
    (folder / "00.wav").rename(folder / "segfault.wav")
    (folder / "02.wav").rename(folder / "hang.wav")
    done = hear_by_ray([str(folder)], str(tmp_path / "r"), 2, cluster.address, stall_seconds=10.0)
    failed = {Path(o.unit.source.name).name: o.failure.reason for o in done if o.failure}
    assert sorted(failed) == ["bad.wav", "hang.wav", "segfault.wav"]
    assert "the decoder crashed (Segmentation fault)" in failed["segfault.wav"]
    assert "no progress for 10 s" in failed["hang.wav"]
    assert len(done) == 5


def test_what_every_node_would_say_ends_the_run(cluster: Any, tmp_path: Path) -> None:
    from oido.batch.plan import Plan
    from oido.batch.units import RunSpec
    from oido.errors import ModelNotFoundError

    order = RunSpec(Plan(model="no/such-model"), str(tmp_path / "r"))
    with RayEngine(order, 1, cluster.address) as engine, pytest.raises(ModelNotFoundError) as told:
        engine.start()
    assert "no/such-model" in str(told.value)


def test_another_version_of_ray_is_told_in_a_sentence(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray._private.utils.compute_version_info", lambda: ("0.0.1", "3.11.0"))
    from oido.batch.units import RunSpec

    with pytest.raises(OptionError, match=r"Version mismatch.*Ray: 0\.0\.1"):
        RayEngine(RunSpec(), 1, cluster.address)
    assert not ray.is_initialized()
