# SPDX-License-Identifier: Apache-2.0
"""Clips cut out of an archive: which are chosen, what is in them, and that they teach."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile

from oido.datasets.dataset import Dataset
from oido.errors import OptionError, UnknownLabelError
from oido.results import Results
from oido.results.clip_files import ClipSource, Cut, chosen_events, listed_places, write_clips
from tests.results.results_folders import FolderMaker, event, recording

RATE = 8_000


def tones(path: Path, seconds: float) -> dict[str, Any]:
    """A tone of 100 Hz more in each second; its row of recordings."""
    t = np.arange(round(seconds * RATE)) / RATE
    path.parent.mkdir(exist_ok=True, parents=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * (300 + 100 * np.floor(t)) * t), RATE)
    file = f"{path.parent.name}/{path.name}"
    return recording(file, seconds, location=str(path), size=path.stat().st_size)


def pitch(path: Path, at: float) -> float:
    """The strongest frequency in the quarter of a second around a time."""
    wave, rate = soundfile.read(path, dtype="float32")
    piece = wave[round((at - 0.125) * rate) : round((at + 0.125) * rate)]
    return float(np.abs(np.fft.rfft(piece * np.hanning(len(piece)))).argmax()) * 4


@pytest.fixture
def maker(tmp_path: Path) -> FolderMaker:
    made = FolderMaker(tmp_path / "results")
    names = ("north/20231015_063000.wav", "south/b.wav")
    rows = [tones(tmp_path / "rec" / name, 12.0) for name in names]
    events = [event(names[n % 2], n / 10, n / 10 + 0.4, "Owl", (n + 1) / 128) for n in range(100)]
    made.commit({"recordings": rows, "events": [*events, event(names[0], 5.0, 6.0, "Dog")]})
    return made


def chosen(
    maker: FolderMaker, label: str, count: int, *args: Any, **options: Any
) -> list[ClipSource]:
    with Results(str(maker.folder)) as results:
        return chosen_events(results, label, count, *args, **options)


def written(maker: FolderMaker, folder: Path, count: int = 4, **options: Any) -> Cut:
    return write_clips(chosen(maker, "Owl", count), folder, **options)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_best_come_first(maker: FolderMaker) -> None:
    assert [place.value for place in chosen(maker, "owl", 3)] == [100 / 128, 99 / 128, 98 / 128]
    assert {place.label for place in chosen(maker, "búho, lechuza", 3)} == {"Owl"}
    south = chosen(maker, "Owl", 50, where="file like 'south%' -- and a comment")
    assert {place.recording for place in south} == {"south/b.wav"}
    assert len(chosen(maker, "Owl", 500)) == 100
    assert {place.site for place in chosen(maker, "Owl", 9)} == {"north", "south"}


def test_strata_have_as_many_each_and_weights_that_add_up(maker: FolderMaker) -> None:
    places = chosen(maker, "Owl", 30, "stratified")
    assert [p.stratum for p in places].count(1) == 3
    assert {p.stratum for p in places} == set(range(1, 11))
    assert sum(p.weight for p in places) == pytest.approx(100)
    assert sum(p.weight for p in chosen(maker, "Owl", 34, "stratified")) == pytest.approx(100)
    ranges = [(1 + (p.stratum or 0) * 10 - 10, (p.stratum or 0) * 10) for p in places]
    assert all(low <= p.value * 128 <= high for p, (low, high) in zip(places, ranges))


def test_a_seed_chooses_the_same_again_and_another_others(maker: FolderMaker) -> None:
    once = chosen(maker, "Owl", 20, "random", seed=1)
    assert chosen(maker, "Owl", 20, "random", seed=1) == once
    assert chosen(maker, "Owl", 20, "random", seed=2) != once
    assert [p.weight for p in once] == [5.0] * 20
    assert min(p.value for p in once) < 0.4, "not only the best"


def test_what_cannot_be_chosen_is_said(maker: FolderMaker) -> None:
    with pytest.raises(UnknownLabelError, match="Owlet"):
        chosen(maker, "Owlet of the far north", 3)
    with pytest.raises(OptionError, match="no event of Cat"):
        chosen(maker, "Cat", 3)
    with pytest.raises(OptionError, match="not 0"):
        chosen(maker, "Owl", 0)


@pytest.mark.parametrize("kind", ["flac", "wav"])
def test_a_clip_holds_its_event(maker: FolderMaker, tmp_path: Path, kind: Any) -> None:
    places = chosen(maker, "Dog", 1)
    cut = write_clips(places, tmp_path / "out", format_name=kind)
    (path,) = cut.written
    assert path.name == f"north_20231015T063005Z_0.500.{kind}"
    assert soundfile.info(path).samplerate == RATE
    assert soundfile.info(path).duration == pytest.approx(1.5)
    assert pitch(path, 0.75) == 800, "the sixth second"
    (row,) = table(tmp_path / "out")
    assert (row["label"], row["group"], row["site"]) == (
        "Dog",
        "north/20231015_063000.wav",
        "north",
    )
    assert (row["recording_start"], row["start_at"]) == ("5.000", "2023-10-15T06:30:05.000Z")


def test_clips_of_a_length_keep_to_their_recording(maker: FolderMaker, tmp_path: Path) -> None:
    cut = write_clips(chosen(maker, "Owl", 100), tmp_path / "out", seconds=3.0)
    assert len(cut.written) == 100
    assert {soundfile.info(path).frames for path in cut.written} == {3 * RATE}
    longer = write_clips(chosen(maker, "Owl", 1), tmp_path / "long", seconds=60.0)
    assert soundfile.info(longer.written[0]).duration == 12.0
    with pytest.raises(OptionError, match="more than 0"):
        write_clips([], tmp_path / "none", seconds=0)


def test_train_can_read_the_table(maker: FolderMaker, tmp_path: Path) -> None:
    places = [*chosen(maker, "Owl", 4), *chosen(maker, "Dog", 1)]
    write_clips(places, tmp_path / "out")
    data = Dataset.load(str(tmp_path / "out" / "clips.csv"))
    assert len(data.clips) == 5
    assert {label for clip in data.clips for label in clip.labels} == {"Owl", "Dog"}
    assert {clip.group for clip in data.clips} == {"north/20231015_063000.wav", "south/b.wav"}


def test_nothing_of_the_users_is_overwritten(maker: FolderMaker, tmp_path: Path) -> None:
    written(maker, tmp_path / "out")
    again = written(maker, tmp_path / "out")
    assert len(again.written) == 4, "what oido wrote is replaced"
    again.written[0].write_bytes(b"mine")
    with pytest.raises(OptionError, match="would be overwritten"):
        written(maker, tmp_path / "out")
    assert again.written[0].read_bytes() == b"mine"


def test_names_whose_bytes_are_no_text_keep_what_is(tmp_path: Path) -> None:
    """The table has ``\\udce9`` for the byte; its backslash begins no folder."""
    sound = tmp_path / "latin.wav"
    soundfile.write(sound, np.zeros(16_000, np.float32), 16_000)
    place = ClipSource(
        "s/latin\\udce9.wav",
        None,
        0.0,
        1.0,
        "Owl",
        0.5,
        str(sound),
        1.0,
        None,
        "s",
        "top",
        None,
        1.0,
    )
    cut = write_clips([place], tmp_path / "out")
    assert [path.name for path in cut.written] == ["s_latin-_000000.00s_0.500.flac"]


def test_a_recording_that_is_gone_is_told_and_the_others_are_cut(
    maker: FolderMaker, tmp_path: Path
) -> None:
    (tmp_path / "rec" / "south" / "b.wav").unlink()
    cut = written(maker, tmp_path / "out", 10)
    assert len(cut.written) == 5
    assert "not at" in cut.unreached["south/b.wav"]
    assert len(table(tmp_path / "out")) == 5


def test_recordings_at_addresses_are_fetched(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    row = tones(tmp_path / "rec" / "a.wav", 4.0)
    store = fsspec.filesystem("memory")
    store.pipe_file("/clips-test/a.wav", (tmp_path / "rec" / "a.wav").read_bytes())
    row |= {"file": "memory://clips-test/a.wav", "location": "memory://clips-test/a.wav"}
    maker.commit({"recordings": [row], "events": [event(row["file"], 1.0, 2.0, "Dog")]})
    (path,) = write_clips(chosen(maker, "Dog", 1), tmp_path / "out").written
    assert pitch(path, 0.75) == 400


def test_rows_that_find_wrote_become_clips(maker: FolderMaker, tmp_path: Path) -> None:
    hits = tmp_path / "hits.csv"
    hits.write_text(
        "file,channel,start_time,end_time,similarity\n"
        "south/b.wav,,3.000,3.975,0.91\nsouth/b.wav,,7.500,8.475,0.75\n"
    )
    with Results(str(maker.folder)) as results:
        places = listed_places(results, hits, "owl?")
        cut = write_clips(places, tmp_path / "out")
        assert [path.name for path in cut.written] == [
            "south_b_000003.00s_0.910.flac",
            "south_b_000007.50s_0.750.flac",
        ]
        assert {row["label"] for row in table(tmp_path / "out")} == {"owl?"}
        hits.write_text("file,start_time,end_time\nelse.wav,1,2\n")
        with pytest.raises(OptionError, match=r"else\.wav is no recording of"):
            listed_places(results, hits, None)
        for cells in ("one,2,,", "nan,2,,", "1,2,,high", "1,2,left,", "2,1,,", "1,,,"):
            hits.write_text(f"file,start_time,end_time,channel,score\nsouth/b.wav,{cells}\n")
            with pytest.raises(OptionError, match="line 2"):
                listed_places(results, hits, None)
        hits.write_text("file;start_time;end_time;score\nsouth/b.wav;1,5;0:02;\n")  # a spreadsheet
        (place,) = listed_places(results, hits, None)
        assert (place.start_time, place.end_time, place.value) == (1.5, 2.0, 0.0)
        with pytest.raises(OptionError, match="a slash"):
            listed_places(results, hits, "owl/male")
        hits.write_text("file,when\nsouth/b.wav,1\n")
        with pytest.raises(OptionError, match="'start_time'"):
            listed_places(results, hits, None)
