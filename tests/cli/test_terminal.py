# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C by the one who gave it, and silence for C and Python alike."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oido.cli.terminal import (
    data_output,
    direct,
    escaped_output,
    has_colours,
    interruptible,
    interrupts_held,
    print_line,
    print_message,
    print_report,
    print_styled,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to itself")


class Run:
    """What can be asked to end."""

    asked = 0

    def interrupt(self) -> None:
        self.asked += 1


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_ctrl_c_asks_and_the_second_ends() -> None:
    run, before = Run(), signal.getsignal(signal.SIGINT)

    def twice() -> None:
        with interruptible(run.interrupt):
            interrupt()
            assert run.asked == 1
            interrupt()

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert run.asked == 1
    assert signal.getsignal(signal.SIGINT) is before
    with interruptible(run.interrupt):
        pass
    assert signal.getsignal(signal.SIGINT) is before


def held(interrupts: int) -> list[str]:
    """What a block did that is interrupted so many times; then it raises, if it should."""
    done: list[str] = []
    try:
        with interrupts_held():
            for _ in range(interrupts):
                interrupt()
            done.append("the rest of the block")
    except KeyboardInterrupt:
        done.append("interrupted")
    return done


@pytest.mark.parametrize(
    ("interrupts", "done"),
    [
        (0, ["the rest of the block"]),
        (1, ["the rest of the block", "interrupted"]),
        (2, ["interrupted"]),  # at once if it is repeated
    ],
)
def test_a_ctrl_c_that_is_held_comes_at_the_end(interrupts: int, done: list[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert held(interrupts) == done
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_block_gives_way_to_the_interrupt() -> None:
    def fail() -> None:
        with interrupts_held():
            interrupt()
            raise ValueError("half done")

    with pytest.raises(KeyboardInterrupt):
        fail()


def test_other_threads_are_left_in_peace() -> None:
    run, entered = Run(), []

    def work() -> None:
        with interruptible(run.interrupt), interrupts_held():
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [True]


def silenced(really: bool) -> str:
    code = (
        "import os, sys\n"
        "from oido.cli.terminal import print_message, silence_stderr\n"
        "print_message('before')\n"
        f"with silence_stderr({really}):\n"
        "    os.write(2, b'of C\\n'); print('of Python', file=sys.stderr)\n"
        "print_message('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr


def test_what_libraries_print_leads_nowhere_and_ours_comes_again() -> None:
    assert silenced(True) == "oido: before\noido: after\n"
    assert "of C\n" in silenced(False)


def test_without_a_standard_error_nothing_is_to_be_silenced() -> None:
    code = (
        "import os\nos.close(2)\n"
        "from oido.cli.terminal import silence_stderr\n"
        "with silence_stderr():\n    print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "heard\n"


def test_an_error_inside_silence_brings_the_voice_back() -> None:
    code = (
        "import sys\n"
        "from oido.cli.terminal import print_message, silence_stderr\n"
        "try:\n"
        "    with silence_stderr():\n        print_message('nobody reads this'); 1 / 0\n"
        "except ZeroDivisionError:\n    print_message('heard again')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "oido: heard again\n"


def test_output_is_utf8_whatever_the_system_says() -> None:
    code = "from oido.cli.terminal import use_utf8; use_utf8(); print('k\\xfcche \\u72d7')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment, check=True
    )
    assert done.stdout.decode("utf-8").rstrip() == "küche 狗"


def test_all_that_is_printed_within_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with escaped_output():
        print("a\x1b[2J", "b\tc")
        sys.stderr.writelines(["one\x07\n", "two\x9b\n"])
        print_line("d\ne")
        print_message("f\r\ng")
        print("drawn \x1b[H", file=direct(sys.stdout))
        print("data \x1b \x9b", file=data_output())  # no terminal here: the next program's
    assert (sys.stdout, sys.stderr) == before
    out, err = capsys.readouterr()
    assert out == "a\\x1b[2J b\tc\nd\\ne\ndrawn \x1b[H\ndata \x1b \x9b\n"
    assert err == "one\\x07\ntwo\\x9b\noido: f\\r\\ng\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("values", "on_terminal", "in_pipe"),
    [
        ({"TERM": "xterm-256color"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, False),  # as no-color.org has it
        ({"TERM": "xterm", "CLICOLOR": "0"}, False, False),
        ({"TERM": "xterm", "CLICOLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"FORCE_COLOR": "0", "TERM": "xterm"}, False, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_who_gets_colours(
    values: dict[str, str], on_terminal: bool, in_pipe: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert has_colours(Terminal()) is on_terminal
    assert has_colours(io.StringIO()) is in_pipe


def test_colours_are_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names cannot colour; without colours the same line is plain, and the marks are the same."""
    texts = []
    for force in ("1", "0"):
        monkeypatch.setenv("FORCE_COLOR", force)
        monkeypatch.delenv("NO_COLOR", raising=False)
        out = Terminal()
        monkeypatch.setattr(sys, "stdout", out)
        with escaped_output():
            print_styled(("0:01  ", ""), ("███", "cyan"), ("", "dim"), ("a\x1b[31mb", "bold"))
            print_report("title\n+ good\n! bad\n-1 plain")
        texts.append(out.getvalue())
    assert texts[1] == "0:01  ███a\\x1b[31mb\ntitle\n+ good\n! bad\n-1 plain\n"
    assert texts[0] == (
        "0:01  \x1b[36m███\x1b[0m\x1b[1ma\\x1b[31mb\x1b[0m\ntitle\n\x1b[32m+ \x1b[0mgood\n"
        "\x1b[31m! \x1b[0mbad\n-1 plain\n"
    )


@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_option_switches_them_off(place: int) -> None:
    """Wherever it stands; and machines' formats never have any."""
    alarm = Path(__file__).parents[2] / "examples" / "alarm.flac"
    words = ["classify", str(alarm), "-q"]
    environment = {**os.environ, "FORCE_COLOR": "1"}
    environment.pop("NO_COLOR", None)

    def out(*line: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "oido", *line],
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        ).stdout

    assert "\x1b[1mAlarm\x1b[0m" in out(*words)
    plain = out(*words[:place], "--no-color", *words[place:])
    assert "Alarm" in plain
    assert "\x1b" not in plain
    assert "\x1b" not in out(*words, "--format", "csv")
