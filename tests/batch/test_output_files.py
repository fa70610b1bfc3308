# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oido.batch.output_files import ResultFiles
from oido.batch.plan import Failure, FileSummary, Task
from oido.errors import OptionError, OutputError
from oido.types import Row
from oido.writers.base import RowWriter
from oido.writers.formats import format_named


def task(number: int, relative: str) -> Task:
    return Task(number, f"/recordings/{relative}", f"/recordings/{relative}", relative)


def row(name: str) -> Row:
    return Row(name, None, 0.0, 1.0, "Dog", 69, 0.5)


def hear(files: ResultFiles, tasks: list[Task]) -> None:
    for one in tasks:
        files.write(one, [row(one.name)])
        files.end(one, FileSummary(one.name, windows=1))


def names_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_format_in_one_file_told_by_its_name(tmp_path: Path) -> None:
    tasks = [task(0, "a.wav"), task(1, "b.wav")]
    with ResultFiles(str(tmp_path / "out.csv"), [], "events", tasks) as files:
        hear(files, tasks)
        assert names_in(tmp_path) != ["out.csv"], "not before the run is over"
        files.commit()
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert len(lines) == 3
    assert names_in(tmp_path) == ["out.csv"]
    assert files.manifest_path == tmp_path / "out.csv.manifest.json"


def test_several_formats_share_the_name(tmp_path: Path) -> None:
    tasks = [task(0, "a.wav")]
    formats = [format_named(n) for n in ("csv", "srt", "raven")]
    with ResultFiles(str(tmp_path / "out.csv"), formats, "events", tasks) as files:
        hear(files, tasks)
        files.commit()
    assert names_in(tmp_path) == ["out.csv", "out.selections.txt", "out.srt"]


def test_a_folder_mirrors_the_recordings_folder(tmp_path: Path) -> None:
    tasks = [task(0, "x/a.wav"), task(1, "y/a.wav"), task(2, "z.mp4"), task(3, "z.wav")]
    formats = [format_named("audacity"), format_named("jsonl")]
    with ResultFiles(f"{tmp_path}/new/", formats, "windows", tasks) as files:
        hear(files, tasks)
        files.commit()
    assert names_in(tmp_path / "new") == [
        ".oido-written",
        "windows.jsonl",
        "x/a.txt",
        "y/a.txt",
        "z.mp4.txt",
        "z.wav.txt",
    ]


def test_recordings_of_one_name_from_two_folders_keep_their_paths(tmp_path: Path) -> None:
    tasks = [Task(0, "/m/a.wav", "/m/a.wav", "a.wav"), Task(1, "/n/a.wav", "/n/a.wav", "a.wav")]
    with ResultFiles(f"{tmp_path}/", [format_named("vtt")], "events", tasks) as files:
        hear(files, tasks)
        files.commit()
    assert names_in(tmp_path) == [".oido-written", "m/a.wav.vtt", "n/a.wav.vtt"]


def test_a_recording_that_failed_at_once_leaves_no_file_of_its_own(tmp_path: Path) -> None:
    tasks = [task(0, "bad.wav"), task(1, "quiet.wav")]
    with ResultFiles(f"{tmp_path}/", [format_named("srt")], "events", tasks) as files:
        failure = Failure("UnknownFormatError", "bad.wav: no")
        files.end(tasks[0], FileSummary("bad.wav", failure=failure))
        files.end(tasks[1], FileSummary("quiet.wav", windows=3))
        files.commit()
    assert names_in(tmp_path) == [".oido-written", "quiet.srt"]
    assert (tmp_path / "quiet.srt").read_text() == ""


def test_leaving_early_leaves_nothing_half_written(tmp_path: Path) -> None:
    tasks = [task(0, "a.wav")]
    with ResultFiles(str(tmp_path / "out.csv"), [], "events", tasks) as files:
        files.write(tasks[0], [row("a.wav")])
    assert names_in(tmp_path) == []


def test_an_interrupted_run_is_kept_under_a_name_that_says_so(tmp_path: Path) -> None:
    tasks = [task(0, "a.wav"), task(1, "b.wav")]
    with ResultFiles(str(tmp_path / "out.csv"), [], "events", tasks) as files:
        hear(files, tasks[:1])
        files.save_partial()
    assert names_in(tmp_path) == ["out.partial.csv"]
    assert "a.wav" in (tmp_path / "out.partial.csv").read_text()


def test_a_name_that_tells_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--format"):
        ResultFiles(str(tmp_path / "out.xyz"), [], "events", [task(0, "a.wav")])


def test_one_caption_file_cannot_hold_two_recordings(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="folder"):
        ResultFiles(str(tmp_path / "out.srt"), [], "events", [task(0, "a.wav"), task(1, "b.wav")])


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    recording = tmp_path / "a.csv"
    recording.write_bytes(b"sound")
    one = Task(0, str(recording), str(recording), "a.csv")
    with pytest.raises(OptionError, match="one of the recordings"):
        ResultFiles(str(recording), [], "events", [one])
    assert recording.read_bytes() == b"sound"


def test_in_a_folder_only_what_oido_wrote_is_replaced(tmp_path: Path) -> None:
    tasks, formats = [task(0, "a.wav"), task(1, "b.wav")], [format_named("audacity")]

    def write() -> None:
        with ResultFiles(f"{tmp_path}/", formats, "events", tasks) as files:
            hear(files, tasks)
            files.commit()

    (tmp_path / "b.txt").write_text("0\t1\tmy own label\n")
    with pytest.raises(OptionError, match=r"b\.txt would be overwritten, but oido did not write"):
        write()
    assert names_in(tmp_path) == ["b.txt"], "nothing is begun"
    (tmp_path / "b.txt").unlink()
    write()
    write()
    (tmp_path / "a.txt").write_text("0\t1\tcorrected\n")
    with pytest.raises(OptionError, match=r"a\.txt would be overwritten"):
        write()
    assert (tmp_path / "a.txt").read_text() == "0\t1\tcorrected\n"


def test_what_an_interrupted_run_kept_is_kept_by_the_next_one(tmp_path: Path) -> None:
    tasks = [task(0, "a.wav")]
    for _ in range(3):
        with ResultFiles(f"{tmp_path}/", [format_named("csv")], "events", tasks) as files:
            hear(files, tasks)
            files.save_partial()
    partial = [name for name in names_in(tmp_path) if "partial" in name]
    assert partial == ["events.partial.csv", "events.partial2.csv", "events.partial3.csv"]


class BadWriter(RowWriter):
    """Has no form for the rows of one recording."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, rows: Any) -> None:
        if any(row.file.endswith("b.wav") for row in rows):
            raise ValueError("no form for this")
        self._stream.write("x")

    def close(self) -> None: ...


def test_a_name_that_is_too_long_costs_one_recording(tmp_path: Path) -> None:
    tasks = [task(0, "a.wav"), task(1, f"{'n' * 246}.wav"), task(2, f"{'m' * 253}.w"), task(3, "z")]
    formats = [format_named("srt"), format_named("csv")]
    with ResultFiles(f"{tmp_path}/out/", formats, "events", tasks) as files:
        ended = []
        for one in tasks:
            files.write(one, [row(one.name)])
            ended.append(files.end(one, FileSummary(one.name, windows=1)))
        files.commit()
    failures = [summary.failure for summary in ended]
    assert [failure is None for failure in failures] == [True, True, False, True]
    assert failures[2] is not None
    assert "cannot be written: File name too long" in failures[2].reason
    written = [".oido-written", "a.srt", "events.csv", f"{'n' * 246}.srt", "z.srt"]
    assert names_in(tmp_path / "out") == written
    assert len((tmp_path / "out" / "events.csv").read_text().splitlines()) == 5


def test_one_bad_writer_and_one_folder_in_the_way_cost_one_recording_each(tmp_path: Path) -> None:
    tasks = [task(0, "a.wav"), task(1, "b.wav"), task(2, "c/c.wav"), task(3, "d.wav")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "c").write_text("in the way")
    formats = [format_named("srt"), format_named("audacity")._replace(writer=BadWriter)]
    with ResultFiles(f"{tmp_path}/out/", formats, "events", tasks) as files:
        ended = []
        for one in tasks:
            files.write(one, [row(one.name)])
            ended.append(files.end(one, FileSummary(one.name, windows=1)))
        files.commit()
    assert [summary.failure is None for summary in ended] == [True, False, False, True]
    assert ended[1].failure is not None
    assert ended[1].failure.reason == "/recordings/b.wav: ValueError: no form for this"
    suffix = format_named("audacity").suffix
    expected = ["a.srt", f"a{suffix}", "b.srt", "d.srt", f"d{suffix}", "c", ".oido-written"]
    assert names_in(tmp_path / "out") == sorted(expected)


def test_a_file_that_the_user_named_ends_the_run(tmp_path: Path) -> None:
    name = str(tmp_path / f"{'n' * 253}.srt")
    with pytest.raises(OutputError, match="File name too long"):
        hear(ResultFiles(name, [], "events", [task(0, "a.wav")]), [task(0, "a.wav")])


def test_an_address_is_no_file_of_this_computer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for output in ("s3://bucket/out.csv", "s3://bucket/out/"):
        with pytest.raises(OptionError, match=f"{output}: is an address"):
            ResultFiles(output, [format_named("csv")], "events", [task(0, "a.wav")])
    assert names_in(tmp_path) == []
