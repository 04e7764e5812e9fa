"""The tables of a store in a database, and the statements on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from operator import itemgetter
from typing import Any, Final, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable

from gc3store.errors import OptionError

__all__ = [
    "CHUNKED",
    "PLAIN",
    "REFERS",
    "VERSION",
    "Schema",
    "Sparse",
    "Statements",
    "check_table_name",
    "compiled",
]

T = TypeVar("T")

#: How many statements are cached at most, beside those that every store needs.
_MAX_CACHED = 200

#: Flags of a payload: readable by a plain unpickler; refers to other records; cut into chunks.
PLAIN: Final = 1
REFERS: Final = 2
CHUNKED: Final = 4

#: Version of the schema. Readers accept all up to theirs.
VERSION = 1


class TableDialect(Protocol):
    """What tables and statements need to know of a database; `gc3store.sql.dialect` has the rest."""

    @property
    def counter(self) -> bool:
        """Whether numbers come from a counter in the store's row of the meta table."""

    @property
    def sqlalchemy(self) -> sa.Dialect:
        """The dialect as SQLAlchemy has it."""

    def text_type(self) -> Any:
        """Return the type of columns with strings."""

    def insert_new(self, statement: sa.Insert) -> sa.Insert:
        """Return a statement that inserts a row unless there is one with its key."""

    def listed(self, column: Any, name: str) -> Any:
        """Return the condition that a column has one of the values of a parameter."""


def check_table_name(name: object) -> str:
    """Return `name` if the catalogue can be called so."""
    # A database cuts what is longer than 63 bytes, and ours go on after it.
    if not isinstance(name, str) or not re.fullmatch(r"[^\W\d]\w*", name) or len(name.encode()) > 40:
        raise OptionError(
            f"{name!r} cannot be the name of a table; take letters, digits and underscores, 40 bytes at most."
        )
    return name


class Schema:
    """The tables whose names begin with `name`, as one kind of database has them."""

    def __init__(self, name: str, dialect: TableDialect) -> None:
        self.name = check_table_name(name)
        metadata = sa.MetaData()
        big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
        text = dialect.text_type()
        data = sa.LargeBinary(2**24)
        short = sa.String(255, collation=text.collation)

        def number() -> sa.Column[int]:
            return sa.Column("number", big, primary_key=True, autoincrement=False)

        self.record = sa.Table(
            name,
            metadata,
            number(),
            sa.Column("id", short, nullable=False),
            sa.Column("name", text),
            sa.Column("cls", text, nullable=False),
            sa.Column("state", text),
            sa.Column("tags", text),
            sa.Column("size", sa.BigInteger, nullable=False),
            sa.Column("created", sa.BigInteger, nullable=False),
            sa.Column("modified", sa.BigInteger, nullable=False),
            sa.Column("revision", sa.BigInteger, nullable=False),
            sa.Column("explicit", sa.SmallInteger, nullable=False),
            sa.Column("columns", text),
        )
        self.payload = sa.Table(
            f"{name}_payload",
            metadata,
            sa.Column("number", big, primary_key=True, autoincrement=dialect.sqlalchemy.name == "mysql"),
            sa.Column("flags", sa.Integer, nullable=False),
            sa.Column("checksum", sa.LargeBinary(16), nullable=False),
            sa.Column("stream_size", sa.BigInteger, nullable=False),
            sa.Column("buffers", text),
            sa.Column("preview", text),
            sa.Column("environment", sa.String(16)),
            sa.Column("origin", text),
            sa.Column("data", data, nullable=False),
        )
        self.chunk = sa.Table(
            f"{name}_chunk",
            metadata,
            sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("data", data, nullable=False),
        )
        self.reference = sa.Table(
            f"{name}_reference",
            metadata,
            sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("target", sa.BigInteger, nullable=False),
            sa.Index(f"{name}_reference_target", "target"),
            sqlite_with_rowid=False,
        )
        self.environment = sa.Table(
            f"{name}_environment",
            metadata,
            sa.Column("digest", sa.String(16), primary_key=True),
            sa.Column("description", text, nullable=False),
        )
        self.column = sa.Table(
            f"{name}_column",
            metadata,
            sa.Column("name", sa.String(60, collation=text.collation), primary_key=True),
            sa.Column("path", text),
        )
        # By name first: what one column is filtered and sorted on stands together.
        self.value = sa.Table(
            f"{name}_value",
            metadata,
            sa.Column("name", sa.String(60, collation=text.collation), primary_key=True),
            sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("kind", sa.SmallInteger, nullable=False),
            sa.Column("amount", sa.Double),
            sa.Column("exact", sa.BigInteger),
            sa.Column("content", text),
            sa.Index(f"{name}_value_number", "number"),
            sqlite_with_rowid=False,
        )
        self.meta = sa.Table(
            f"{name}_meta",
            metadata,
            sa.Column("uuid", sa.String(36), primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
        )
        if dialect.counter:
            self.meta.append_column(sa.Column("last_number", sa.BigInteger, nullable=False))
        self.tables = (
            self.record,
            self.payload,
            self.chunk,
            self.reference,
            self.environment,
            self.column,
            self.value,
            self.meta,
        )


def compiled(statement: Any, dialect: sa.Dialect) -> tuple[str, list[Any]]:
    """Return a statement as a string, with the values of its parameters in their order."""
    result = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    names = result.positiontup or []
    return str(result), [result.params[name] for name in names]


class Sparse:
    """A statement that writes rows, and the same one for rows in which what is optional is missing.

    Of most objects it is, and SQLite's driver takes as long to find out that a `NULL` adapts to
    nothing as it takes to write three values.

    Parameters
    ----------
    names : sequence of str
        The parameters, in their order.
    optional : sequence of collections of str
        Those that can be missing together, the most first; two of them at least.
    make : callable
        Returns the statement without some of them.
    """

    def __init__(
        self,
        names: Sequence[str],
        optional: Sequence[Collection[str]],
        make: Callable[[Collection[str]], str],
    ) -> None:
        self.full = make(())
        self._variants = [
            (
                itemgetter(*(names.index(name) for name in absent)),
                (None,) * len(absent),
                make(absent),
                itemgetter(*(i for i, name in enumerate(names) if name not in absent)),
            )
            for absent in optional
        ]

    def fit(self, row: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        """Return the statement that writes a row, and the values that it takes."""
        for absent, none, text, rest in self._variants:
            if absent(row) == none:
                return text, rest(row)
        return self.full, row

    def parts(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, Sequence[tuple[Any, ...]]]]:
        """Yield the statements that write rows, each with the values that it takes."""
        for absent, none, text, rest in self._variants:
            fitting = [rest(row) for row in rows if absent(row) == none]
            if fitting:
                yield text, fitting
                if len(fitting) == len(rows):
                    return
                rows = [row for row in rows if absent(row) != none]
        if rows:
            yield self.full, rows


class Statements:
    """Each statement that a store runs on its own tables, as strings."""

    @classmethod
    def of(cls, name: str, dialect: TableDialect) -> Statements:
        """Return the statements on the tables called `name`; each set is compiled once."""
        return _statements(name, _Kind(dialect))

    def __init__(self, schema: Schema, dialect: TableDialect) -> None:
        self.schema = schema
        self._cached: dict[Hashable, Any] = {}
        id_ = schema.record.c.id
        sqlalchemy = dialect.sqlalchemy
        quoted = sqlalchemy.identifier_preparer.quote
        self.chunk_table = quoted(schema.chunk.name)
        self.sequence = quoted(f"{schema.name}_number")
        record, payload, chunk = schema.record, schema.payload, schema.chunk
        reference, environment, meta = schema.reference, schema.environment, schema.meta

        def text(statement: Any) -> str:
            return compiled(statement, sqlalchemy)[0]

        def insert(table: sa.Table, *, without: Collection[str] = ()) -> str:
            names = [column.name for column in table.c if column.name not in without]
            return text(sa.insert(table).values({name: sa.bindparam(name) for name in names}))

        self.create = [
            str(CreateTable(t, if_not_exists=True).compile(dialect=sqlalchemy)) for t in schema.tables
        ]
        self.create += [
            str(CreateIndex(index, if_not_exists=sqlalchemy.name != "mysql").compile(dialect=sqlalchemy))
            for table in schema.tables
            for index in table.indexes
        ]

        def inserts(
            table: sa.Table, optional: Sequence[Collection[str]], *, without: Collection[str] = ()
        ) -> Sparse:
            names = [column.name for column in table.c if column.name not in without]
            return Sparse(names, optional, lambda absent: insert(table, without={*without, *absent}))

        labels = ("name", "tags", "columns")
        self.insert_record = inserts(record, (("state", *labels), labels))
        optional = (("buffers", "origin", "preview"), ("buffers", "origin"))
        self.insert_payload = inserts(
            payload, optional, without=("number",) if sqlalchemy.name == "mysql" else ()
        )
        self.claim_payload = insert(payload)
        self.empty_payload = (0, b"", 0, None, None, None, None, b"")
        self.insert_chunk = insert(chunk)
        self.insert_reference = insert(reference)

        def insert_new(table: sa.Table) -> str:
            names: dict[str, Any] = {column.name: sa.bindparam(column.name) for column in table.c}
            return text(dialect.insert_new(sa.insert(table).values(names)))

        self.insert_environment = insert_new(environment)
        self.insert_meta = insert(meta)
        self.insert_column = insert_new(schema.column)
        self.insert_value = insert(schema.value)

        p = sa.bindparam
        self.meta = text(sa.select(meta.c.uuid, meta.c.version))
        if dialect.counter:
            highest = sa.select(
                sa.func.coalesce(sa.func.max(record.c.number), sa.literal_column("0"))
            ).scalar_subquery()
            self.last_number = text(sa.select(sa.func.max(highest, meta.c.last_number)))
            self.retire = text(
                sa.update(meta).values(last_number=p("number_")).where(meta.c.last_number < p("last"))
            )
        self.next_numbers = f"SELECT nextval('{self.sequence}') FROM generate_series(1, %s)"
        self.columns = text(
            sa.select(schema.column.c.name, schema.column.c.path).order_by(schema.column.c.name)
        )
        self.update_column = text(
            sa.update(schema.column).values(path=p("path_")).where(schema.column.c.name == p("name_"))
        )
        self.environment = text(sa.select(environment.c.digest).where(environment.c.digest == p("digest")))

        def listed(column: Any) -> Any:
            # One parameter for any number of values.
            return dialect.listed(column, "numbers")

        whole = (
            id_,
            record.c.revision,
            payload.c.flags,
            payload.c.checksum,
            payload.c.stream_size,
            payload.c.buffers,
            payload.c.data,
        )
        both = record.outerjoin(payload, payload.c.number == record.c.number)
        self.read_one = text(sa.select(*whole).select_from(both).where(record.c.number == p("number_")))
        self.read_many = text(sa.select(*whole).select_from(both).where(listed(record.c.number)))
        self.read_chunks = text(
            sa.select(chunk.c.data)
            .where(
                chunk.c.number == p("number_"), chunk.c.position >= p("first"), chunk.c.position < p("stop")
            )
            .order_by(chunk.c.position)
        )
        self.revisions = text(sa.select(id_, record.c.revision).where(listed(record.c.number)))
        before = (
            sa.select(id_, record.c.revision, payload.c.flags, record.c.columns)
            .select_from(record.join(payload, payload.c.number == record.c.number))
            .with_for_update()
        )
        self.before = text(
            # In an order, so that two writers never wait for each other in a circle.
            before.where(listed(record.c.number)).order_by(record.c.number)
        )
        self.before_one = text(before.where(record.c.number == p("number_")))
        # Of outer joins not all rows can be locked.
        self.before_lost = text(
            sa.select(id_, record.c.revision, sa.null(), record.c.columns)
            .where(
                listed(record.c.number),
                ~sa.exists().where(payload.c.number == record.c.number).correlate(record),
            )
            .order_by(record.c.number)
            .with_for_update()
        )
        self.roots = text(sa.select(id_, record.c.explicit).order_by(record.c.number))

        reach = sa.select(record.c.number).where(listed(record.c.number)).cte("reach", recursive=True)
        reach = reach.union(
            sa.select(reference.c.target).select_from(
                reference.join(reach, reach.c.number == reference.c.number)
            )
        )
        self.closure_nodes = text(
            sa.select(record.c.number, id_, record.c.revision).select_from(
                reach.join(record, record.c.number == reach.c.number)
            )
        )
        self.closure_whole = text(
            sa.select(record.c.number, *whole).select_from(
                reach.join(record, record.c.number == reach.c.number).outerjoin(
                    payload, payload.c.number == reach.c.number
                )
            )
        )
        self.closure_edges = text(
            sa.select(reference.c.number, reference.c.target)
            .select_from(
                reach.join(record, record.c.number == reach.c.number).join(
                    reference, reference.c.number == reach.c.number
                )
            )
            .order_by(reference.c.number, reference.c.position)
        )
        self.referrers = text(
            sa.select(reference.c.target, id_)
            .select_from(reference.join(record, record.c.number == reference.c.number))
            .where(listed(reference.c.target))
            .order_by(reference.c.number)
        )
        self.references = text(
            sa.select(reference.c.target, id_)
            .select_from(reference.outerjoin(record, record.c.number == reference.c.target))
            .where(reference.c.number == p("number_"))
            .order_by(reference.c.position)
        )
        self.describe = text(
            sa.select(
                id_,
                record.c.name,
                record.c.cls,
                record.c.state,
                record.c.tags,
                record.c.size,
                record.c.created,
                record.c.modified,
                record.c.revision,
                payload.c.flags,
                payload.c.checksum,
                payload.c.preview,
                payload.c.origin,
                environment.c.description,
                record.c.columns,
                record.c.explicit,
            )
            .select_from(
                record.outerjoin(payload, payload.c.number == record.c.number).outerjoin(
                    environment, environment.c.digest == payload.c.environment
                )
            )
            .where(record.c.number == p("number_"))
        )
        explicit = sa.case(
            (record.c.explicit == sa.literal_column("1"), sa.literal_column("1")),
            else_=p("e", type_=sa.SmallInteger),
        )

        def updates(table: sa.Table, values: dict[str, Any], optional: Sequence[Collection[str]]) -> Sparse:
            def make(absent: Collection[str]) -> str:
                new = {**values, **dict.fromkeys(absent, sa.null())}
                return text(sa.update(table).values(new).where(table.c.number == p("number_")))

            return Sparse([*values, "number"], optional, make)

        # In the order of the columns.
        content: dict[str, Any] = {
            "cls": p("c"),
            "state": p("s"),
            "size": p("z"),
            "modified": p("m"),
            "revision": p("r"),
            "explicit": explicit,
            "columns": p("u"),
        }
        self.update_record = updates(record, content, [("state", "columns")])
        content = {column.name: p(f"{column.name}_") for column in payload.c if column.name != "number"}
        self.update_payload = updates(payload, content, optional)
        self.labels = text(
            sa.select(id_, record.c.name, record.c.tags, record.c.explicit)
            .where(record.c.number == p("number_"))
            .with_for_update()
        )
        labels = ("name", "tags", "explicit")
        self.relabel = {
            some: text(
                sa.update(record)
                .values({name: p(f"{name}_") for name in some})
                .where(record.c.number == p("number_"))
            )
            for n in (1, 2, 3)
            for some in combinations(labels, n)
        }

        def delete(table: sa.Table) -> str:
            return text(sa.delete(table).where(table.c.number == p("number_")))

        def delete_listed(table: sa.Table) -> str:
            return text(sa.delete(table).where(listed(table.c.number)))

        self.delete_chunks = delete(chunk)
        self.delete_references = delete(reference)
        self.delete_values = delete(schema.value)
        self.fill = text(sa.update(record).values(columns=p("u")).where(record.c.number == p("number_")))
        self.delete_all = {
            table.name: delete_listed(table) for table in (record, payload, chunk, reference, schema.value)
        }

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` returned when it was first asked for under a key."""
        found = self._cached.get(key)
        if found is None:
            if len(self._cached) > _MAX_CACHED:
                self._cached.clear()
            found = self._cached[key] = make()
        return found


class _Kind:
    """A dialect as a key: two of a kind write the same statements."""

    def __init__(self, dialect: TableDialect) -> None:
        self.dialect = dialect

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kind) and type(self.dialect) is type(other.dialect)

    def __hash__(self) -> int:
        return hash(type(self.dialect))


@lru_cache(maxsize=64)
def _statements(name: str, kind: _Kind) -> Statements:
    return Statements(Schema(name, kind.dialect), kind.dialect)
