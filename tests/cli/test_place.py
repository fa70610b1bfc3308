# SPDX-License-Identifier: Apache-2.0
"""Which species `--place`, `--date` and `--place-threshold` leave, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.cli.main import run
from oido.results import Results

MUNICH = ("--model", "birdnet/2.4", "--place", "48.1,11.6")
RATE = 48_000


def write_noise(path: Path) -> str:
    noise = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    soundfile.write(path, noise, RATE)
    return str(path)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (("--place", "48.1,11.6"), "goes with --model birdnet/2.4"),
        (("--place", "Munich"), "is LATITUDE,LONGITUDE"),
        (("--date", "2026-05-12"), "go with --place"),
        (("--place-threshold", "0.1"), "go with --place"),
        ((*MUNICH, "--date", "May"), "is a day such as 2026-05-12"),
        ((*MUNICH, "--date", "from-file"), "has no date in its name"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], refusal: str
) -> None:
    assert run(["classify", write_noise(tmp_path / "noise.wav"), *options]) != 0
    assert refusal in capsys.readouterr().err


@pytest.mark.slow
def test_a_date_in_the_recordings_names(
    birdnet: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("20260512_063000.wav", "20260112_063000.wav"):
        write_noise(tmp_path / name)
    (tmp_path / "._of-a-mac.wav").write_bytes(b"")
    common = ["classify", *MUNICH, "--date", "from-file", "--threshold", "0.9"]
    assert run([*common, str(tmp_path)]) == 0
    assert "in week 2, 18 of 48" in capsys.readouterr().err


@pytest.mark.slow
def test_each_recording_has_the_species_of_its_own_week(birdnet: object, tmp_path: Path) -> None:
    """Of two recordings of the same sound, only that of summer may have a swift."""
    for name in ("20260612_063000.wav", "20260112_063000.wav"):
        write_noise(tmp_path / name)
    swift = ["--allow", "Common Swift", "--floor", "0"]
    results = tmp_path / "results"
    arguments = [*MUNICH, "--date", "from-file", "--jobs", "1", "-q", *swift]
    assert run(["batch", str(tmp_path), "-o", str(results), *arguments]) == 0
    with Results(str(results)) as found:
        rows = found.sql("SELECT DISTINCT file FROM windows").to_pylist()
    assert [Path(row["file"]).name for row in rows] == ["20260612_063000.wav"]
    written = tmp_path / "rows.csv"
    common = ["classify", *MUNICH, "--date", "from-file", "--allow", "Apus apus", "--windows"]
    assert run([*common, str(tmp_path), "--jobs", "1", "-q", "-o", str(written)]) == 0
    assert {Path(line.split(",")[0].strip('"')).name for line in rows_of(written)} == {
        "20260612_063000.wav"
    }
    manifest = json.loads((tmp_path / "rows.csv.manifest.json").read_text())
    place = {"latitude": 48.1, "longitude": 11.6, "threshold": 0.03}
    assert manifest["parameters"]["place"] == place


def rows_of(table: Path) -> list[str]:
    return table.read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.slow
def test_lists_of_labels_narrow_the_species(
    birdnet: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = write_noise(tmp_path / "noise.wav")

    def allowed(*options: str) -> list[str]:
        output = tmp_path / "out.json"
        assert run(["classify", sound, *MUNICH, *options, "-q", "-o", str(output)]) == 0
        manifest = json.loads((tmp_path / "out.json.manifest.json").read_text())
        labels: list[str] = manifest["parameters"]["selection"]["category_allowlist"]
        return labels

    everything = allowed()
    raven, blackbird = "Corvus corax_Common Raven", "Turdus merula_Eurasian Blackbird"
    assert {raven, blackbird} <= {*everything}
    assert allowed("--allow", "Common Raven", "--allow", "Laughing Kookaburra") == [raven]
    assert {*everything} - {*allowed("--deny", "turdus merula")} == {blackbird}
    assert len(allowed("--place-threshold", "0.5")) < len(everything)
    capsys.readouterr()
    assert run(["classify", sound, *MUNICH, "--allow", "Laughing Kookaburra"]) != 0
    assert "none of the labels that are allowed" in capsys.readouterr().err
