# SPDX-License-Identifier: Apache-2.0
"""Where else a sound is: the windows of an archive whose embeddings are nearest to examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32
from oido.batch.archive_header import embedding_model
from oido.batch.parquet_parts import WindowPlaces, all_places_of, places_of, vectors_of
from oido.batch.results_folder import ResultsFolder, read_folder
from oido.batch.storage import is_remote, storage_of
from oido.batch.units import EMBEDDINGS, SEARCH_INDEX, Part
from oido.errors import MissingExtraError, OptionError
from oido.inference.embedder import AudioEmbedder
from oido.messages import tr
from oido.models.labels import label_text
from oido.models.loading import giver_of_embeddings, load_model
from oido.models.model import AudioModel
from oido.models.registry import is_named
from oido.results.example_spans import ExampleSpan, time_in_event
from oido.results.excerpts import read_excerpt
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.results.window_scores import no_embeddings
from oido.search.index import EmbeddingIndex, Match
from oido.search.label_words import labels_for_words
from oido.search.outliers import outlying
from oido.search.shard import Shard

_TEXT_EXAMPLES = 5
"""So many of the archive's own windows stand for a label."""

_SURPLUS = 8
"""So many windows are asked for per hit, because neighbours are one hit."""

_ROUNDED = 0.05
"""Seconds by which a time that a person reads may differ from that of the event."""

OnProgress = Callable[[int, int], None]


class _Example(NamedTuple):
    """What is looked for. vector: f32[size]; own: file and span in the archive that it is."""

    vector: F32
    own: tuple[str, float, float] | None


class Finder:
    """Searches one archive; its index is made or brought up to date first.

        with Results("results/") as results:
            table = Finder(results).find(["owl.wav@3-5"], count=20)

    results: of a run with ``--embeddings``. index: the folder of its index; None is
    ``search-index`` in an archive on this machine. on_progress: called with the parts that are
    indexed, and all. model: the file whose embeddings they are, if it is none of the catalogue; it
    is needed for examples that the archive has no windows of. Raises OptionError for an archive
    without embeddings.
    """

    def __init__(
        self,
        results: Results,
        index: str | os.PathLike[str] | None = None,
        on_progress: OnProgress = lambda done, of: None,
        model: str | os.PathLike[str] | None = None,
    ) -> None:
        self._results, self._model = results, model
        folder = read_folder(results.url, with_units=False)
        self._parts = _embedding_parts(folder)
        if index is None and is_remote(results.url):
            raise OptionError(
                tr(
                    "{url} is not on this machine: say with --index in which folder "
                    "here the index of its embeddings is kept",
                    url=results.url,
                )
            )
        self.index = EmbeddingIndex(Path(index or os.path.join(results.url, SEARCH_INDEX)))
        self._storage = storage_of(results.url)
        rows = {path: part.rows for path, part in self._parts.items()}
        self.index.update(rows, lambda p: vectors_of(self._storage, self._parts[p]), on_progress)
        self._embedder: AudioEmbedder | None = None

    def find(
        self,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        *,
        events: Sequence[str] = (),
        texts: Sequence[str] = (),
        vectors: Sequence[F32] = (),
        where: str | None = None,
        count: int = 50,
        is_exact: bool = False,
    ) -> Any:
        """A ``pyarrow.Table``, best first: file, channel, start_time, end_time, similarity, and
        ``start_at`` where the archive's clock is read.

        like: examples, each a recording or a span of one (``clip.wav@12.5-14``), on this machine or
        of the archive. unlike: what it is not. events: examples, each an event of the archive by
        its recording and a time in it (``night.wav@1:02:12``; of several the surest). texts: names
        of labels, or words for them (`labels_of`), whose best windows in the archive are examples,
        too. vectors: f32[size] each, where the archive's embeddings are, as a model of sounds and
        texts has them for a text.
        where: a condition in SQL over the columns of embeddings. Windows that overlap or touch are
        one hit; the examples themselves are none. is_exact: compare every window. Raises
        OptionError or an AudioError.
        """
        if count < 1:
            raise OptionError(tr("at least 1 hit is to be found, not {count}", count=count))
        # A single one may come as it is.
        like, unlike, events, texts = (
            [x] if isinstance(x, str) else x for x in (like, unlike, events, texts)
        )
        examples = [self._example(ExampleSpan.of(text)) for text in like]
        for text in events:
            own = self._event(*time_in_event(text))
            examples.append(_Example(self._stored(*own), own))
        for text in texts:
            examples += self._of_words(text)
        examples += [_Example(self._checked(vector), None) for vector in vectors]
        if not examples:
            raise OptionError(tr("say what is looked for: --like clip.wav, or --text owl"))
        others = [self._example(ExampleSpan.of(text)).vector for text in unlike]
        wanted = count * _SURPLUS
        while True:
            matches = self.index.search(
                np.stack([example.vector for example in examples]),
                wanted,
                np.stack(others) if others else None,
                exact=is_exact,
            )
            table = self._table(matches, where)
            hits = _places(table, [example.own for example in examples if example.own])
            # A search by sketches ends where its candidates end, and so may give fewer.
            if len(hits) >= count or len(matches) < wanted or wanted >= self.index.n:
                return table.take(hits[:count]) if hits else table.slice(0, 0)
            wanted *= 4

    @property
    def model(self) -> AudioModel:
        """The one whose embeddings the archive has. Raises OptionError if another is here."""
        self._embedder = self._embedder or self._load_embedder()
        return giver_of_embeddings(self._embedder.model)

    def examples(self, like: Sequence[str]) -> tuple[F32, list[tuple[str, float, float]]]:
        """f32[k, size], the mean embedding of each example as `find` takes them, and file, start
        and end of those that are of the archive."""
        found = [self._example(ExampleSpan.of(text)) for text in like]
        return np.stack([e.vector for e in found]), [e.own for e in found if e.own is not None]

    def all_windows(self) -> list[tuple[Shard, WindowPlaces]]:
        """The archive's vectors, part by part, and where the windows are."""
        return [
            (shard, all_places_of(self._storage, self._parts[path]))
            for path, shard in self.index.shards_of_parts()
        ]

    def outlying(self, count: int = 50, *, where: str | None = None, seed: int = 0) -> Any:
        """The windows that are least like all others and each other, the least like them first.

        Columns, ``where`` and what is one hit: as of `find`; the similarity is that to the nearest.
        The same seed compares with the same sample. Raises OptionError.
        """
        if count < 1:
            raise OptionError(tr("at least 1 hit is to be found, not {count}", count=count))
        # Neighbours are alike, and so few of them are chosen beside each other.
        table = self._table(outlying(self.index, 2 * count, seed=seed), where)
        table = table.take(list(range(table.num_rows))[::-1])
        hits = _places(table, [])
        return table.take(hits[:count]) if hits else table.slice(0, 0)

    def _example(self, span: ExampleSpan) -> _Example:
        """The mean of an example's windows, or of those that the archive has of it."""
        own = self._own(span)
        if own is not None and not os.path.exists(span.path):
            return _Example(self._stored(*own), own)
        if not is_remote(span.path) and not os.path.exists(span.path):
            raise OptionError(
                tr(
                    "{path}: there is no such recording, neither here nor in the archive",
                    path=span.path,
                )
            )
        embedder = self._embedder = self._embedder or self._load_embedder()
        windows = embedder.model.windows
        least_seconds = windows.window_samples / windows.sample_rate_hz
        excerpt = read_excerpt(span.path, span.start_time, span.end_time, least_seconds)
        result = embedder.embed(excerpt.waveform, excerpt.rate_hz)
        return _Example(result.clip_embedding, own)

    def _checked(self, vector: F32) -> F32:
        values = np.asarray(vector, np.float32)
        size = len(self.index.mean()) if self.index.n else values.size
        if values.shape != (size,) or not np.isfinite(values).all():
            raise OptionError(tr("a vector has {size} finite numbers, as embeddings", size=size))
        return values

    def _load_embedder(self) -> AudioEmbedder:
        header = self._results.header
        facts = embedding_model(header)
        name = facts["name"]
        if self._model is None and not is_named(name):
            raise OptionError(
                tr(
                    "{url} holds embeddings of the model {name}: say --model and its file",
                    url=self._results.url,
                    name=name,
                )
            )
        model = load_model(self._model or name)
        if model.sha256 != facts["sha256"]:
            raise OptionError(
                tr(
                    "the archive's embeddings are of another {name} than the one "
                    "here, and cannot be compared with it",
                    name=name,
                )
            )
        is_own = facts is header["model"]
        return AudioEmbedder(model, hop=header["parameters"].get("hop") if is_own else None)

    def _own(self, span: ExampleSpan) -> tuple[str, float, float] | None:
        """Which recording of the archive an example is, and its span there."""
        path = span.path if is_remote(span.path) else os.path.realpath(span.path)
        names = ", ".join(map(quoted, {span.path, path, os.path.abspath(span.path)}))
        found = self._results.sql(
            "SELECT file, duration, location, size FROM recordings "
            f"WHERE file IN ({names}) OR location IN ({names}) ORDER BY location <> {quoted(path)}"
        ).to_pylist()
        if not found:
            return None
        end = span.end_time if span.end_time is not None else found[0]["duration"] or float("inf")
        return found[0]["file"], span.start_time, end

    def _event(self, path: str, time: float) -> tuple[str, float, float]:
        """Recording, start and end of the surest event at a time, which tables show rounded."""
        own = self._own(ExampleSpan(path))
        if own is None:
            raise OptionError(tr("{path}: there is no such recording in the archive", path=path))
        value = self._results.value_column
        found = self._results.sql(
            f"SELECT start_time, end_time FROM events WHERE file = {quoted(own[0])} "
            f"AND start_time <= {time + _ROUNDED} AND end_time >= {time - _ROUNDED} "
            f"ORDER BY {value} DESC, start_time"
        ).to_pylist()
        if not found:
            raise OptionError(
                tr(
                    "{file}: the archive has no event at {time} s; `oido query` lists "
                    "those that it has",
                    file=own[0],
                    time=f"{time:g}",
                )
            )
        return own[0], found[0]["start_time"], found[0]["end_time"]

    def _stored(self, file: str, start_time: float, end_time: float) -> F32:
        """f32[size]: the mean of an archive's windows that lie in a span, or else overlap it."""
        overlapping = (
            f"file = {quoted(file)} AND start_time < {end_time} AND end_time > {start_time}"
        )
        inside = f"start_time >= {start_time} AND end_time <= {end_time}"
        rows = self._results.sql(
            f"SELECT embedding, {inside} AS inside FROM embeddings WHERE {overlapping}"
        ).to_pylist()
        if not rows:
            raise OptionError(tr("{file}: the archive has no window there", file=file))
        chosen = [row["embedding"] for row in rows if row["inside"]] or [
            row["embedding"] for row in rows
        ]
        return np.asarray(np.mean(np.array(chosen, np.float32), axis=0))

    def label_of(self, text: str) -> str:
        """The label that is called so. Raises OptionError if no window of the archive has it."""
        label = self._results.label_here(text)
        if not self._best_windows(label):
            raise OptionError(
                tr(
                    "no window of the archive has the label {label!r}: give an example with --like",
                    label=label_text(label),
                )
            )
        return label

    def labels_of(self, text: str) -> tuple[str, ...]:
        """The labels that words stand for: the one that is called so, or else those that mean about
        the same, of which the archive has windows.

        Raises OptionError where there is none, or none is looked for, for want of `oido[words]`.
        """
        try:
            return (self.label_of(text),)
        except OptionError as error:
            here = self._results.sql("SELECT DISTINCT label FROM windows ORDER BY label")
            try:
                found = labels_for_words(text, here["label"].to_pylist())
            except MissingExtraError as missing:
                raise OptionError(
                    tr("{error} ({missing})", error=error, missing=missing)
                ) from error
            if not found:
                raise
            return found

    def _of_words(self, text: str) -> list[_Example]:
        """The archive's best windows of labels stand for them."""
        spans = [span for label in self.labels_of(text) for span in self._best_windows(label)]
        # They are what is looked for, and so hits themselves.
        return [_Example(self._stored(*span), None) for span in spans]

    def _best_windows(self, label: str) -> list[tuple[str, float, float]]:
        value = self._results.value_column
        rows = self._results.sql(
            f"SELECT file, start_time, end_time FROM windows "
            f"WHERE label = {quoted(label)} ORDER BY {value} DESC, file, start_time "
            f"LIMIT {_TEXT_EXAMPLES}"
        ).to_pylist()
        return [(row["file"], row["start_time"], row["end_time"]) for row in rows]

    def _table(self, matches: Sequence[Match], where: str | None) -> Any:
        """The windows that were found, best first, as far as the condition holds."""
        rows_of: dict[str, list[Match]] = {}
        for match in matches:
            rows_of.setdefault(match.part, []).append(match)
        values = []
        for path, group in rows_of.items():
            places = places_of(self._storage, self._parts[path], [match.row for match in group])
            for match, (file, channel, start_time) in zip(group, places):
                number = "NULL" if channel is None else channel
                values.append(f"({quoted(file)}, {number}, {start_time!r}, {match.similarity!r})")
        columns = [name for name in self._results.columns(EMBEDDINGS) if name != "embedding"]
        # Numbers written with a point are decimals to DuckDB.
        similarity = "CAST(similarity AS DOUBLE) AS similarity"
        listed = ", ".join([*columns[:4], similarity, *columns[4:]])
        found = (
            f"(VALUES {', '.join(values)}) AS found(of_file, of_channel, of_start, similarity)"
            if values
            else "(SELECT '' AS of_file, 0 AS of_channel, 0.0 AS of_start, 0.0 AS similarity "
            "WHERE false) AS found"
        )
        condition = f"AND ({where}\n)" if where else ""
        return self._results.sql(
            f"SELECT {listed} FROM embeddings JOIN {found} ON file = of_file "
            f"AND start_time = CAST(of_start AS DOUBLE) "
            f"AND channel IS NOT DISTINCT FROM of_channel "
            f"WHERE true {condition} ORDER BY similarity DESC, file, start_time",
            written=where,
        )


def _embedding_parts(folder: ResultsFolder) -> dict[str, Part]:
    parts = {part.path: part for part in folder.live if part.table == EMBEDDINGS}
    if not parts:
        raise OptionError(no_embeddings(folder.url, folder.header["model"]["name"]))
    return parts


def _places(table: Any, own: Sequence[tuple[str, float, float]]) -> list[int]:
    """The rows of a table, best first, that are hits: one for each place, and no example."""
    kept: dict[tuple[Any, Any], list[tuple[float, float]]] = {}
    hits = []
    for number, row in enumerate(table.select(range(4)).to_pylist()):
        start, end = row["start_time"], row["end_time"]
        if any(row["file"] == file and start < e and end > s for file, s, e in own):
            continue
        spans = kept.setdefault((row["file"], row["channel"]), [])
        if all(start > e or end < s for s, e in spans):
            spans.append((start, end))
            hits.append(number)
    return hits
