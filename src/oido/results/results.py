# SPDX-License-Identifier: Apache-2.0
"""A results folder as tables: filtered by labels and times, sorted, or asked in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from oido.errors import OptionError, UnknownLabelError
from oido.messages import joined, tr
from oido.models.labels import audioset_labels, label_named, nearest, nearest_shown
from oido.results.clock import Clock, Reading
from oido.results.database import Database
from oido.results.query_text import files_in, labels_in, near_columns, quoted
from oido.results.views import TABLES
from oido.writers.base import ALSO

_ORDER = ("file", "channel NULLS FIRST", "start_time")
_BEST_FIRST = ("probability DESC NULLS LAST", "score DESC", "label_index")
_ORDERS = {
    "events": (*_ORDER, "label_index"),
    "windows": (*_ORDER, *_BEST_FIRST),
    "clips": (*_ORDER, *_BEST_FIRST),
    "embeddings": _ORDER,
    "recordings": ("file",),
}


class Results(AbstractContextManager["Results"]):
    """What an archive run left in a folder, so far as it is committed.

    url: a path, or any URL that fsspec knows. clock: how the times of recordings are found; None
    leaves times out. Tables are pyarrow's; their columns are those of the run, and when each row
    began, in UTC: ``start_at``, in recordings ``recorded_at`` and ``time_from`` (see `Clock`).
    is_checked: parts in a folder on this machine are compared with the ledger before they are
    read, and one that is not as it was written is a DamagedResultsError; False reads it as it is.

    Raises OptionError for what is not a results folder, MissingExtraError without
    ``oido[archive]``. Use it as a context manager, or call ``close``.

        with Results("results/") as results:
            dogs = results.events("label = 'Dog' and score > 0.5")
            counts = results.sql("select label, count(*) from events group by label")
    """

    def __init__(
        self,
        url: str,
        clock: Clock | None = Clock(),  # noqa: B008 (frozen)
        *,
        is_checked: bool = True,
    ) -> None:
        from oido.batch.results_folder import read_folder

        folder = read_folder(url, with_units=False)
        self.url = url
        self.header: dict[str, Any] = dict(folder.header)
        """Model, parameters, version and date of the run."""
        self.damaged = folder.damaged
        """How many recordings have rows that were damaged, and have not been heard again yet."""
        self.clock = clock
        self._database = Database(folder, clock, is_checked=is_checked)

    def __repr__(self) -> str:
        return f"<Results {self.url}: tables {', '.join(TABLES)}>"

    @property
    def calibrated(self) -> bool:
        """Whether rows have a probability beside their score."""
        return bool(self.header.get("calibrated"))

    @property
    def value_column(self) -> str:
        """The column that events and windows are sorted by: probabilities, or else scores."""
        return "probability" if self.calibrated else "score"

    @property
    def doubts(self) -> dict[str, int]:
        """How many recordings' times are doubtful, and in what way (`Reading`), in that order."""
        return dict(sorted(self._database.doubts.items()))

    @property
    def two_readings(self) -> tuple[str, Reading] | None:
        """The first recording whose time can be read in two ways, and both readings."""
        return self._database.two_readings

    def columns(self, table: str = "events") -> tuple[str, ...]:
        """The names of a table's columns. Raises OptionError naming the tables."""
        if table not in TABLES:
            raise OptionError(
                tr(
                    "there is no table {table!r}; choose from {tables}",
                    table=table,
                    tables=", ".join(TABLES),
                )
            )
        return self._database.columns[table]

    def events(self, where: str | None = None, **options: Any) -> Any:
        """The events that a condition holds for, as a ``pyarrow.Table``; see `batches`."""
        return self.batches("events", where, **options).read_all()

    def windows(self, where: str | None = None, **options: Any) -> Any:
        """The same of windows."""
        return self.batches("windows", where, **options).read_all()

    def clips(self, where: str | None = None, **options: Any) -> Any:
        """The same of clips."""
        return self.batches("clips", where, **options).read_all()

    def embeddings(self, where: str | None = None, **options: Any) -> Any:
        """The same of embeddings."""
        return self.batches("embeddings", where, **options).read_all()

    def recordings(self, where: str | None = None, **options: Any) -> Any:
        """The same of recordings, a row for each, heard or failed."""
        return self.batches("recordings", where, **options).read_all()

    def batches(
        self,
        table: str = "events",
        where: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Any:
        """Rows as a ``pyarrow.RecordBatchReader``, by file, channel and time, in bounded memory.

        where: a condition in SQL over the table's columns. columns: which, in this order. limit:
        at most this many rows. Raises OptionError for a condition or a column that is none, and,
        if no row is found, UnknownLabelError for a label that nothing has.
        """
        names = self.columns(table)
        for column in columns or ():
            if column not in names:
                near = joined(tr(" or "), map(repr, near_columns(column, names)))
                hint = tr(" (did you mean {near}?)", near=near) if near else ""
                known = ", ".join(names)
                raise OptionError(
                    tr(
                        "{table} has no column {column!r}{hint}; there are {known}",
                        table=table,
                        column=column,
                        hint=hint,
                        known=known,
                    )
                )
        if limit is not None and limit < 0:
            raise OptionError(tr("a limit is 0 rows or more, not {limit}", limit=limit))
        wanted = ", ".join(f'"{column}"' for column in columns or names)
        order = ", ".join(o for o in _ORDERS[table] if o.split(" ")[0] in names)
        # The line end keeps a comment at the condition's end from swallowing the bracket.
        condition = f" WHERE ({where}\n)" if where else ""
        end = "" if limit is None else f" LIMIT {limit}"
        query = f"SELECT {wanted} FROM {table}{condition} ORDER BY {order}{end}"
        reader = self._database.batches(query, written=where)
        if not where or "label" not in names:
            return reader
        return type(reader).from_batches(reader.schema, self._checked(reader, table, where))

    def sql(self, query: str, *, written: str | None = None) -> Any:
        """What a SELECT over the tables gives, as a ``pyarrow.Table``.

        written: a condition in it that a person wrote, which errors are about. Raises OptionError,
        one sentence, for SQL that is wrong or does more than read, and UnknownLabelError if it asks
        for labels that are none of AudioSet's, where those are meant.
        """
        return self.sql_batches(query, written=written).read_all()

    def sql_batches(self, query: str, *, written: str | None = None) -> Any:
        """The same as a ``pyarrow.RecordBatchReader``, as it comes."""
        names = list(labels_in(query)) if self._database.is_audioset else []
        if names and all(label_named(name) is None for name in names):
            known = self._database.labels(query)
            if known.isdisjoint(names):
                self._check_labels(query, sorted(known))
        return self._database.batches(query, written=written)

    def label_here(self, name: str) -> str:
        """A label as these results have it, whatever language, case or accents it is written in."""
        return self._database.label_here(name)

    def among_others(self, table: str, where: str) -> dict[str, int]:
        """Of labels that a condition asks for: how many rows stand for them under another label."""
        asked = map(self.label_here, labels_in(where))
        counts = {
            name: self.sql(
                f"SELECT count(*) AS n FROM {table} "
                f"WHERE list_contains(string_split({ALSO}, '|'), {quoted(name)})"
            )["n"][0].as_py()
            for name in (asked if ALSO in self.columns(table) else ())
        }
        return {name: count for name, count in counts.items() if count}

    def longer_names(self, where: str) -> dict[str, str]:
        """Of names of files that a condition asks for and nothing has: one that ends so."""
        found: dict[str, str] = {}
        for name in files_in(where):
            end = f"suffix(file, {quoted(name)})"
            query = f"SELECT file FROM recordings WHERE {end} ORDER BY length(file), file LIMIT 1"
            for file in self.sql(query)["file"].to_pylist():
                found |= {name: file} if file != name else {}
        return found

    def require_label(self, name: str, known: Sequence[str]) -> None:
        """Raise UnknownLabelError, naming the nearest, for a label that cannot be.

        known: the labels of the results. AudioSet's labels may be missing from them, because none
        was heard.
        """
        if name in known or label_named(name) is not None:
            return
        near = nearest(name, known)
        if not near and self._database.is_audioset:
            near = nearest_shown(name, audioset_labels())
        hint = tr("; the nearest are: {near}", near=", ".join(map(repr, near))) if near else ""
        raise UnknownLabelError(
            tr("nothing in these results has the label {name!r}{hint}", name=name, hint=hint)
        )

    def close(self) -> None:
        """Let go of the folder."""
        self._database.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_labels(self, query: str, known: Sequence[str]) -> None:
        """The same for all that SQL compares with ``label``."""
        for name in labels_in(query):
            self.require_label(name, known)

    def _checked(self, reader: Any, table: str, where: str) -> Iterator[Any]:
        found = False
        for batch in reader:
            found = found or batch.num_rows > 0
            yield batch
        if not found:
            self._check_labels(where, sorted(self._database.labels(table)))
