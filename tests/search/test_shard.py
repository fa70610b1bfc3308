# SPDX-License-Identifier: Apache-2.0
"""Shards give back what they were made of, in half the room where the values lie on a grid."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.search.shard import Grid, Shard, write_shard


def on_a_grid(rows: int, step: float, low: int, high: int, size: int = 32) -> np.ndarray:
    numbers = np.random.default_rng(rows).integers(low, high + 1, (rows, size))
    numbers[0, :2] = low, high
    return (numbers.astype(np.float32) * np.float32(step)).astype(np.float16)


@given(
    step=st.floats(0.0005, 4.0),
    low=st.integers(-200, 0),
    width=st.integers(1, 255),
    rows=st.integers(1, 40),
)
def test_values_on_a_grid_come_back_to_the_bit(
    step: float, low: int, width: int, rows: int
) -> None:
    values = on_a_grid(rows, step, low, low + width)
    grid = Grid.of(values)
    if grid is not None:
        assert np.array_equal(grid.values(grid.codes(values)).astype(np.float16), values)


def test_an_int8_networks_values_are_kept_as_int8(tmp_path: Path) -> None:
    values = on_a_grid(500, 0.0235, 0, 190)
    facts = write_shard(tmp_path, "one", [values[:300], values[300:]], 500)
    shard = Shard(tmp_path, facts)
    assert np.load(tmp_path / "one.npy").dtype == np.int8
    assert np.array_equal(shard.vectors(0, 500).astype(np.float16), values)
    assert np.array_equal(shard.rows(np.array([3, 499])).astype(np.float16), values[[3, 499]])


def test_values_of_no_grid_stay_float16(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float16)
    shard = Shard(tmp_path, write_shard(tmp_path, "one", [values], 50))
    assert np.load(tmp_path / "one.npy").dtype == np.float16
    assert np.array_equal(shard.vectors(0, 50), values.astype(np.float32))


def test_a_later_block_off_the_grid_loses_nothing(tmp_path: Path) -> None:
    values = on_a_grid(100, 0.5, 0, 100)
    others = np.random.default_rng(1).random((100, 32)).astype(np.float16)
    shard = Shard(tmp_path, write_shard(tmp_path, "one", [values, others], 200))
    both = np.concatenate([values, others])
    assert np.array_equal(shard.vectors(0, 200).astype(np.float16), both)


@pytest.mark.parametrize("values", [on_a_grid(64, 0.031, -20, 60), None])
def test_products_are_those_of_the_vectors(tmp_path: Path, values: np.ndarray | None) -> None:
    if values is None:
        values = np.random.default_rng(2).standard_normal((64, 32)).astype(np.float16)
    shard = Shard(tmp_path, write_shard(tmp_path, "one", [values], 64))
    directions = np.random.default_rng(3).standard_normal((32, 3)).astype(np.float32)
    products, squares = shard.products(10, 40, directions)
    exact = shard.vectors(10, 40).astype(np.float64)
    assert products == pytest.approx(exact @ directions, abs=1e-3)
    assert squares == pytest.approx((exact**2).sum(axis=1), rel=1e-5)
    assert shard.total == pytest.approx(
        shard.vectors(0, 64).sum(axis=0, dtype=np.float64), rel=1e-6, abs=1e-6
    )


def test_a_part_of_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    values = on_a_grid(10, 0.5, 0, 9)
    for rows in (9, 11):
        with pytest.raises(ValueError, match="rows"):
            write_shard(tmp_path, "one", [values], rows)
    assert not list(tmp_path.iterdir())


_FULL = """
import resource, sys
import numpy as np
from pathlib import Path
from oido.errors import OutputError
from oido.search.shard import write_shard
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_shard(Path(sys.argv[1]), "one", [np.ones((1_000, 64), np.float16)], 1_000)
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """NumPy's own is "64000 requested and 20000 written"."""
    pytest.importorskip("resource", reason="needs POSIX")
    words = [sys.executable, "-c", _FULL, str(tmp_path)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"{tmp_path}/one.")
    assert "cannot be written: File too large" in said
    assert "requested" not in said
    assert not list(tmp_path.glob("*.part"))
