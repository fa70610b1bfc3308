# SPDX-License-Identifier: Apache-2.0
"""Columns that are made a block at a time are the rows that are made one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import oido
from oido.batch.arrow_rows import ChannelRows, schemas
from oido.batch.plan import Plan
from oido.batch.recording import row_maker
from oido.batch.units import RunSpec
from oido.inference.block import Block
from oido.params import Selection

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


@pytest.fixture(scope="module")
def blocks(classifier: oido.AudioClassifier) -> list[Block]:
    return list(classifier.stream(STREET))


def made(
    classifier: oido.AudioClassifier, blocks: list[Block], spec: RunSpec, channel: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables, as they come."""
    batches: dict[str, list[Any]] = {}
    buffer = lambda table, batch: batches.setdefault(table, []).append(batch)  # noqa: E731
    maker = ChannelRows(spec, classifier, "a.wav", channel, buffer)
    for block in blocks:
        assert maker.push(block) == []
    assert maker.flush(480_000) == []
    return {name: pa.Table.from_batches(found).to_pylist() for name, found in batches.items()}


def expected(
    classifier: oido.AudioClassifier, blocks: list[Block], plan: Plan, channel: int | None = None
) -> list[dict[str, Any]]:
    maker = row_maker(plan, classifier, "a.wav", channel)
    rows = [row for block in blocks for row in maker.push(block)] + maker.flush(480_000)
    found = [row._asdict() for row in rows]
    for row in found:
        if row.pop("probability") is not None:
            pytest.fail("the default model has no calibration")
        assert row.pop("start_at") is None
        row["score"] = float(np.float32(row["score"]))
        row["also"] = "|".join(row["also"])
    return found


@pytest.mark.parametrize("channel", [None, 1])
def test_every_table_has_the_rows_of_its_level(
    classifier: oido.AudioClassifier, blocks: list[Block], channel: int | None
) -> None:
    spec = RunSpec(Plan(), floor=0.05, clip_top=4)
    found = made(classifier, blocks, spec, channel)
    windows = oido.AudioClassifier(classifier.model, score_threshold=0.05, jobs=1)
    wanted = Plan(level="windows", selection=Selection(score_threshold=0.05))
    assert found["windows"] == expected(windows, blocks, wanted, channel)
    assert found["events"] == expected(classifier, blocks, Plan(), channel)
    assert found["clips"] == expected(classifier, blocks, Plan(level="clip", top=4), channel)
    counts = {name: len(rows) for name, rows in found.items()}
    print(counts)
    assert counts["clips"] == 4
    assert any("|" in row["also"] for row in found["events"])
    assert {row["also"] for name in ("windows", "clips") for row in found[name]} == {""}


def test_denied_labels_have_no_row_and_names_are_in_the_language_of_the_plan(
    classifier: oido.AudioClassifier, blocks: list[Block]
) -> None:
    options = {"category_denylist": ["Siren"], "display_names_locale": "es"}
    spanish = oido.AudioClassifier(classifier.model, jobs=1, **options)  # type: ignore[arg-type]
    plan = Plan(locale="es", selection=Selection(category_denylist=("Siren",)))
    found = made(spanish, blocks, RunSpec(plan, floor=0.05))
    for rows in found.values():
        assert "Sirena" not in {row["label"] for row in rows}
    assert "Alarma" in {row["label"] for row in found["windows"]}


def test_embeddings_are_float16_and_only_where_they_are_wanted(
    classifier: oido.AudioClassifier, blocks: list[Block]
) -> None:
    assert "embeddings" not in made(classifier, blocks, RunSpec())
    rows = made(classifier, blocks, RunSpec(embeddings=True))["embeddings"]
    vectors = np.concatenate([block.embeddings for block in blocks]).astype(np.float16)
    assert np.array_equal(np.array([row["embedding"] for row in rows], np.float16), vectors)
    spans = [classifier.windowing.span(number) for number in range(len(rows))]
    assert [(row["start_time"], row["end_time"]) for row in rows] == spans


def test_a_floor_that_nothing_reaches_makes_no_row(
    classifier: oido.AudioClassifier, blocks: list[Block]
) -> None:
    assert "windows" not in made(classifier, blocks, RunSpec(floor=1.01))


def test_schemas_have_a_column_for_probabilities_if_there_are_some() -> None:
    for calibrated in (False, True):
        found = schemas(calibrated)
        assert set(found) == {"recordings", "events", "windows", "clips", "embeddings"}
        assert ("probability" in found["events"].names) == calibrated
        assert found["embeddings"].field("embedding").type == pa.list_(pa.float16())
