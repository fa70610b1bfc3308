# SPDX-License-Identifier: Apache-2.0
"""The 25 faults that an attack on oido found, each with the tests that hold it now: are they held?

    python benchmarks/attack_table.py               # runs their tests, a quarter of an hour
    python benchmarks/attack_table.py 1 2 13        # only those of these faults

Prints a table: the fault, what happened at the attack, its tests, and how many of them passed and
were skipped. The exit code is 0 only if none fails and each fault has a test that has run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Fault(NamedTuple):
    """As the attack numbered it, from the worst to the least."""

    number: int
    what: str
    before: str
    tests: tuple[str, ...]


def _of(folder: str, **files: str) -> tuple[str, ...]:
    """Ids of tests: by file, the rest of their names, apart by spaces."""
    names = ((file, name) for file, names in files.items() for name in names.split())
    return tuple(f"tests/{folder}/test_{file}.py::test_{name}" for file, name in names)


FAULTS = (
    Fault(
        1,
        "results into a folder with the user's own files",
        "they were deleted",
        _of("batch", run="a_folder_of_somebody_else_is_refused"),
    ),
    Fault(
        2,
        "results below a folder called key=value",
        "other rows",
        _of("results", database="folders_above_do_not_overwrite_columns"),
    ),
    Fault(
        3,
        "SIGTERM with more uploads than workers",
        "never ended",
        _of("server", draining="more_uploads_than_workers_get_their_answer_or_a_503"),
    ),
    Fault(
        4,
        "one name that is no UTF-8, from two folders",
        "endless loop",
        _of(
            "batch",
            run="one_name_that_is_no_utf8_in_two_folders "
            "a_recording_that_kills_even_with_its_failure_has_an_end",
        ),
    ),
    Fault(
        5,
        "a run that is suspended",
        "a healthy file called corrupt",
        _of("batch", process_pool="a_pause_of_this_process_is_no_silence_of_a_worker"),
    ),
    Fault(
        6,
        "headers that drip on kept connections",
        "570 open, 503 for others",
        _of("server", connections="kept_connections_have_the_clock_of_new_ones"),
    ),
    Fault(
        7,
        "pings whose pongs are not read",
        "1,238 MB",
        _of(
            "server",
            connections="pings_whose_pongs_are_not_read_cost_nothing pings_without_end_are_refused",
        ),
    ),
    Fault(
        8,
        "answers that are not read",
        "1,473 MB",
        _of("server", connections="answers_that_nobody_reads_cost_a_file_and_then_nothing"),
    ),
    Fault(
        9,
        "a recording that is replaced while its ranges are heard",
        "rows of both",
        _of("batch", ranges="a_recording_that_is_replaced_while_it_is_heard"),
    ),
    Fault(
        10,
        "a flipped bit in a part",
        "46 of 160 gave other rows",
        _of("batch", verify="a_bit_that_flips_anywhere_is_seen")
        + _of("results", database="a_bit_that_flips_never_gives_other_rows"),
    ),
    Fault(
        11,
        "a part that is cut or missing",
        "not told, not repaired",
        _of("batch", verify="only_what_was_damaged_is_heard_again"),
    ),
    Fault(
        12,
        "a flipped bit in a commit",
        "good parts deleted, rows hidden or doubled",
        _of(
            "batch",
            verify="a_bit_that_flips_anywhere_is_seen",
            commit_log="every_state_of_the_ledger_can_be_gone_on_from",
        ),
    ),
    Fault(
        13,
        "a very long name",
        "no file for all others",
        _of("batch", output_files="a_name_that_is_too_long_costs_one_recording")
        + _of("results", convert="names_that_are_too_long_or_no_utf8"),
    ),
    Fault(
        14,
        "a name in Latin-1",
        "internal error",
        _of("cli", classify="a_name_that_is_no_utf8_is_escaped_and_its_output_has_its_own_name"),
    ),
    Fault(
        15,
        "a results folder that is deleted in mid-run",
        "told as success",
        _of(
            "batch",
            commit_log="a_ledger_that_is_deleted_under_a_run_ends_it "
            "a_header_or_a_commit_before_that_is_deleted_is_seen_at_the_end",
        ),
    ),
    Fault(
        16,
        "packed files of a model that become gigabytes",
        "2.0 GB",
        _of("models/tflite", limits="a_bomb_is_refused_and_takes_little a_bomb_of_weights"),
    ),
    Fault(
        17,
        "control characters in names and labels",
        "raw on the terminal",
        _of(
            "cli",
            control_characters="no_command_shows_them_raw a_pseudoterminal_gets_none_of_them "
            "a_line_end_in_a_name_ends_no_line_of_a_report",
        ),
    ),
    Fault(
        18,
        "a token that is half a character",
        "3.2 kB of traceback for each",
        _of(
            "server",
            access="half_a_character_is_told "
            "sockets_without_a_right_token_leave_no_word_in_the_log",
        ),
    ),
    Fault(
        19,
        "workers that are killed from outside",
        "104 × 500",
        _of("server", pool="workers_that_are_killed_again_and_again_cost_503s"),
    ),
    Fault(
        20,
        "cells that a spreadsheet runs",
        "written as they are",
        _of("cli", convert="no_cell_is_a_formula_and_what_is_written_is_read_back"),
    ),
    Fault(
        21,
        "a calibration of 100,000 brackets",
        "RecursionError",
        _of("server", access="a_hostile_calibration_is_a_sentence")
        + _of("models", calibration_file="a_calibration_that_goes_too_deep_is_told"),
    ),
    Fault(
        22,
        "thresholds with a label twice",
        "one of two, without a word",
        _of("events", thresholds="a_label_that_stands_there_twice_is_refused"),
    ),
    Fault(
        23,
        "Host: LOCALHOST; answers without nosniff",
        "403; missing",
        _of(
            "server",
            access="names_are_compared_without_case "
            "every_answer_tells_browsers_to_guess_nothing_and_to_frame_nothing",
        ),
    ),
    Fault(
        24,
        "a ledger that was deleted",
        "0 rows, exit code 0",
        _of("batch", commit_log="a_ledger_that_was_deleted_is_not_an_empty_one"),
    ),
    Fault(
        25,
        "an address without a length",
        "ValueError",
        _of("batch", run_remote="an_address_without_a_length"),
    ),
)


def main() -> int:
    """Run the tests, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, help="of faults (default: all)")
    args = parser.parse_args()
    faults = [fault for fault in FAULTS if not args.numbers or fault.number in args.numbers]
    ends = outcomes(sorted({test for fault in faults for test in fault.tests}))
    print("| # | fault | at the attack | tests | passed | skipped | failed |")
    print("|--:|---|---|---|--:|--:|--:|")
    is_held = bool(faults)
    for fault in faults:
        found = [end for test in fault.tests for end in ends.get(test, ["failed"])]
        counts = {kind: found.count(kind) for kind in ("passed", "skipped", "failed")}
        tests = ", ".join(f"`{test.removeprefix('tests/')}`" for test in fault.tests)
        figures = " | ".join(map(str, counts.values()))
        print(f"| {fault.number} | {fault.what} | {fault.before} | {tests} | {figures} |")
        is_held &= counts["passed"] > 0 and not counts["failed"]
    return 0 if is_held else 1


def outcomes(tests: list[str]) -> dict[str, list[str]]:
    """How each test ended, once for each of its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0"]
        # Standard output is for the table.
        subprocess.run(
            [*command, f"--junitxml={report}", *tests], cwd=ROOT, check=False, stdout=sys.stderr
        )
        if not report.exists():
            raise SystemExit("the tests could not be run")
        found: dict[str, list[str]] = {}
        for case in ET.parse(report).iter("testcase"):
            path = case.attrib["classname"].replace(".", "/") + ".py"
            name = f"{path}::{case.attrib['name'].partition('[')[0]}"
            kinds = {"failure": "failed", "error": "failed", "skipped": "skipped"}
            end = next((kinds[child.tag] for child in case if child.tag in kinds), "passed")
            found.setdefault(name, []).append(end)
    return found


if __name__ == "__main__":
    sys.exit(main())
