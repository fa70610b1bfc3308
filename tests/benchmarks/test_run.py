# SPDX-License-Identifier: Apache-2.0
"""benchmarks/run.py: one table of all figures, and the machine's state beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.signal.decode.wav_bytes import wav

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, pins to cores")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import run

    return run


def row(run: Any, cores: list[int], **figures: Any) -> dict[str, Any]:
    return {**run._row("WAV", "yamnet/classification", [], cores, "wav16"), **figures}


def cells(run: Any, rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    lines = run._table(rows).splitlines()
    heads, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(heads, line, strict=True)) for line in body]


def test_ratios_are_those_within_a_repeat_and_their_median_is_shown(run: Any) -> None:
    one = row(
        run,
        [0],
        oido=[500.0, 100.0, 800.0],
        ceiling=[1000.0, 250.0, 1000.0],
        oido_cpu_us=[2000.0] * 3,
        ceiling_cpu_us=[1000.0] * 3,
        others=[0.0, 0.5, 0.01],
        peers={"mediapipe": [250.0, 25.0, 200.0]},
        stages=dict.fromkeys(run.STAGES, 300.0),
    )
    two = row(run, [0, 1], oido=[950.0, 190.0, 1520.0], others=[0.5, 0.5, 0.0])
    first, second = cells(run, [one, two])
    assert (first["windows/s"], first["ceiling"]) == ("500", "1000")
    assert (first["share"], first["by CPU"], first["× 1 core"]) == ("0.50", "0.50", "")
    assert (first["MediaPipe"], first["Task Library"]) == ("200", "")
    assert (first["network"], first["rest"], first["µs a window"]) == ("300", "500", "2000")
    assert second["windows/s"] == "~950"  # others were busy in most of its repeats
    assert second["× 1 core"] == "~1.90"
    assert second["rest"] == ""


def test_a_cold_start_is_quicker_where_it_takes_less(run: Any) -> None:
    seconds = {"mediapipe": [0.8, 0.9], "tflite-support": [0.2, 0.2]}
    cold = {**row(run, [0], oido=[0.4, 0.4], others=[0.0], peers=seconds), "is_cold": True}
    line = run._table([cold]).splitlines()[-1]
    assert "| 0.40 |" in line
    assert "| 0.85 | 2.12 | 0.20 | 0.50 |" in line


@pytest.mark.parametrize(
    ("others", "words"), [(0.01, "1% of the cores before"), (0.3, "NOT QUIET")]
)
def test_the_machine_and_its_load_stand_above(run: Any, others: float, words: str) -> None:
    facts = run.processor()
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["features"].keys() >= {"VNNI", "AVX-512", "AVX2"}
    report = {"oido": "1", "python": "3", "sound": "clips", "seconds": 60.0}
    heading = run._heading({**report, "processor": facts, "others_before": others})
    assert words in heading
    assert ("NOT QUIET" in heading) == (others > 0.05)
    assert all(name in heading for name in ("VNNI", "AVX-512", "AVX2", "L2"))


def test_what_others_use_is_what_was_busy_without_ones_own_children(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import machine

    clocks = {"_busy_seconds": [10.0, 26.0], "_own_seconds": [2.0, 12.0]}
    for name, values in clocks.items():
        monkeypatch.setattr(machine, name, lambda *_, values=values: values.pop(0))
    times = [100.0, 110.0]
    monkeypatch.setattr(machine.time, "perf_counter", lambda: times.pop(0))
    with run.watch([0, 1]) as watched:
        pass
    assert watched.others == pytest.approx(0.3)  # six of the twenty seconds of two cores
    assert not watched.is_quiet


def test_parts_are_asked_for_by_their_names() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), "--only", "formats,colds"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no 'colds' here, only formats, stages" in done.stderr


@pytest.mark.slow
def test_the_network_s_share_of_a_minute_that_repeats_is_that_of_the_minute(
    run: Any, tmp_path: Path
) -> None:
    """Equal patches of one call are computed once, and no recording is heard in one call."""
    import stages

    minute = np.random.default_rng(0).normal(0, 0.1, 60 * 16_000)
    times = {}
    for minutes in (1, 4):
        path = tmp_path / f"{minutes}.wav"
        path.write_bytes(wav(np.tile(minute, minutes), 16_000))
        times[minutes] = stages.stages_of("yamnet/classification", path)["network"]
    assert times[4] > 0.6 * times[1]
