"""Records as rows of a database.

Tables, with the names they have by default
--------------------------------------------
``gc3store``
    The catalogue, narrow so that walking through a million entries is fast.
``gc3store_payload``
    The rest of each record: what only `describe` shows, and the payload. Small
    payloads stand in the row; those of `INLINE` bytes or more are cut into
``gc3store_chunk``
    rows of a megabyte at most, so that no limit of a database on rows or packets is ours.
``gc3store_reference``
    Which record refers to which, by position.
``gc3store_environment``
    Who wrote records, where and with what, see `gc3store.environment`.
``gc3store_meta``
    One row: the store's UUID and the version of this schema; in SQLite also the highest
    number whose record was removed.

``gc3store_column``, ``gc3store_value``
    The user columns that the catalogue has, see `gc3store.columns`: names with paths, and
    the values to filter and sort on.

SQLAlchemy gives URLs, dialects, table definitions and compiled statements; these are
compiled once and run on the driver's own cursor. What differs between databases is
behind one interface, `gc3store.sql.backend`.
"""

from __future__ import annotations

import builtins
import json
import uuid as uuid_module
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from gc3store.catalogue import from_microseconds, record_from_entry
from gc3store.errors import OptionError, SchemaVersionError
from gc3store.ids import is_id, number_of
from gc3store.looking import asked
from gc3store.primitives import Stored, reopened
from gc3store.record import FIELDS, Query, Record
from gc3store.recordfile import load_json
from gc3store.sql.backend import backend_for
from gc3store.sql.columns import values_from
from gc3store.sql.query import RECORD, CatalogueSelect
from gc3store.sql.reading import SqlReading
from gc3store.sql.schema import VERSION, Statements, check_table_name
from gc3store.sql.search import SearchIndex
from gc3store.sql.url import parse, without
from gc3store.sql.writing import REFERS

__all__ = ["SqlStore"]


class SqlStore(SqlReading):
    """A store in a database: SQLite, PostgreSQL, MariaDB or MySQL.

    Parameters
    ----------
    url : str
        A URL as SQLAlchemy has them. ``sqlite:///jobs.db`` is relative to the working
        directory, ``sqlite:////data/jobs.db`` absolute;
        ``postgresql://user@host/database``, ``mariadb://user@host/database``. A fragment
        ``#table=NAME`` says the same as `table_name`.
    durable : bool
        Whether a save waits until the object is on stable storage.
    read_only : bool
        Never write, and create nothing.
    table_name : str
        Name of the catalogue, and beginning of the names of the other tables, by default
        ``gc3store``: several stores can share a database.
    timeout : float
        How long to wait for others: for a database that another process is writing to,
        for a row that another process is changing, for a server to answer; in seconds.
    columns : mapping of str to (str or callable), optional
        User columns, see `make_store`.

    Notes
    -----
    A batch (a graph of objects, `save_many`, a `transaction`) is one step.
    Many threads, processes and hosts may use one database at the same time.

    A server that was restarted between two calls is not noticed; one that stays away is
    a `StoreUnavailableError`, after ten seconds at most. Where a connection breaks
    during a commit, it is made again in order to see what became of the commit; only
    where that fails too, `OutcomeUnknownError` is raised, and trying again is safe.

    Examples
    --------
    >>> import os, tempfile
    >>> store = SqlStore("sqlite:///" + os.path.join(tempfile.mkdtemp(), "jobs.db"))
    >>> store.save({"energy": -1.75}, name="ground state")
    'dict.1'
    >>> store.load("dict.1"), store.find("ground state")
    ({'energy': -1.75}, ['dict.1'])
    >>> store.close()
    """

    atomic_batches: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        *,
        durable: bool = True,
        read_only: bool = False,
        trust: Any = "everything",
        table_name: str | None = None,
        timeout: float = 30.0,
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        parsed, fragment = parse(url)
        if None not in (fragment, table_name) and fragment != table_name:
            raise OptionError(f"The URL asks for table {fragment!r}, and table_name for {table_name!r}.")
        self._table = check_table_name(next((n for n in (table_name, fragment) if n is not None), "gc3store"))
        self._backend = backend_for(parsed, durable=durable, read_only=read_only, timeout=timeout)
        super().__init__(
            self._backend.where, durable=durable, read_only=read_only, trust=trust, columns=columns
        )
        self._statements = Statements.of(self._table, self._backend)
        self._search = self._search_index()
        self._uuid: str | None = None
        self._load_meta()

    def _search_index(self) -> SearchIndex | None:
        return self._backend.search_index(self._backend.dialect.identifier_preparer.quote(self._table))

    def close(self) -> None:
        """Close all connections; a closed store cannot be used any more."""
        if self._search is not None:
            self._search.close()
        super().close()

    def _forked(self) -> None:
        super()._forked()
        self._inherited.append(self._search)
        self._search = self._search_index()

    def __reduce__(self) -> tuple[Any, ...]:
        url = self._backend.absolute_url()
        options = {**self._options(), "columns": self._user_columns.portable}
        return reopened, (type(self), url.render_as_string(hide_password=False), options)

    def _reduce_for_payload(self) -> Any:
        url = without(self._backend.absolute_url())
        return reopened, (type(self), url.render_as_string(), self._options())

    def _options(self) -> dict[str, Any]:
        return {
            "durable": self.durable,
            "read_only": self._backend.read_only,
            "trust": self.trust.option,
            "table_name": self._table,
            "timeout": self._backend.timeout,
        }

    # The store as a whole.

    @property
    def uuid(self) -> str | None:
        """The store's UUID; `None` as long as nothing was ever saved."""
        if self._uuid is None:
            self._load_meta()
        return self._uuid

    def _load_meta(self) -> None:
        if not self._backend.exists():
            return

        def work(connection: Any) -> Any:
            try:
                return connection.execute(self._statements.meta).fetchone()
            except self._backend.error as error:
                if not self._backend.is_missing_table(error):
                    raise
                return None

        row = self._run(work)
        if row is not None:
            self._uuid = row[0]
            if row[1] > VERSION:
                self.read_only = True
                self._newer = row[1]
            self._learn_columns(dict(self._execute(self._statements.columns).fetchall()))

    _newer: int | None = None

    def _check_writable(self) -> None:
        if self._newer is not None:
            raise SchemaVersionError(
                f"{self.url} was written in version {self._newer} of the schema; upgrade gc3store to write to it."
            )
        super()._check_writable()

    def _prepare_step(self) -> None:
        if self.uuid is None:
            self._create()
        super()._prepare_step()

    def _create(self) -> None:
        """Make the tables, unless another process does so at the same moment."""

        def fill(connection: Any) -> None:
            if connection.execute(self._statements.meta).fetchone() is None:
                row: tuple[Any, ...] = (str(uuid_module.uuid4()), VERSION)
                connection.execute(self._statements.insert_meta, (*row, 0) if self._backend.counter else row)

        self._create_tables(fill)
        self._load_meta()

    # Reading.

    def _revisions(self, ids: Sequence[str]) -> dict[str, int]:
        if self.uuid is None:
            return {}
        wanted = set(ids)
        numbers = self._backend.numbers([number_of(id_) for id_ in ids])
        rows = self._execute(self._statements.revisions, (numbers,)).fetchall()
        return {row[0]: row[1] for row in rows if row[0] in wanted}

    def _closure(
        self, roots: Sequence[str], *, whole: bool = False
    ) -> tuple[dict[str, int], dict[str, tuple[str, ...]], dict[str, Stored]]:
        if self.uuid is None:
            return {}, {}, {}
        numbers = self._backend.numbers([number_of(id_) for id_ in roots])
        edges = self._execute(self._statements.closure_edges, (numbers,)).fetchall()
        nodes = self._execute(
            self._statements.closure_whole if whole else self._statements.closure_nodes, (numbers,)
        ).fetchall()
        ids = {row[0]: row[1] for row in nodes}
        wanted = set(roots)
        known = {number_of(id_) for id_ in roots}
        nodes = [row for row in nodes if row[0] not in known or row[1] in wanted]
        graph: dict[str, builtins.list[str]] = {row[1]: [] for row in nodes}
        for source, target in edges:
            if ids.get(source) in graph:
                graph[ids[source]].append(_target(target, ids.get(target)))
        records = {row[1]: self._stored(row[1:]) for row in nodes} if whole else {}
        return {row[1]: row[2] for row in nodes}, {i: tuple(r) for i, r in graph.items()}, records

    def _referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        if self.uuid is None:
            return {}
        by_number = {number_of(id_): id_ for id_ in ids}
        found: dict[str, builtins.list[str]] = {}
        numbers = self._backend.numbers(builtins.list(by_number))
        for target, referrer in self._execute(self._statements.referrers, (numbers,)):
            found.setdefault(by_number[target], []).append(referrer)
        return found

    def _by_origin(self) -> tuple[builtins.list[str], builtins.list[str]]:
        explicit: builtins.list[str] = []
        parts: builtins.list[str] = []
        if self.uuid is not None:
            for id_, is_explicit in self._execute(self._statements.by_origin):
                (explicit if is_explicit else parts).append(id_)
        return explicit, parts

    # The catalogue.

    def _describe(self, id_: str) -> Record | None:
        if self.uuid is None:
            return None
        number = number_of(id_)
        row = self._execute(self._statements.describe, (number,)).fetchone()
        if row is None or row[0] != id_:
            return None
        id_, name, cls, state, tags, size, created, modified, revision = row[:9]
        flags, checksum, preview, origin, environment, columns = row[9:15]
        references: builtins.list[str] = []
        if flags is not None and flags & REFERS:
            rows = self._execute(self._statements.references, (number,)).fetchall()
            references = [_target(target, target_id) for target, target_id in rows]
        text = self._backend.text
        entry = {
            "id": id_,
            "name": text(name),
            "cls": text(cls),
            "state": text(state),
            "tags": json.loads(tags) if tags else (),
            "size": size,
            "created": created,
            "modified": modified,
            "revision": revision,
            "preview": preview,
            "references": references,
            "origin": origin,
            "columns": load_json(columns) if columns else None,
            "checksum": bytes(checksum).hex() if checksum is not None else None,
            "error": "damaged: its payload is missing" if flags is None else None,
        }
        return record_from_entry(entry, environment=environment, columns=self.columns)

    def prepare_search(self) -> None:
        """Bring the index for searching up to date, in the background, if the store is large enough for one."""
        if self._search is not None and self.uuid is not None:
            self._search.prepare()

    def _select(self, query: Query | None) -> CatalogueSelect:
        query = query or Query()
        among = None
        # What this thread is in the middle of writing, the index does not know.
        if query.words and self._search is not None and not self._session().kind:
            among = self._search.candidates(query.words)
        return CatalogueSelect(self._statements.schema, self._backend, query, among)

    def _catalogue(self, query: Query) -> Iterator[Record]:
        if self.uuid is None:
            return
        names = self.columns
        rows = self._execute(*self._select(query).rows((*RECORD, "columns") if names else RECORD))
        text = self._backend.text
        try:
            for id_, name, cls, state, tags, size, created, modified, revision, *columns in rows:
                yield Record(
                    id=id_,
                    name=text(name),
                    cls=text(cls),
                    state=text(state),
                    tags=tuple(json.loads(tags)) if tags else (),
                    size=size,
                    created=from_microseconds(created),
                    modified=from_microseconds(modified),
                    revision=revision,
                    columns=values_from(columns[0], names) if names else {},
                )
        except self._backend.error as error:
            raise self._translate(error) from error

    def _ids(self, query: Query) -> builtins.list[str]:
        if self.uuid is None:
            return []
        return [row[0] for row in self._execute(*self._select(query).rows(("id",))).fetchall()]

    def _columns(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        if self.uuid is None:
            return {name: [] for name in names}
        fields = [name for name in names if name in FIELDS]
        user = [name for name in names if name not in FIELDS]
        if user:
            fields.append("columns")
        rows = self._execute(*self._select(query).rows(fields)).fetchall()
        columns = [builtins.list(column) for column in zip(*rows, strict=True)] or [[] for _ in fields]
        found = dict(zip(fields, columns, strict=True))
        if user:
            values = [values_from(text, user) for text in found.pop("columns")]
            found |= {name: [value[name] for value in values] for name in user}
        if self._backend.nul:
            for field in {"name", "cls", "state"} & found.keys():
                found[field] = [self._backend.text(value) for value in found[field]]
        if "tags" in found:
            found["tags"] = [tuple(json.loads(tags)) if tags else () for tags in found["tags"]]
        return found

    def count(self, query: Query | None = None) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        query = asked(query)
        if self.uuid is None:
            return 0
        return int(self._execute(*self._select(query).count()).fetchone()[0])

    def facets(self, field: str, query: Query | None = None) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of `field`."""
        query = asked(query)
        Query.build({field: None}, columns=self.columns)
        if self.uuid is None:
            return {}
        if field in ("tags", "created", "modified", "error") or field not in FIELDS:
            return super().facets(field, query)
        found = self._execute(*self._select(query).facets(field))
        text = self._backend.text if field in ("name", "cls", "state") else _as_is
        counts = {text(row[0]): row[1] for row in found}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))


#: The ID of no object: where a row leads that refers to what can be none.
_NOWHERE = "0"


def _target(number: Any, id_: str | None) -> str:
    """Return the ID that a row refers to; one that is gone is known by its number only, an ID as well."""
    for found in (id_, str(number)):
        if found is not None and is_id(found):
            return found
    return _NOWHERE


def _as_is(value: Any) -> Any:
    return value
