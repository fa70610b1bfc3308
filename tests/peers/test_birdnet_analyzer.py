# SPDX-License-Identifier: Apache-2.0
"""Both sides of the page "You had BirdNET-Analyzer's command line" find the same birds.

The commands are the page's. Skipped where BirdNET-Analyzer's environment, or the model, is not
here.
"""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.inference.species import species_at
from tests.peers.birds import (
    RESAMPLED,
    Found,
    assert_same,
    birdnet_files,
    by_oido,
    in_both,
    logit,
    published,
    run_child,
    seconds,
    sigmoid,
)
from tests.peers.peers import ROOT

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "guides" / "from-birdnet-analyzer.md"
NAMES = (
    "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite",
    "BirdNET_GLOBAL_6K_V2.4_Labels.txt",
    "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite",
)
SHORTEST = 1.0
ROUNDED = 5e-5 + 1e-5
"""Their tables have four decimals."""

Analyzer = Callable[[str, str], str]


@pytest.fixture(scope="module")
def analyzer(birdnet: object, tmp_path_factory: pytest.TempPathFactory) -> Analyzer:
    """``analyzer(command, arguments)`` runs one of their commands."""
    files = tmp_path_factory.mktemp("files")
    for name, path in zip(NAMES, birdnet_files()):
        (files / name).symlink_to(path)

    def run(command: str, arguments: str) -> str:
        return run_child("birdnet-analyzer", command, files, *shlex.split(arguments))

    return run


@pytest.fixture(scope="module")
def desk(analyzer: Analyzer, birds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every command of the page with BirdNET's network was run: theirs, oido's.

    Both write into folders of the same name, so each side has a folder of its own.
    """
    text = PAGE.read_text(encoding="utf-8")
    theirs = re.findall(r"^python -m birdnet_analyzer\.(\w+) (.*)$", text, re.M)
    blocks = re.findall(r"^```text\n(.*?)^```", text, re.M | re.S)
    ours = [line for block in blocks for line in block.splitlines() if line.startswith("oido ")]
    assert [name for name, _ in theirs] == [
        "analyze", "species", "segments", "embeddings", "search"
    ]  # fmt: skip
    assert len(ours) == 8
    folder = tmp_path_factory.mktemp("desk")
    for side in ("theirs", "ours"):
        recordings = folder / side / "recordings"
        recordings.mkdir(parents=True)
        for path in birds:
            (recordings / path.name).symlink_to(path)
        (crow,) = recordings.glob("*_crow.wav")
        shutil.copy(crow, folder / side / "crow.wav")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "theirs")
        for command, arguments in theirs:
            analyzer(command, arguments)
    for line in ours:
        command = [sys.executable, "-m", *shlex.split(line)]
        done = subprocess.run(
            command, cwd=folder / "ours", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        if "models info" in line:
            (folder / "ours" / "species.txt").write_text(done.stdout)
    return folder


def their_table(path: Path, recordings: list[Path]) -> list[Found]:
    """A combined CSV of theirs, by recording."""
    found: dict[str, Found] = {recording.name: {} for recording in recordings}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            label = f"{row['Scientific name']}_{row['Common name']}"
            found[Path(row["File"]).name][float(row["Start (s)"]), label] = float(row["Confidence"])
    return list(found.values())


def our_table(path: Path, recordings: list[Path]) -> list[Found]:
    """A CSV of oido's windows, by recording; with labels as theirs."""
    found: dict[str, Found] = {recording.name: {} for recording in recordings}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            common, latin = row["label"].removesuffix(")").rsplit(" (", 1)
            key = float(row["start_time"]), f"{latin}_{common}"
            found[Path(row["file"]).name][key] = float(row["score"])
    return list(found.values())


def test_both_commands_of_the_page_find_the_same(desk: Path, birds: list[Path]) -> None:
    theirs = their_table(desk / "theirs" / "results" / "BirdNET_CombinedTable.csv", birds)
    ours = our_table(desk / "ours" / "results" / "windows.csv", birds)
    assert sum(map(len, theirs)) > 8
    same = [in_both(each, birds, 1.5, SHORTEST) for each in (ours, theirs)]
    assert_same(*same, 0.4, ROUNDED)


def test_what_differs_is_the_end_of_a_recording(desk: Path, birds: list[Path]) -> None:
    """They leave out what is shorter than 1 s, and hear windows that begin where one has ended."""
    theirs = their_table(desk / "theirs" / "results" / "BirdNET_CombinedTable.csv", birds)
    ours = our_table(desk / "ours" / "results" / "windows.csv", birds)
    only_theirs, only_ours = [], []
    for own, other, path in zip(ours, theirs, birds, strict=True):
        only_theirs += [(start, seconds(path)) for start, _ in other.keys() - own.keys()]
        only_ours += [(start, seconds(path)) for start, _ in own.keys() - other.keys()]
    assert only_theirs
    assert all(start > 0 and start + 1.5 >= whole for start, whole in only_theirs)
    assert only_ours
    assert all(whole - start < SHORTEST for start, whole in only_ours)


def test_annotations_have_the_same_detections(desk: Path, birds: list[Path]) -> None:
    """Files for Audacity and Raven, of a recording of two windows and a half."""
    theirs, ours = desk / "theirs" / "results", desk / "ours" / "results"
    (track,) = ours.glob("*_blackbird.txt")
    (their_track,) = theirs.glob("*_blackbird.BirdNET.results.txt")
    cells = [line.split("\t") for line in track.read_text().splitlines()]
    their_cells = [line.split("\t") for line in their_track.read_text().splitlines()]
    starts = {float(start) for start, *_ in cells}
    assert len(starts) == len(cells) > 1
    assert {float(start) for start, *_ in their_cells} >= starts
    assert cells[0][2] == "Red-winged Blackbird (Agelaius phoeniceus)"
    assert their_cells[0][2] == "Agelaius phoeniceus, Red-winged Blackbird"
    (selections,) = ours.glob("*_blackbird.selections.txt")
    (their_selections,) = theirs.glob("*_blackbird.BirdNET.selection.table.txt")
    with selections.open() as own, their_selections.open() as other:
        row, their_row = (next(csv.DictReader(file, delimiter="\t")) for file in (own, other))
    for column in ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"):
        assert float_or_text(row[column]) == float_or_text(their_row[column])
    assert float(row["Score"]) == pytest.approx(float(their_row["Confidence"]), abs=ROUNDED)


def float_or_text(cell: str) -> float | str:
    return float(cell) if cell.replace(".", "").isdigit() else cell


def test_species_of_a_place_are_the_same(desk: Path) -> None:
    theirs = (desk / "theirs" / "species.txt").read_text(encoding="utf-8").splitlines()
    ours = (desk / "ours" / "species.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split("  ", 1)[1] for line in ours] == theirs
    assert len(theirs) > 100


def test_segments_are_the_same_clips(desk: Path, birds: list[Path]) -> None:
    """A file for each detection; theirs in a folder for each species, with the score in front."""
    names = [path.name for path in (desk / "theirs" / "clips").rglob("*.wav")]
    parsed = [re.fullmatch(r"([\d.]+)_\d+_(.*)_([\d.]+)s_([\d.]+)s\.wav", n) for n in names]
    theirs = {(m[2], float(m[3])) for m in parsed if m}
    assert len(theirs) == len(names) > 8
    with (desk / "ours" / "clips" / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ours = {(Path(row["recording"]).stem, float(row["recording_start"])): row for row in rows}
    length = {path.stem: seconds(path) for path in birds}
    for stem, start in theirs - ours.keys():
        assert start > 0
        assert start + 1.5 >= length[stem]
    for stem, start in ours.keys() - theirs:
        assert length[stem] - start < SHORTEST
    for row in rows:
        clip = desk / "ours" / "clips" / row["file"]
        whole = length[Path(row["recording"]).stem]
        assert soundfile.info(clip).duration == pytest.approx(min(3.0, whole), abs=0.01)


def test_embeddings_are_the_same(desk: Path) -> None:
    """Theirs are kept in 16 bits: 11 of a number's bits."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(desk / "ours" / "embeddings.parquet").to_pylist()
    ours = {(Path(r["file"]).name, r["start_time"]): np.array(r["embedding"]) for r in table}
    compared = 0
    with (desk / "theirs" / "tables" / "embeddings.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            own = ours.get((Path(row["file_path"]).name, float(row["start"])))
            if own is not None:
                theirs = np.array(row["embedding"].split(","), np.float64)
                np.testing.assert_allclose(theirs, own, rtol=2**-11, atol=2e-4)
                compared += 1
    assert compared > 15


def test_the_nearest_is_the_same(desk: Path) -> None:
    """Theirs is the cosine; oido's, too, but of what differs from the archive's mean."""
    found = [path.name for path in (desk / "theirs" / "found").glob("*.wav")]
    best = max(found, key=lambda name: float(name.split("_", 1)[0]))
    with (desk / "ours" / "hits.csv").open(newline="") as file:
        hits = list(csv.DictReader(file))
    assert len(hits) == len(found) == 3
    assert Path(hits[0]["file"]).stem in best
    assert "_crow_" in best
    assert len(list((desk / "ours" / "found").glob("*.flac"))) == 3


def test_sensitivity_and_place(
    analyzer: Analyzer, birds: list[Path], tmp_path: Path, desk: Path
) -> None:
    """Their sensitivity moves the logit: by 10 for each 1 that the option is more than 1."""
    analyzer(
        "analyze",
        f"{birds[0].parent} -o {tmp_path} --min_conf 0.25 --sensitivity 1.25 --lat 48.1 "
        "--lon 11.6 --week 18 --rtype csv --combine_results --threads 1",
    )
    theirs = their_table(tmp_path / "BirdNET_CombinedTable.csv", birds)
    allowed = [label for label, often in species_at(48.1, 11.6, 18).items() if often >= 0.03]
    ours = by_oido(birds, "window", sigmoid(logit(0.25) - 2.5), category_allowlist=allowed)
    same = [{k: sigmoid(logit(v) + 2.5) for k, v in each.items()} for each in ours]
    assert sum(map(len, theirs)) > 3
    assert_same(in_both(same, birds, 0.0, SHORTEST), theirs, 0.25, ROUNDED)


def test_at_other_rates_only_the_filter_differs(
    analyzer: Analyzer, shared_audio: Path, tmp_path: Path
) -> None:
    birds = published(shared_audio)
    analyzer(
        "analyze",
        f"{birds[0].parent} -o {tmp_path} --min_conf 0.1 --rtype csv --combine_results --threads 1",
    )
    theirs = their_table(tmp_path / "BirdNET_CombinedTable.csv", birds)
    ours = in_both(by_oido(birds, "window", 0.1), birds, 0.0, SHORTEST)
    assert_same(ours, theirs, 0.1, RESAMPLED)
