# SPDX-License-Identifier: Apache-2.0
"""The tables of a results folder in DuckDB: read from the parts as they lie, and only read."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from oido.errors import DamagedResultsError, MissingExtraError, OidoError, OptionError
from oido.messages import tr
from oido.models.labels import audioset_labels, display_names, fold, label_named, nearest_shown
from oido.models.registry import is_audioset
from oido.name_time import Habits
from oido.results.clock import Clock, Reading
from oido.results.query_text import advice, columns_of, quoted, rename_labels
from oido.results.views import TABLES, list_of, rows_of, with_times

if TYPE_CHECKING:
    from oido.batch.results_folder import ResultsFolder
    from oido.batch.units import Part


_READING = {"SELECT_NODE", "SET_OPERATION_NODE", "CTE_NODE", "RECURSIVE_CTE_NODE"}
"""What a query may be made of. From DuckDB 2.0 on, a WITH clause may hold a COPY."""

_LEAST_MB, _MB_OF_A_THREAD, _MOST_MB = 256, 64, 2048
"""Of DuckDB's memory. What can be sorted in a folder is; what cannot, some sums of a person's own
query, gets the most."""


_COMMON_AND_LATIN = re.compile(r"(.+) \(([A-Z][a-z-]+(?: [a-z-]+){1,2})\)")
"""How a label of two names is written."""
_MISSING = tr("a results folder is read with DuckDB and pyarrow; run: pip install 'oido[archive]'")
_CLOCK_BATCH = 1 << 14
_UNSET_2000 = ("1999-12-31 10:00:00+00", "2000-03-31 12:00:00+00")
"""The days from 1 January 2000 on, in any zone, as many as of the other years of such clocks."""
_SINCE = "2005-01-01 00:00:00+00"


class Database(AbstractContextManager["Database"]):
    """DuckDB with a view for each table of a results folder, and nothing else within its reach.

    clock: adds when each row began, in UTC: ``start_at``, and in recordings ``recorded_at`` and
    ``time_from``; None leaves these columns out. Files, extensions, other databases and settings
    are closed by DuckDB itself, but for the parts; and a query is a single SELECT, because a COPY
    could still write over a part.

    memory_mb: what does not fit is sorted in a temporary folder. None is 256 MB or more, by the
    number of cores, and 2 GB for what cannot be sorted there.

    is_checked: before a table on this machine is first read, its parts are compared with their
    SHA-256 in the ledger. DuckDB compares no checksums, and a flipped bit would be other rows.

    Use it as a context manager. Raises MissingExtraError without DuckDB or pyarrow.
    """

    def __init__(
        self,
        folder: ResultsFolder,
        clock: Clock | None,
        *,
        is_checked: bool = True,
        memory_mb: int | None = None,
    ) -> None:
        try:
            import duckdb
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError(_MISSING) from error
        self._duckdb: Any = duckdb
        self._pyarrow: Any = pyarrow
        self._scratch = tempfile.TemporaryDirectory(prefix="oido-query-")
        closed: dict[str, Any] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._connection: Any = duckdb.connect(":memory:", config=closed)
        self._url, self._memory_mb = folder.url, memory_mb
        self._of, self._larger = (folder, clock), list[Database]()
        self._unchecked = _hashed_parts(folder) if is_checked else {}
        self._language = str((folder.header.get("parameters") or {}).get("locale") or "en")
        self.is_audioset = is_audioset(str((folder.header.get("model") or {}).get("name")))
        """Whether the labels are AudioSet's, and no others."""
        self.columns: dict[str, tuple[str, ...]] = {}
        self.doubts: Counter[str] = Counter()
        """How many recordings' times are doubtful, by what is the matter (`Reading`)."""
        self.two_readings: tuple[str, Reading] | None = None
        """The first recording whose time can be read in two ways."""
        try:
            with self._in_sentences():
                self._open(folder, clock)
        except BaseException:
            self.close()
            raise

    def batches(self, query: str, rows: int = 10_000, *, written: str | None = None) -> Any:
        """A ``pyarrow.RecordBatchReader`` over what a query gives, as it comes.

        written: the part of it that a person wrote. Texts that are compared with ``label`` may be
        in any language (`label_here`). Raises OptionError, a sentence, if it is no SELECT, or no
        SQL, or names no column.
        """
        query = rename_labels(query, partial(self.label_here, query=query))
        with self._in_sentences(query, written):
            cursor = self._connection.cursor()  # of its own: a query would end the one before it
            self._refuse_changes(cursor, query)
            self._require_whole(columns_of(self.columns, query))
            try:
                reader = _reader(cursor.sql(query), rows)
            except self._duckdb.OutOfMemoryException:
                if self._memory_mb is not None:
                    raise
                return self._with_most_memory().batches(query, rows, written=written)
        batches = self._guarded(reader, query, rows, written)
        return self._pyarrow.RecordBatchReader.from_batches(reader.schema, batches)

    def table(self, query: str) -> Any:
        """The same as one ``pyarrow.Table``, in memory."""
        return self.batches(query, 1 << 16).read_all()

    def labels(self, query: str) -> set[str]:
        """The labels in the tables that a query names."""
        named = [table for table in columns_of(self.columns, query) if "label" in TABLES[table]]
        if not named:
            return set()
        self._require_whole(named)
        each = " UNION ".join(f"SELECT DISTINCT label FROM {table}" for table in named)
        with self._in_sentences():
            cursor = self._connection.cursor()  # of its own, and alive until all is fetched
            return {label for (label,) in cursor.execute(each).fetchall()}

    def label_here(self, name: str, query: str = " ".join(TABLES)) -> str:
        """A label as the results have it; it may be in another language, case or without accents.

        query: names the tables that are looked at. A name that means nothing here stays.
        """
        known = label_named(name)
        shown = None if known is None else display_names((known,), self._language)[0]
        if shown is not None and self.is_audioset:
            return shown
        labels = self.labels(query)
        folded = {fold(label): label for label in labels}
        found = folded.get(fold(name)) or folded.get(fold(known or name))
        if found is None and not self.is_audioset:  # Common Raven (Corvus corax), by either
            found = next((label for label in labels if fold(name) in _both_names(label)), None)
        return name if name in labels else found or shown or name

    def close(self) -> None:
        """Let go of the parts, and of the temporary folder."""
        for larger in self._larger:
            larger.close()
        self._connection.close()
        self._scratch.cleanup()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self, folder: ResultsFolder, clock: Clock | None) -> None:
        from oido.batch.storage import is_remote

        run = self._connection.execute
        run("SET GLOBAL TimeZone = 'UTC'")
        ((threads,),) = run("SELECT current_setting('threads')").fetchall()
        memory_mb = min(_MOST_MB, max(_LEAST_MB, _MB_OF_A_THREAD * threads))
        run(f"SET memory_limit = '{self._memory_mb or memory_mb}MB'")
        run(f"SET temp_directory = {quoted(self._scratch.name)}")
        parts = {table: self._reachable(folder.parts(table)) for table in TABLES}
        allowed = [path for paths in parts.values() for path in paths]
        run(f"SET allowed_paths = {list_of(allowed)}")
        calibrated = bool(folder.header.get("calibrated"))
        read_columns = None
        if not is_remote(folder.url):
            read_columns = self._pyarrow.parquet.read_schema
            # The system has files of this machine in its memory already.
            run("SET enable_external_file_cache = false")
        sources = {t: rows_of(t, p, calibrated, read_columns) for t, p in parts.items()}
        if clock is not None:
            self._require_whole(["recordings"])
            self._add_clock(sources["recordings"], clock)
        for table, source in sources.items():
            run(f"CREATE VIEW {table} AS {with_times(table, source, clock is not None)}")
        for name, value in (
            ("GLOBAL python_enable_replacements", "false"),  # else variables of ours could be read
            ("enable_external_access", "false"),
            ("lock_configuration", "true"),
        ):
            run(f"SET {name} = {value}")
        for table in TABLES:
            self.columns[table] = tuple(self._connection.sql(f"FROM {table}").columns)

    def _require_whole(self, tables: Iterable[str]) -> None:
        """Compare the parts of these tables, once. Raises DamagedResultsError."""
        from oido.batch.parquet_parts import trouble_of
        from oido.batch.storage import storage_of

        for table in tables:
            for part in self._unchecked.get(table, ()):
                if trouble := trouble_of(storage_of(self._url), part):
                    raise DamagedResultsError(
                        tr(
                            "the results cannot be read ({path} {trouble}); if a run "
                            "is writing there, try again, or else say `oido batch "
                            "verify {url} --repair`, or read them as they are with "
                            "--unchecked",
                            path=part.path,
                            trouble=trouble,
                            url=self._url,
                        )
                    )
            self._unchecked.pop(table, None)

    def _reachable(self, paths: Sequence[str]) -> list[str]:
        """The paths as DuckDB calls them; those behind a protocol are read through fsspec."""
        from oido.batch.storage import is_remote
        from oido.urls import filesystem_of

        if not paths or not is_remote(paths[0]):
            return list(paths)
        files = filesystem_of(paths[0])
        protocols = (files.protocol,) if isinstance(files.protocol, str) else files.protocol
        if not any(self._connection.filesystem_is_registered(name) for name in protocols):
            self._connection.register_filesystem(files)
        return [files.unstrip_protocol(files._strip_protocol(path)) for path in paths]

    def _add_clock(self, recordings: str, clock: Clock) -> None:
        """A table of when recordings began, one row for each file."""
        run, pyarrow = self._connection.execute, self._pyarrow
        run("CREATE TABLE clock (file VARCHAR, recorded_at TIMESTAMPTZ, time_from VARCHAR)")
        habits = self._habits(recordings)
        query = f"SELECT file, first(tags), first(modified), first(duration) FROM ({recordings}) "
        cursor = self._connection.cursor()  # of its own: it goes on while rows are inserted
        reader = _reader(cursor.sql(query + "GROUP BY file"), _CLOCK_BATCH)
        for batch in reader:
            files, *columns = (column.to_pylist() for column in batch.columns)
            rows = zip(files, *columns)
            readings = [clock.read(f, t, m, d or 0.0, habits) for f, t, m, d in rows]
            self.doubts.update(r.doubt for r in readings if r.doubt is not None)
            in_doubt = ((f, r) for f, r in zip(files, readings) if r.doubt == "two readings")
            self.two_readings = self.two_readings or next(in_doubt, None)
            at = pyarrow.array([r.at for r in readings], pyarrow.timestamp("us", "UTC"))
            source = pyarrow.array([r.source for r in readings], pyarrow.string())
            table = pyarrow.table({"file": files, "recorded_at": at, "time_from": source})
            self._connection.register("read_times", table)
            run("INSERT INTO clock SELECT * FROM read_times")
            self._connection.unregister("read_times")
        # Many clocks without a battery begin in 2000, from which there are recordings, too; but not
        # in an archive of which all else is of the years in which such clocks are in use.
        window = (
            f"recorded_at BETWEEN TIMESTAMPTZ '{_UNSET_2000[0]}' AND TIMESTAMPTZ '{_UNSET_2000[1]}'"
        )
        (unset,) = run(
            f"UPDATE clock SET recorded_at = NULL, time_from = NULL WHERE {window} AND ("
            f"SELECT min(recorded_at) FROM clock WHERE NOT ({window})) >= TIMESTAMPTZ '{_SINCE}'"
        ).fetchall()[0]
        if unset:
            self.doubts["not set"] += unset

    def _habits(self, recordings: str) -> Habits:
        """What all names show together."""
        reader = _reader(self._connection.sql(f"SELECT DISTINCT file FROM ({recordings})"), 1 << 16)
        return Habits.of(name for batch in reader for name in batch.columns[0].to_pylist())

    def _refuse_changes(self, cursor: Any, query: str) -> None:
        """Let nothing pass but one SELECT, whose WITH clauses are SELECTs, too."""
        statements = cursor.extract_statements(query)
        if len(statements) == 1 and statements[0].type == self._duckdb.StatementType.SELECT:
            asked = cursor.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
            tree = json.loads(asked[0][0])
            if not tree["error"] and _nodes(tree) <= _READING:
                return
        raise OptionError(tr("a query is one SELECT statement: the results are only read"))

    def _guarded(self, reader: Any, query: str, rows: int, written: str | None) -> Iterator[Any]:
        is_begun = False
        with self._in_sentences(query, written):
            try:
                for batch in reader:
                    is_begun = True
                    yield batch
            except self._duckdb.OutOfMemoryException:
                if is_begun or self._memory_mb is not None:
                    raise
                yield from self._with_most_memory().batches(query, rows, written=written)

    def _with_most_memory(self) -> Database:
        """The same tables, for what cannot be done in little memory."""
        if not self._larger:
            self._larger.append(Database(*self._of, is_checked=False, memory_mb=_MOST_MB))
        return self._larger[0]

    @contextmanager
    def _in_sentences(self, query: str = "", written: str | None = None) -> Iterator[None]:
        """DuckDB's errors as ours; those about columns name the columns there are."""
        duckdb = self._duckdb
        try:
            yield
        except duckdb.PermissionException as error:
            raise OptionError(
                tr(
                    "a query reads the results and nothing else: other files, "
                    "databases, extensions and settings are closed to it"
                )
            ) from error
        except (duckdb.Error, self._pyarrow.ArrowException, RuntimeError, UnicodeError) as error:
            is_ours = not query or self._url in str(error)  # a part is damaged, or gone
            # Names of columns that are no text any more: not even an error of DuckDB's.
            is_ours |= not isinstance(error, (duckdb.Error, self._pyarrow.ArrowException))
            if is_ours or isinstance(error, duckdb.IOException):
                kind = OidoError if "://" in self._url else DamagedResultsError
                raise kind(
                    tr(
                        "the results cannot be read ({sentence}); if a run is "
                        "writing there, try again, or else say `oido batch verify "
                        "{url}`",
                        sentence=_sentence(error),
                        url=self._url,
                    )
                ) from error
            asked = columns_of(self.columns, query)
            is_condition = written is not None
            text = written if written is not None else query
            named = advice(text, str(error), asked, self._spelled, is_condition=is_condition)
            if named is None and isinstance(error, duckdb.CatalogException) and not asked:
                named = tr(
                    "{sentence}; the tables are {columns}",
                    sentence=_sentence(error),
                    columns=", ".join(self.columns),
                )
            sentence = tr("the query cannot be answered: {sentence}", sentence=_sentence(error))
            raise OptionError(named or sentence) from error

    def _spelled(self, name: str) -> str:
        """A label as it is here, or what is nearest to it."""
        found = self.label_here(name)
        known = self.labels(" ".join(TABLES)) | set(audioset_labels() if self.is_audioset else ())
        near = [] if found in known else nearest_shown(name, sorted(known))
        return near[0] if near else found


def _reader(relation: Any, rows: int) -> Any:
    """A relation as it comes; the method's name is another before DuckDB 1.5."""
    name = "to_arrow_reader" if hasattr(relation, "to_arrow_reader") else "fetch_record_batch"
    return getattr(relation, name)(rows)


def _sentence(error: Exception) -> str:
    """The first line of what DuckDB says, without the kind of the error."""
    return str(error).strip().split("\n")[0].split(": ", 1)[-1].rstrip(".! ")


def _hashed_parts(folder: ResultsFolder) -> dict[str, list[Part]]:
    """By table, the parts that can be compared: not those of versions before, which have no hash,
    nor those in a store, which compares its own checksums and would send all of each part."""
    from oido.batch.storage import is_remote

    parts: dict[str, list[Part]] = {}
    for part in () if is_remote(folder.url) else folder.live:
        if part.sha256:
            parts.setdefault(part.table, []).append(part)
    return parts


def _nodes(tree: Any) -> set[str]:
    """The kinds of the nodes of a parsed query, SELECT_NODE and the like."""
    if isinstance(tree, list):
        return set().union(*map(_nodes, tree))
    if not isinstance(tree, dict):
        return set()
    kind = tree.get("type")
    found = {kind} if isinstance(kind, str) and kind.endswith("_NODE") else set()
    return found.union(*map(_nodes, tree.values()))


def _both_names(label: str) -> set[str]:
    """The common and the Latin name of a label that has two, as they are compared."""
    found = _COMMON_AND_LATIN.fullmatch(label)
    return set() if found is None else {fold(name) for name in found.groups()}
