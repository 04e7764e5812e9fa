"""The catalogue in a database: which records there are, and which refers to which."""

from __future__ import annotations

import builtins
import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import xxhash

from gc3store.engine.looking import asked
from gc3store.engine.primitives import Stored, repeated
from gc3store.format import load_json, record_from_json
from gc3store.ids import is_id, number_of, numbers_of
from gc3store.query import Query
from gc3store.record import FIELDS, Record, from_microseconds
from gc3store.sql.columns import values_from
from gc3store.sql.query_cache import Answers, packed_numbers
from gc3store.sql.reading import SqlReading
from gc3store.sql.select import FAR, RECORD, CatalogueSelect
from gc3store.sql.writing import REFERS

__all__ = ["SqlCatalogue"]

#: Entries that are looked up by their numbers at most.
_WINDOW = 1000


class SqlCatalogue(SqlReading):
    """A store as far as its catalogue is looked at."""

    # Records and what refers to what.

    def _revisions(self, ids: Sequence[str]) -> dict[str, int]:
        if self.uuid is None:
            return {}
        wanted = set(ids)
        numbers = self._backend.numbers(numbers_of(ids))
        rows = self._execute(self._statements.revisions, (numbers,))
        return {row[0]: row[1] for row in rows if row[0] in wanted}

    def _closure(
        self, roots: Sequence[str], *, whole: bool = False
    ) -> tuple[dict[str, int], dict[str, tuple[str, ...]], dict[str, Stored]]:
        if self.uuid is None:
            return {}, {}, {}
        numbers = self._backend.numbers(numbers_of(roots))
        edges = self._execute(self._statements.closure_edges, (numbers,))
        nodes = self._execute(
            self._statements.closure_whole if whole else self._statements.closure_nodes, (numbers,)
        )
        ids = {row[0]: row[1] for row in nodes if _is_sound(row[1])}
        wanted = set(roots)
        known = set(numbers_of(roots))
        nodes = [row for row in nodes if row[0] in ids and (row[0] not in known or row[1] in wanted)]
        revisions = {row[1]: row[2] for row in nodes}
        found: dict[str, builtins.list[str]] = {}
        for source, target in edges:
            id_ = ids.get(source)
            if id_ is not None and id_ in revisions:
                found.setdefault(id_, []).append(_target(target, ids.get(target)))
        graph: dict[str, tuple[str, ...]] = dict.fromkeys(revisions, ())
        graph.update((id_, tuple(references)) for id_, references in found.items())
        records = {row[1]: self._stored(row[1:]) for row in nodes} if whole else {}
        return revisions, graph, records

    def _referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        if self.uuid is None:
            return {}
        by_number = {number_of(id_): id_ for id_ in ids}
        found: dict[str, builtins.list[str]] = {}
        numbers = self._backend.numbers(builtins.list(by_number))
        for target, referrer in self._execute(self._statements.referrers, (numbers,)):
            if _is_sound(referrer):
                found.setdefault(by_number[target], []).append(referrer)
        return found

    def _by_origin(self) -> tuple[builtins.list[str], builtins.list[str]]:
        explicit: builtins.list[str] = []
        parts: builtins.list[str] = []
        if self.uuid is not None:
            for id_, is_explicit in self._execute(self._statements.by_origin):
                if _is_sound(id_):
                    (explicit if is_explicit else parts).append(id_)
        return explicit, parts

    # The catalogue.

    def _describe(self, id_: str) -> Record | None:
        if self.uuid is None:
            return None
        number = number_of(id_)
        rows = self._execute(self._statements.describe, (number,))
        if not rows or rows[0][0] != id_:
            return None
        row = rows[0]
        id_, name, cls, state, tags, size, created, modified, revision = row[:9]
        flags, checksum, preview, origin, environment, columns, explicit = row[9:16]
        references: builtins.list[str] = []
        if type(flags) is int and flags & REFERS:
            rows = self._execute(self._statements.references, (number,))
            references = [_target(target, id_ if _is_sound(id_) else None) for target, id_ in rows]
        text = self._backend.text
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
                "columns": load_json(columns) if columns else None,
                "checksum": bytes(checksum).hex() if isinstance(checksum, (bytes, memoryview)) else None,
                "explicit": explicit,
                "error": "damaged: its payload is missing" if flags is None else None,
            }
            return _sound(record_from_json(entry, environment=environment, columns=self.columns))
        except _UNREADABLE as error:
            return _damaged(id_, error)

    def _select(self, query: Query | None) -> CatalogueSelect:
        return CatalogueSelect(self._statements.schema, self._backend, query or Query())

    def _answers(self) -> Answers | None:
        """Return what is known of the database as it is now; `None` where that cannot be told."""
        return None if self._session().kind else self._run(self._backend.answers)

    def _answer(self, text: str, values: builtins.list[Any]) -> builtins.list[tuple[Any, ...]]:
        """Return the few rows that a statement finds, or found before if the database has not changed."""

        def find() -> builtins.list[tuple[Any, ...]]:
            rows: builtins.list[tuple[Any, ...]] = self._execute(text, values)
            return rows

        answers = self._answers()
        return find() if answers is None else answers.of(_question(text, values), find)

    def _rows(self, query: Query, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Yield `fields` of the entries that are asked for, a few at a time."""
        known = self._window(query, fields)
        return self._stream(*self._statement(query, fields)) if known is None else iter(known)

    def _in_parts(self, query: Query, fields: Sequence[str]) -> Iterator[builtins.list[tuple[Any, ...]]]:
        """Yield rows as `_rows` does, so many together that they are still at hand when they are looked at."""
        known = self._window(query, fields)
        return self._parts(*self._statement(query, fields)) if known is None else iter((known,))

    def _statement(self, query: Query, fields: Sequence[str]) -> tuple[str, builtins.list[Any]]:
        """Return the statement for `fields` of the entries that are asked for."""
        if query.conditions or query.words:
            return self._select(query).rows(fields)
        key = (query.order, query.offset, query.limit, *fields)
        return self._statements.remembered(key, lambda: self._select(query).rows(fields))

    def _by_number(self, fields: Sequence[str]) -> str:
        """Return the statement for `fields` of the entries with given numbers."""

        def select() -> str:
            query = CatalogueSelect(self._statements.schema, self._backend, Query(), [])
            return query.rows(fields)[0]

        return self._statements.remembered(("by number", *fields), select)

    def _window(self, query: Query, fields: Sequence[str]) -> builtins.list[tuple[Any, ...]] | None:
        """Return rows of a part of an order that is known, if one is and the database has not changed."""
        if query.limit is None or query.limit > _WINDOW or not (query.order or query.offset > FAR):
            return None  # a statement is as good
        answers = self._answers()
        if answers is None:
            return None
        text, values = self._statement(query.but(offset=0, limit=None), ("number",))
        numbers = answers.of(
            _question(text, values), lambda: packed_numbers(self._stream(text, values)), least=2
        )
        if numbers is None:
            return None
        wanted = numbers[query.offset : query.offset + (query.limit or 0)].tolist()
        text = self._by_number(("number", *fields))
        found = self._execute(text, (self._backend.numbers(wanted),))
        rows = {row[0]: row[1:] for row in found}
        if len(rows) < len(wanted) or self._answers() is not answers:
            return None
        return [rows[number] for number in wanted]

    def _catalogue(self, query: Query) -> Iterator[Record]:
        if self.uuid is None:
            return
        names = self.columns
        fields = (*RECORD, "columns") if names else RECORD
        rows = self._rows(query, fields)
        text = self._backend.text
        try:
            for id_, name, cls, state, tags, size, created, modified, revision, *columns in rows:
                id_ = _shown(id_)
                try:
                    record = _sound(
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
                            columns=values_from(columns[0], names) if names else {},
                        )
                    )
                except _UNREADABLE as error:
                    record = _damaged(id_, error)
                yield record
        except self._backend.error as error:
            raise self._translate(error) from error

    def _ids(self, query: Query) -> builtins.list[str]:
        if self.uuid is None:
            return []

        def read() -> builtins.list[str]:
            ids: builtins.list[str] = []
            for rows in self._in_parts(query, ("id",)):
                ids += itertools.chain.from_iterable(rows)
            return ids

        ids = repeated(read)
        if self._backend.untyped and not set(map(type, ids)) <= {str}:
            return builtins.list(map(_shown, ids))
        return ids

    def _columns(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        if self.uuid is None:
            return {name: [] for name in names}
        fields = [name for name in names if name in FIELDS]
        user = [name for name in names if name not in FIELDS]
        if user:
            fields.append("columns")
        try:
            return repeated(lambda: self._as_columns(self._in_parts(query, fields), fields, user))
        except _UNREADABLE:
            # Entry by entry, so that each that is damaged stands by itself.
            return super()._columns(query, names)

    def _as_columns(
        self, parts: Iterable[builtins.list[tuple[Any, ...]]], fields: Sequence[str], user: Sequence[str]
    ) -> dict[str, builtins.list[Any]]:
        columns: builtins.list[builtins.list[Any]] = [[] for _ in fields]
        for part in parts:
            for column, some in zip(columns, zip(*part, strict=True), strict=True):
                column += some
        found = dict(zip(fields, columns, strict=True))
        if self._backend.untyped:
            _check_types(found)
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
        return int(self._answer(*self._select(query).count())[0][0])

    def facets(self, field: str, query: Query | None = None) -> dict[Any, int]:
        """Return how many of the entries that `query` asks for have which value of `field`."""
        query = asked(query)
        Query.build({field: None}, columns=self.columns)
        if self.uuid is None:
            return {}
        if field in ("tags", "created", "modified", "error") or field not in FIELDS:
            return super().facets(field, query)
        found = self._answer(*self._select(query).facets(field))
        text = self._backend.text if field in ("name", "cls", "state") else _as_is
        counts = {text(value): count for value, count in found}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))


def _question(text: str, values: builtins.list[Any]) -> bytes:
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

#: What it raises to read an entry that is damaged.
_UNREADABLE = (TypeError, ValueError, LookupError, OverflowError, AttributeError)


#: What is wrong with an entry whose ID is garbled.
_GARBLED = "damaged: its ID is garbled, and it cannot be loaded by it"


def _damaged(id_: str, error: Exception) -> Record:
    return Record(id=id_, error=f"damaged: its entry in the catalogue cannot be read: {error}")


def _sound(record: Record) -> Record:
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
