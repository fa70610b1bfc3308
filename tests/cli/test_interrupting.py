# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C at any moment of what takes long: one sentence, 130, and nothing lost or half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.cli.main import run
from oido.search.label_store import LabelStore
from tests.batch.archives import tables
from tests.results.results_folders import heard_archive

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process group")

_SLOW = [pytest.mark.slow]
"""States beside others that are tried at once."""

BEGUN = "oido.cli.terminal"
"""The first module that ``oido.__main__.main`` imports, in its ``try``.

The interpreter itself tells of each import when it is over (``-X importtime``). A Ctrl-C before
this one hits an interpreter that has not come to oido yet.
"""


class Command:
    """``oido`` with these arguments, in a process group of its own; what it imports and says."""

    def __init__(self, *args: object) -> None:
        self.imported: set[str] = set()
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "oido", *map(str, args)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith("import time:"):
                self.imported.add(line.rpartition("|")[2].strip())
            else:
                self.lines.append(line.rstrip("\n"))

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Until it holds, or the command is over."""
        limit = time.monotonic() + 120
        while not condition() and self._process.poll() is None:
            assert time.monotonic() < limit, self.lines
            time.sleep(0.001)

    def interrupt(self, whole_group: bool = True) -> None:
        """Ctrl-C in a terminal reaches the whole group; ``kill`` only the process."""
        send = os.killpg if whole_group else os.kill
        if self._process.poll() is None:
            send(self._process.pid, signal.SIGINT)

    def end(self) -> int:
        code = self._process.wait(timeout=120)
        self._reader.join(timeout=60)
        return code

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=60)
        assert self._process.stderr is not None
        self._process.stderr.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Command]]:
    commands: list[Command] = []

    def start(*args: object) -> Command:
        commands.append(Command(*args))
        return commands[-1]

    yield start
    for command in commands:
        command.close()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for number in range(8):
        soundfile.write(folder / f"{number}.wav", 0.2 * rng.standard_normal(16_000 * 60), 16_000)
    return folder


@pytest.fixture(scope="module")
def calm(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calm") / "out"
    command = Command("batch", recordings, "-o", folder, "-q")
    assert command.end() == 0
    command.close()
    return folder


def imported(name: str) -> Callable[[Command, Path], object]:
    return lambda command, out: name in command.imported


def there(pattern: str) -> Callable[[Command, Path], object]:
    return lambda command, out: next(out.glob(pattern), None)


def check_batch(command: Command, code: int, out: Path) -> bool:
    """Whether it was interrupted, and not over before; what it said must be true."""
    text = "\n".join(command.lines)
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert not list(out.rglob("*.part"))
    sentences = [line for line in command.lines if line.startswith("oido: interrupted")]
    if code == 0:
        assert not sentences
        assert "8/8 files" in command.lines[-1]
        return False
    assert code == 130, text
    assert sentences == [command.lines[-1]], text
    if (out / "oido-archive.json").exists():
        assert "go on with the same command and --resume" in sentences[0]
    else:
        assert sentences[0].endswith("; give the command again")
    return True


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(imported(BEGUN), id="main"),
        pytest.param(imported("oido.cli.main"), id="commands"),
        pytest.param(imported("oido.batch.plan"), id="imports", marks=_SLOW),
        pytest.param(imported("pyarrow.lib"), id="pyarrow", marks=_SLOW),
        pytest.param(imported("oido.batch.run"), id="archive"),
        pytest.param(there("lock"), id="lock"),
        pytest.param(imported("oido.batch.process_pool"), id="engine", marks=_SLOW),
        pytest.param(there("oido-archive.json"), id="header", marks=_SLOW),
        pytest.param(there("ledger/00000001.json"), id="first-commit", marks=_SLOW),
        pytest.param(there("*/.*.part"), id="writing"),
        pytest.param(there("events/*.parquet"), id="first-part", marks=_SLOW),
        pytest.param(there("ledger/00000002.json"), id="second-commit", marks=_SLOW),
    ],
)
def test_an_archive_interrupted_in_any_state_is_gone_on_with(
    start: Callable[..., Command],
    recordings: Path,
    calm: Path,
    tmp_path: Path,
    state: Callable[[Command, Path], object],
) -> None:
    out = tmp_path / "out"
    args = ["batch", recordings, "-o", out]
    command = start(*args)
    command.wait_until(lambda: state(command, out))
    command.interrupt()
    interrupted = check_batch(command, command.end(), out)
    if interrupted:
        as_told = ["--resume"] if "--resume" in command.lines[-1] else []
        again = start(*args, *as_told)
        assert again.end() == 0, again.lines
    assert tables(str(out)) == tables(str(calm))


def test_interrupted_at_once_a_resumed_run_says_how_to_go_on(
    start: Callable[..., Command], recordings: Path, calm: Path
) -> None:
    for module in (BEGUN, "oido.batch.run", "oido.batch.process_pool", "oido.cli.progress"):
        command = start("batch", recordings, "-o", calm, "--resume")
        command.wait_until(lambda command=command, module=module: module in command.imported)
        command.interrupt()
        code, (*_, last) = command.end(), command.lines
        assert code in (0, 130), command.lines
        if code == 130 and module == BEGUN and "--resume" not in last:  # it may come to it first
            assert last == "oido: interrupted; give the command again"  # it has --resume
        else:
            assert (code == 130) == ("go on with the same command and --resume" in last)


def delays() -> Iterator[float]:
    """Seconds: closely in the first second, then on to the end of the run."""
    yield from (0.05 * step for step in range(20))
    yield from (1.0 + 0.25 * step for step in range(12))


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "process"])
def test_an_archive_interrupted_after_any_time_says_how_to_go_on(
    start: Callable[..., Command], recordings: Path, tmp_path: Path, whole_group: bool
) -> None:
    n_interrupted = 0
    for number, delay in enumerate(delays()):
        out = tmp_path / f"out-{number}"
        command = start("batch", recordings, "-o", out)
        command.wait_until(lambda command=command: BEGUN in command.imported)
        time.sleep(delay)
        command.interrupt(whole_group)
        n_interrupted += check_batch(command, command.end(), out)
    assert n_interrupted > 3


def check_classify(command: Command, code: int, folder: Path) -> None:
    text = "\n".join(command.lines)
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert not list(folder.rglob("*.part"))
    sentences = [line for line in command.lines if line.startswith("oido: interrupted")]
    if code == 0:
        assert not sentences
        assert (folder / "out.csv").exists()
        return
    assert code == 130, text
    assert sentences == [command.lines[-1]], text
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(imported(BEGUN), id="main"),
        pytest.param(imported("oido.cli.main"), id="commands"),
        pytest.param(imported("oido.batch.sources"), id="imports"),
        pytest.param(imported("oido.batch.process_pool"), id="engine"),
        pytest.param(there(".out.csv.*"), id="output"),
    ],
)
def test_classify_interrupted_in_any_state_is_one_sentence(
    start: Callable[..., Command],
    recordings: Path,
    tmp_path: Path,
    state: Callable[[Command, Path], object],
) -> None:
    command = start("classify", recordings, "-o", tmp_path / "out.csv")
    command.wait_until(lambda: state(command, tmp_path))
    command.interrupt()
    check_classify(command, command.end(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "process"])
def test_classify_interrupted_after_any_time_is_one_sentence(
    start: Callable[..., Command], recordings: Path, tmp_path: Path, whole_group: bool
) -> None:
    for number, delay in enumerate(delays()):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = start("classify", recordings, "-o", folder / "out.csv")
        command.wait_until(lambda command=command: BEGUN in command.imported)
        time.sleep(delay)
        command.interrupt(whole_group)
        check_classify(command, command.end(), folder)


def test_a_ctrl_c_in_code_made_from_a_string_ends_with_130_as_any(tmp_path: Path) -> None:
    # CPython would end a module's process by the signal, though the interrupt was caught.
    (tmp_path / "made.py").write_text(
        "import sys\n"
        "import oido.__main__ as entry, oido.cli.main as commands\n"
        "def run():\n"
        "    try:\n"
        "        exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt:\n"
        "        return 130\n"
        "commands.run = run\n"
        "sys.exit(entry.main())\n"
    )
    done = subprocess.run([sys.executable, "-m", "made"], cwd=tmp_path, check=False, timeout=120)
    assert done.returncode == 130


def test_a_ctrl_c_where_nothing_can_be_raised_ends_the_command_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(
        "import signal, sys, time\n"
        "import oido.__main__ as entry, oido.cli.main as commands\n"
        "class Finalised:\n"
        "    def __del__(self):\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "        print('finalised')\n"
        "def run():\n"
        "    Finalised()\n"
        "    time.sleep(60)\n"
        "commands.run = run\n"
        "sys.exit(entry.main())\n"
    )
    command = [sys.executable, "-m", "made"]
    done = subprocess.run(
        command, cwd=tmp_path, check=False, timeout=50, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "oido: interrupted; give the command again\n"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive that can be searched, with a table of clips that somebody has listened to."""
    pytest.importorskip("duckdb", reason="needs oido[archive]")
    folder = tmp_path_factory.mktemp("searched")
    archive = heard_archive(folder)
    words = ["--label", "Speech", "--choose", "stratified", "-o", str(folder / "clips"), "-q"]
    assert run(["clips", str(archive), *words]) == 0
    table = folder / "clips" / "clips.csv"
    head, *rows = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([head, *(f"{row}yes" for row in rows)]) + "\n", "utf-8")
    return archive


OF_ARCHIVES = {
    "find": "find {archive} --text Speech --index {out}/index -o {out}/o.csv",
    "clips": "clips {archive} --label Speech -o {out}/o",
    "count": "count {archive} --label Speech --reviewed {table} -o {out}/o.csv",
    "labels": "labels add {out}/o.db {table}",
}
STATES = {
    "find": [imported("oido.cli.find"), imported("oido.results.find"), there("index/*")],
    "clips": [imported("oido.cli.clips"), imported("oido.results.clip_files"), there("o/*.flac")],
    "count": [imported("oido.cli.count"), imported("oido.results.counting")],
    "labels": [imported("oido.cli.labels"), imported("oido.search.label_store"), there("o.db*")],
}


def made(out: Path) -> dict[str, object]:
    """What a command left, but for what is different in each run."""
    files = sorted(
        path for path in out.rglob("*") if path.is_file() and path.parent.name != "index"
    )
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in files
        if path.suffix != ".db" and path.name != ".oido-written"
    }


@pytest.mark.parametrize(
    ("command", "state"), [(name, number) for name in STATES for number in range(len(STATES[name]))]
)
def test_what_works_on_an_archive_is_interrupted_in_one_sentence_and_can_be_given_again(
    start: Callable[..., Command], embedded: Path, tmp_path: Path, command: str, state: int
) -> None:
    table = embedded.parent / "clips" / "clips.csv"

    def words(out: Path) -> list[str]:
        places = {"archive": embedded, "out": out, "table": table}
        return [word.format(**places) for word in OF_ARCHIVES[command].split()]

    out, calm = tmp_path / "out", tmp_path / "calm"
    out.mkdir()
    calm.mkdir()
    started = start(*words(out))
    started.wait_until(lambda: STATES[command][state](started, out))
    started.interrupt()
    code, text = started.end(), "\n".join(started.lines)
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    assert not [path for path in out.rglob("*") if path.name.endswith((".part", "-journal"))]
    sentences = [line for line in started.lines if line.startswith("oido: interrupted")]
    if code == 130:
        assert sentences == [started.lines[-1]], text
        assert "give the command again" in sentences[0]
        assert not (out / "o.csv").exists()
        clips = {path.name for path in out.glob("o/*.flac")}
        if clips:
            listed = (out / "o" / "clips.csv").read_text("utf-8").splitlines()[1:]
            assert {line.split(",")[0] for line in listed} == clips
    else:
        assert code == 0, text
        assert not sentences
    assert run([*words(out), *["-q"] * (command != "labels")]) == 0
    assert run([*words(calm), *["-q"] * (command != "labels")]) == 0
    assert made(out) == made(calm)
    if command == "labels":
        with LabelStore(out / "o.db") as ours, LabelStore(calm / "o.db") as theirs:
            assert set(ours.decided()) == set(theirs.decided()) != set()


PRINTING = [
    ["find", "{archive}", "--text", "Speech"],
    ["find", "{archive}", "--text", "Speech", "--format", "parquet"],
    ["find", "{archive}", "--text", "Speech", "--format", "csv", "--count", "500"],
    ["count", "{archive}", "--label", "Speech", "--reviewed", "{table}"],
    ["labels", "show", "{store}"],
    ["query", "{archive}", "--format", "csv"],
    ["labels", "--help"],
]


@pytest.mark.parametrize("command", PRINTING, ids=lambda words: "-".join(words[:1] + words[4:6]))
def test_a_reader_that_has_enough_ends_it_without_a_word(
    embedded: Path, tmp_path: Path, command: list[str]
) -> None:
    table, store = embedded.parent / "clips" / "clips.csv", tmp_path / "p.db"
    assert run(["labels", "add", str(store), str(table)]) == 0
    places = {"archive": embedded, "table": table, "store": store}
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "oido", *(word.format(**places) for word in command)],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "rror" not in done.stderr
    assert "Exception ignored" not in done.stderr
