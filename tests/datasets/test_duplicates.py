# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

from oido.datasets.checks import join_duplicates, same_content
from oido.datasets.clip import Clip


def test_files_of_the_same_bytes_are_found(tmp_path: Path) -> None:
    contents = {
        "a": b"x" * 200_000,
        "b": b"y" * 200_000,
        "late": b"x" * 199_999 + b"z",  # differs behind the part that is compared first
        "a2": b"x" * 200_000,
        "short": b"x",
        "b2": b"y" * 200_000,
        "empty": b"",
        "empty2": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in [*contents, "not there", "a"]]
    found = [tuple(Path(path).name for path in paths) for paths in same_content(paths)]
    assert found == [("a", "a2"), ("b", "b2")]


def test_groups_become_one_through_any_chain_of_duplicates() -> None:
    clips = [Clip(path, group=group) for path, group in zip("abcdef", "ZYXXWV")]
    groups = join_duplicates(clips, [("a", "b"), ("b", "c"), ("e", "e")])
    assert groups == {"Z": "X", "Y": "X", "X": "X", "W": "W", "V": "V"}
