# SPDX-License-Identifier: Apache-2.0
"""The formats by their names, and each of them without a row."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.errors import OptionError
from oido.writers.base import ALSO, COLUMNS
from oido.writers.formats import FORMATS, Format, format_named, format_of_path
from tests.writers.written_rows import read_back, written


@pytest.mark.parametrize("entry", FORMATS, ids=lambda f: f.name)
def test_no_detections_still_make_a_valid_file(entry: Format) -> None:
    content = written(entry)
    if entry.combined:
        assert read_back(entry, content) == []
    expected = {"csv": ",".join((*COLUMNS, ALSO)) + "\n", "json": "[]\n", "vtt": "WEBVTT\n\n"}
    if entry.name in expected:
        assert content.decode() == expected[entry.name]
    if entry.name == "raven":
        assert content.decode().startswith("Selection\tView\tChannel\tBegin Time (s)\t")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("A.JSONL", "jsonl"),
        ("a.selections.txt", "raven"),
        ("a.txt", "audacity"),
        ("a.b.vtt", "vtt"),
        ("a", None),
        ("a.docx", None),
    ],
)
def test_a_file_name_tells_its_format(name: str, expected: str | None) -> None:
    entry = format_of_path(Path(name))
    assert (entry.name if entry else None) == expected


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"xml.*csv.*vtt"):
        format_named("xml")
