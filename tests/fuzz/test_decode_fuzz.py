# SPDX-License-Identifier: Apache-2.0
"""Damaged files: whatever is in them, the outcome is finite sound or an AudioError.

A native crash inside a decoder cannot be caught in Python. It costs its process, and so one file
where files are heard in processes of their own; it is allowed here, but counted and printed.
"""

from __future__ import annotations

import os

import pytest

from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from tests.fuzz.harness import Outcomes, fuzz

SEED = int(os.environ.get("OIDO_FUZZ_SEED", "20240607"))
"""Another seed, another set of mutants."""

MOST_CRASHES_PER_THOUSAND = 5


def check(outcomes: Outcomes, mutants: int, what: str, report: list[str]) -> None:
    report.append(f"fuzz, {what}: {outcomes}")
    report.extend(f"  native crash: {line}" for line in outcomes.crashes)
    assert not outcomes.failures, "\n" + "\n".join(outcomes.failures)
    assert outcomes.mutants == mutants
    # The mutants are worth something: many are damaged beyond hearing, and many are not.
    assert outcomes.counts["decoded"] > mutants / 10
    assert mutants - outcomes.counts["decoded"] > mutants / 20
    most = 1 + mutants * MOST_CRASHES_PER_THOUSAND / 1_000
    assert len(outcomes.crashes) <= most, "\n" + "\n".join(outcomes.crashes)


def test_some_mutants_of_every_format(corpus, report):
    check(fuzz(corpus, SEED, 300), 300, "small set", report)


@pytest.mark.slow
def test_many_mutants_of_every_format(corpus, report):
    check(fuzz(corpus, SEED + 1, 20_000), 20_000, "big set", report)


@pytest.mark.slow
def test_many_mutants_of_files_from_the_wild(wild_corpus, report):
    check(fuzz(wild_corpus, SEED + 2, 2_000), 2_000, "files from the wild", report)


def test_the_files_are_sound_before_they_are_damaged(corpus):
    for path in sorted(corpus.iterdir()):
        with open_audio(path) as reader:
            assert sum(map(len, mono_blocks(reader))) >= 1_500, path.name
