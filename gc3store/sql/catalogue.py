"""The catalogue in a database: which records there are, and which refers to which."""

from __future__ import annotations

import builtins
import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import xxhash

from gc3store.backend import Node, StoredRecord, repeated
from gc3store.format import load_json, record_from_json
from gc3store.ids import is_id, number_of, numbers_of
from gc3store.query import Query
from gc3store.record import FIELDS, Record, from_microseconds
from gc3store.sql.columns import values_from
from gc3store.sql.dialect import Dialect
from gc3store.sql.query_cache import QueryCache, packed_numbers
from gc3store.sql.reading import RecordReader
from gc3store.sql.select import FAR, RECORD, CatalogueSelect
from gc3store.sql.session import Session
from gc3store.sql.statements import REFERS, Statements

__all__ = ["UNREADABLE", "Catalogue"]

#: Entries that are looked up by their numbers at most.
_WINDOW: Final = 1000

#: What reading an entry raises that is damaged.
UNREADABLE: Final = (TypeError, ValueError, LookupError, OverflowError, AttributeError)


class Catalogue:
    """Answers questions about the records of a store that exists.

    Parameters
    ----------
    session : Session
        Where statements are run.
    dialect : Dialect
        The database.
    statements : Statements
        The statements on the store's tables.
    reader : RecordReader
        Makes records out of rows with payloads.
    """

    def __init__(
        self, session: Session, dialect: Dialect, statements: Statements, reader: RecordReader
    ) -> None:
        self._session = session
        self._dialect = dialect
        self._statements = statements
        self._reader = reader

    # Records and what refers to what.

    def revisions(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the revisions of those records that exist."""
        wanted = set(ids)
        numbers = self._dialect.numbers(numbers_of(ids))
        rows = self._session.execute(self._statements.revisions, (numbers,))
        return {row[0]: row[1] for row in rows if row[0] in wanted}

    def graph(self, roots: Sequence[str]) -> dict[str, Node]:
        """Return revisions and references of the `roots` and of all that they reach."""
        rows, references = self._reached(roots, self._statements.closure_nodes)
        return {row[1]: Node(row[2], references.get(row[1], ())) for row in rows}

    def read_graph(self, roots: Sequence[str]) -> dict[str, StoredRecord]:
        """Return the `roots` and all that they reach, their references known."""
        rows, references = self._reached(roots, self._statements.closure_whole)
        found = {}
        for row in rows:
            stored = found[row[1]] = self._reader.stored(row[1:])
            stored.references = references.get(row[1], ())
        return found

    def _reached(
        self, roots: Sequence[str], statement: str
    ) -> tuple[builtins.list[Any], dict[str, tuple[str, ...]]]:
        """Return the rows of records that are reached, number and ID first, and what these refer to."""
        numbers = self._dialect.numbers(numbers_of(roots))
        edges = self._session.execute(self._statements.closure_edges, (numbers,))
        rows = self._session.execute(statement, (numbers,))
        ids = {row[0]: row[1] for row in rows if _is_sound(row[1])}
        wanted = set(roots)
        known = set(numbers_of(roots))
        rows = [row for row in rows if row[0] in ids and (row[0] not in known or row[1] in wanted)]
        found: dict[str, builtins.list[str]] = {}
        for source, target in edges:
            if source in ids:
                found.setdefault(ids[source], []).append(_target(target, ids.get(target)))
        return rows, {id_: tuple(references) for id_, references in found.items()}

    def referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        """Return which records refer to each of `ids`."""
        by_number = {number_of(id_): id_ for id_ in ids if is_id(id_)}
        found: dict[str, builtins.list[str]] = {}
        numbers = self._dialect.numbers(builtins.list(by_number))
        for target, referrer in self._session.execute(self._statements.referrers, (numbers,)):
            if _is_sound(referrer):
                found.setdefault(by_number[target], []).append(referrer)
        return found

    def roots(self) -> tuple[builtins.list[str], builtins.list[str]]:
        """Return the IDs of what was given to `save` itself, and of what was saved as a part."""
        roots: builtins.list[str] = []
        parts: builtins.list[str] = []
        for id_, is_root in self._session.execute(self._statements.roots):
            if _is_sound(id_):
                (roots if is_root else parts).append(id_)
        return roots, parts

    # Entries.

    def entry(self, id_: str, columns: Sequence[str]) -> Record | None:
        """Return the whole catalogue entry of a record, with the user columns `columns`."""
        number = number_of(id_)
        rows = self._session.execute(self._statements.describe, (number,))
        if not rows or rows[0][0] != id_:
            return None
        row = rows[0]
        id_, name, cls, state, tags, size, created, modified, revision = row[:9]
        flags, checksum, preview, origin, environment, values, is_root = row[9:16]
        references: builtins.list[str] = []
        if type(flags) is int and flags & REFERS:
            rows = self._session.execute(self._statements.references, (number,))
            references = [_target(target, other if _is_sound(other) else None) for target, other in rows]
        text = self._dialect.text
        try:
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
                "columns": load_json(values) if values else None,
                "checksum": bytes(checksum).hex() if isinstance(checksum, (bytes, memoryview)) else None,
                "explicit": is_root,
                "error": "damaged: its payload is missing" if flags is None else None,
            }
            return _checked(record_from_json(entry, environment=environment, columns=columns))
        except UNREADABLE as error:
            return _damaged(id_, error)

    def entries(self, query: Query, columns: Sequence[str]) -> Iterator[Record]:
        """Yield the entries that `query` asks for, with the user columns `columns`."""
        fields = (*RECORD, "columns") if columns else RECORD
        text = self._dialect.text
        for rows in self._in_parts(query, fields):
            for id_, name, cls, state, tags, size, created, modified, revision, *values in rows:
                id_ = _shown(id_)
                try:
                    record = _checked(
                        Record(
                            id=id_,
                            name=text(name),
                            cls=text(cls),
                            state=text(state),
                            tags=tuple(json.loads(tags)) if tags else (),
                            size=size,
                            created=from_microseconds(created),
                            modified=from_microseconds(modified),
                            revision=revision,
                            columns=values_from(values[0], columns) if columns else {},
                        )
                    )
                except UNREADABLE as error:
                    record = _damaged(id_, error)
                yield record

    def ids(self, query: Query) -> builtins.list[str]:
        """Return the IDs that `query` asks for."""

        def read() -> builtins.list[str]:
            ids: builtins.list[str] = []
            for rows in self._in_parts(query, ("id",)):
                ids += itertools.chain.from_iterable(rows)
            return ids

        ids = repeated(read)
        if self._dialect.untyped and not set(map(type, ids)) <= {str}:
            return builtins.list(map(_shown, ids))
        return ids

    def values(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        """Return fields and user columns of the entries that `query` asks for; times in microseconds.

        Raises one of `UNREADABLE` if some entry is damaged.
        """
        fields = [name for name in names if name in FIELDS]
        user = [name for name in names if name not in FIELDS]
        if user:
            fields.append("columns")
        return repeated(lambda: self._as_columns(self._in_parts(query, fields), fields, user))

    def _as_columns(
        self, parts: Iterable[builtins.list[tuple[Any, ...]]], fields: Sequence[str], user: Sequence[str]
    ) -> dict[str, builtins.list[Any]]:
        columns: builtins.list[builtins.list[Any]] = [[] for _ in fields]
        for part in parts:
            for column, some in zip(columns, zip(*part, strict=True), strict=True):
                column += some
        found = dict(zip(fields, columns, strict=True))
        if self._dialect.untyped:
            _check_types(found)
        if user:
            values = [values_from(text, user) for text in found.pop("columns")]
            found |= {name: [value[name] for value in values] for name in user}
        if self._dialect.nul:
            for field in {"name", "cls", "state"} & found.keys():
                found[field] = [self._dialect.text(value) for value in found[field]]
        if "tags" in found:
            found["tags"] = [tuple(json.loads(tags)) if tags else () for tags in found["tags"]]
        return found

    def count(self, query: Query) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        return int(self._cached(*self._select(query).count())[0][0])

    def facets(self, field: str, query: Query) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of a field of one column."""
        found = self._cached(*self._select(query).facets(field))
        text = self._dialect.text if field in ("name", "cls", "state") else _as_is
        counts = {text(value): count for value, count in found}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))

    # How they are found.

    def _select(self, query: Query) -> CatalogueSelect:
        return CatalogueSelect(self._statements.schema, self._dialect, query)

    def _cache(self) -> QueryCache | None:
        """Return what is known of the database as it is now; `None` where that cannot be told."""
        return None if self._session.link().mode else self._session.run(self._dialect.query_cache)

    def _cached(self, text: str, values: builtins.list[Any]) -> builtins.list[tuple[Any, ...]]:
        """Return the few rows that a statement finds, or found before if the database has not changed."""

        def find() -> builtins.list[tuple[Any, ...]]:
            rows: builtins.list[tuple[Any, ...]] = self._session.execute(text, values)
            return rows

        cache = self._cache()
        return find() if cache is None else cache.get(_key(text, values), find)

    def _in_parts(self, query: Query, fields: Sequence[str]) -> Iterator[builtins.list[tuple[Any, ...]]]:
        """Yield `fields` of the entries that are asked for, so many rows together that the processor caches them."""
        known = self._window(query, fields)
        return self._session.parts(*self._statement(query, fields)) if known is None else iter((known,))

    def _statement(self, query: Query, fields: Sequence[str]) -> tuple[str, builtins.list[Any]]:
        """Return the statement for `fields` of the entries that are asked for."""
        if query.conditions or query.words:
            return self._select(query).rows(fields)
        key = (query.order, query.offset, query.limit, *fields)
        return self._statements.cached(key, lambda: self._select(query).rows(fields))

    def _by_number(self, fields: Sequence[str]) -> str:
        """Return the statement for `fields` of the entries with given numbers."""

        def select() -> str:
            query = CatalogueSelect(self._statements.schema, self._dialect, Query(), [])
            return query.rows(fields)[0]

        return self._statements.cached(("by number", *fields), select)

    def _window(self, query: Query, fields: Sequence[str]) -> builtins.list[tuple[Any, ...]] | None:
        """Return rows of a part of an order that is known, if one is and the database has not changed."""
        if query.limit is None or query.limit > _WINDOW or not (query.order or query.offset > FAR):
            return None  # a statement is as good
        cache = self._cache()
        if cache is None:
            return None
        text, values = self._statement(query.but(offset=0, limit=None), ("number",))
        numbers = cache.get(
            _key(text, values), lambda: packed_numbers(self._session.stream(text, values)), min_uses=2
        )
        if numbers is None:
            return None
        wanted = numbers[query.offset : query.offset + (query.limit or 0)].tolist()
        text = self._by_number(("number", *fields))
        found = self._session.execute(text, (self._dialect.numbers(wanted),))
        rows = {row[0]: row[1:] for row in found}
        if len(rows) < len(wanted) or self._cache() is not cache:
            return None
        return [rows[number] for number in wanted]


def _key(text: str, values: builtins.list[Any]) -> bytes:
    """Return what tells a statement with its values from all others, in a few bytes."""
    return xxhash.xxh3_128_digest(repr((text, values)).encode("utf-8", "surrogatepass"))


def _is_sound(id_: Any) -> bool:
    """Whether what stands in the place of an ID is one."""
    return type(id_) is str and is_id(id_)


def _shown(id_: Any) -> str:
    """Return an ID as it is; as text what SQLite has in its place."""
    if type(id_) is str:
        return id_
    return id_.decode("utf-8", "replace") if isinstance(id_, bytes) else str(id_)


#: The ID of no object: where a reference leads whose target is damaged.
_NOWHERE = "0"


def _target(number: Any, id_: str | None) -> str:
    """Return the ID of the record that a reference leads to; only its number is known of one that is gone."""
    if id_ is not None:
        return id_
    return str(number) if is_id(str(number)) else _NOWHERE


_INTEGERS = ("size", "created", "modified", "revision", "number")

#: What is wrong with an entry whose ID is garbled.
_GARBLED = "damaged: its ID is garbled, and it cannot be loaded by it"


def _damaged(id_: str, error: Exception) -> Record:
    return Record(id=id_, error=f"damaged: its entry in the catalogue cannot be read: {error}")


def _checked(record: Record) -> Record:
    """Return a record, unless SQLite has kept values of other types in it than its columns are of."""
    numbers = type(record.size) is type(record.revision) is int and record.revision > 0
    if not is_id(record.id):
        record = dataclasses.replace(record, error=record.error or _GARBLED)
    if numbers and type(record.cls) is type(record.id) is str:
        for text in (record.name, record.state, record.preview, *record.tags):
            if text is not None and type(text) is not str:
                break
        else:
            return record
    raise TypeError("it has values of other types than its columns are of")


def _check_types(columns: Mapping[str, builtins.list[Any]]) -> None:
    """Raise an error if there are values of other types in columns than these are of."""
    for name, values in columns.items():
        kinds = {int} if name in _INTEGERS else {str, type(None)}
        if not set(map(type, values)) <= kinds:
            raise TypeError(f"the column {name!r} has values of other types")
        if values and name in ("created", "modified"):
            from_microseconds(min(values)), from_microseconds(max(values))


def _as_is(value: Any) -> Any:
    return value
