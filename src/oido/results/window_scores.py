# SPDX-License-Identifier: Apache-2.0
"""What a taught model says of every window of an archive, from the embeddings that are kept there.

No recording is opened: a head on stored embeddings is a matrix product. That needs the embeddings
of the network that the head was taught on, and a head that looks at these alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32, F64
from oido.batch.archive_header import embedding_model
from oido.errors import OptionError
from oido.messages import tr
from oido.models.labels import is_same, label_text, nearest
from oido.models.loading import giver_of_embeddings, load_model
from oido.models.model import AudioModel
from oido.models.registry import ENSEMBLE, is_named
from oido.models.tflite.taught_head import TaughtHead, read_taught_head
from oido.results.query_text import quoted
from oido.results.results import Results

PLACE = ("file", "channel", "start_time", "end_time")
_DRAWN = 1 << 32


class ScoredWindows(NamedTuple):
    """Windows by file, channel and time. columns: each a list; scores: f64[n]."""

    label: str
    columns: Mapping[str, list[Any]]
    scores: F64

    @property
    def places(self) -> list[tuple[str, int | None, float]]:
        """File, channel and start of each, as reviews name them."""
        names = (self.columns[name] for name in PLACE[:3])
        return [(file, channel, round(start, 3)) for file, channel, start in zip(*names)]


def open_head(results: Results, path: Any) -> tuple[AudioModel, TaughtHead]:
    """A taught model whose head can be put on an archive's embeddings.

    Raises OptionError for a head of another network than the archive's, one that also looks at
    layers that no archive keeps, and an archive without embeddings.
    """
    model = load_model(path)
    head = read_taught_head(model)
    facts = embedding_model(results.header)
    size, base = embedding_size(results), head.training.get("base")
    # What a head on an ensemble looks at is of both networks, and in no other archive than its own.
    bases = () if base == ENSEMBLE else (head.training.get("base_sha256"),)
    if not {facts["sha256"], _network_sha256(facts)} & {*bases, head.sha256}:
        raise OptionError(
            tr(
                "{name} was taught on {base}, and the archive's embeddings are of {archive}: make "
                "an archive that keeps those that it needs (oido batch --embeddings-of {source})",
                name=model.name,
                base=base or tr("another network"),
                archive=facts["name"],
                source=base if base and base != ENSEMBLE and is_named(base) else model.path,
            )
        )
    if head.inputs != size:
        raise OptionError(
            tr(
                "{name} also looks at layers of its network that an archive does not keep; teach "
                "it on embeddings alone: oido train DATA --embeddings-only",
                name=model.name,
            )
        )
    return model, head


def _network_sha256(facts: Mapping[str, Any]) -> str:
    """Of the network that gave an archive's embeddings: those of an ensemble are its first's."""
    if facts["name"] == ENSEMBLE and (both := load_model(ENSEMBLE)).sha256 == facts["sha256"]:
        return giver_of_embeddings(both).sha256
    return str(facts["sha256"])


def embedding_size(results: Results) -> int:
    """How many numbers an archive's embeddings have. Raises OptionError if it keeps none."""
    rows = results.sql("SELECT len(embedding) AS size FROM embeddings LIMIT 1").to_pylist()
    if not rows:
        raise OptionError(no_embeddings(results.url, results.header["model"]["name"]))
    return int(rows[0]["size"])


def no_embeddings(url: str, model: str) -> str:
    """What to do where an archive keeps none."""
    return tr(
        "{url} holds no embeddings, and only the recordings can give them: make an archive that "
        "keeps them beside all else: oido batch RECORDINGS -o OTHER/ --model {model} --embeddings",
        url=url,
        model=model,
    )


def label_of(head: TaughtHead, label: str) -> int:
    """The column of a label, as anybody writes it. Raises OptionError naming the nearest."""
    for column, name in enumerate(head.labels):
        if is_same(name, label):
            return column
    near = nearest(label, head.labels) or head.labels[:4]
    raise OptionError(
        tr(
            "{name} has no label {label!r}; it has {labels}",
            name=head.name,
            label=label,
            labels=", ".join(near),
        )
    )


def embedding_batches(
    results: Results, columns: Sequence[str], condition: str = "", *, written: str | None = None
) -> Iterator[tuple[dict[str, list[Any]], F32]]:
    """Columns (in SQL, each ``… AS name``) and embeddings f32[n, D], batch by batch.

    condition: what stands behind FROM embeddings. written: the part of it that a person wrote.
    """
    query = f"SELECT {', '.join(columns)}, embedding FROM embeddings {condition}"
    for batch in results.sql_batches(query, written=written):
        if not batch.num_rows:
            continue
        vectors = batch.column(batch.num_columns - 1)
        values = np.asarray(vectors.flatten().to_numpy(zero_copy_only=False), np.float32)
        names = batch.schema.names[:-1]
        plain = {name: batch.column(n).to_pylist() for n, name in enumerate(names)}
        yield plain, values.reshape(batch.num_rows, -1)


def score_windows(
    results: Results,
    label: str,
    head: TaughtHead | None,
    terms: Sequence[str] = (),
    where: str | None = None,
) -> ScoredWindows:
    """Every window that a condition holds for, with its score.

    head: whose scores of the stored embeddings; None: those of the archive's own model, which has
    them of windows at or above its floor (`oido batch --floor`). terms: further columns in SQL,
    each ``… AS name``. Raises OptionError if there are none.
    """
    columns = [*PLACE, *terms]
    found: dict[str, list[Any]] = {}
    scores: list[F64] = []
    if head is None:
        name = results.label_here(label)
        value = "probability" if results.calibrated else "score"
        wheres = f"label = {quoted(name)}" + (f" AND ({where}\n)" if where else "")
        rows = results.sql(
            f"SELECT {', '.join(columns)}, {value} AS value FROM windows WHERE {wheres}",
            written=where,
        )
        found = {n: rows[n].to_pylist() for n in rows.column_names[:-1]}
        scores = [np.array(rows["value"].to_pylist(), np.float64)]
    else:
        column = label_of(head, label)
        name = head.labels[column]
        condition = f"WHERE ({where}\n)" if where else ""
        for plain, vectors in embedding_batches(results, columns, condition, written=where):
            for key, values in plain.items():
                found.setdefault(key, []).extend(values)
            scores.append(head.scores(vectors)[:, column].astype(np.float64))
    joined = np.concatenate(scores) if scores else np.zeros(0)
    if not len(joined):
        raise OptionError(tr("the archive has no window of {name}", name=label_text(name)))
    order = sorted(range(len(joined)), key=lambda n: _in_order(found, n))
    return ScoredWindows(
        name, {key: [values[n] for n in order] for key, values in found.items()}, joined[order]
    )


def drawn_windows(count: int, of: int, seed: int = 0) -> str:
    """SQL that is true of about so many of an archive's windows, the same ones each time."""
    if count >= of:
        return "true"
    limit = f"{int(count / of * _DRAWN):08x}"
    salt = hashlib.sha256(str(seed).encode()).hexdigest()[:8]
    return f"left(md5(concat_ws('|', file, channel, start_time, '{salt}')), 8) < {quoted(limit)}"


def _in_order(found: Mapping[str, list[Any]], n: int) -> tuple[Any, ...]:
    channel = found["channel"][n]
    return found["file"][n], -1 if channel is None else channel, found["start_time"][n]
