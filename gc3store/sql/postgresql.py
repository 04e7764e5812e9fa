"""PostgreSQL, by psycopg 3.

psycopg 3 is the driver that its authors develop; it sends values apart from the
statement and in binary, prepares statements that come again, and has wheels with
libpq inside.
"""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from sqlalchemy.dialects.postgresql import ARRAY, insert

from gc3store.errors import (
    ReadOnlyError,
    SaveError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    StoreWarning,
)
from gc3store.sql.dialect import Dialect
from gc3store.sql.statements import Statements
from gc3store.support.stacklevel import caller_stacklevel

__all__ = ["PostgreSQL"]

#: Stands for NUL, which strings of PostgreSQL cannot hold: a noncharacter, which no other string uses.
NUL = "\ufdd0"

#: Rows from which on ``COPY`` is worth its two extra round trips.
_COPY = 20


class _Connection:
    """A connection of psycopg with the methods of ours."""

    __slots__ = ("raw",)

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    def execute(self, text: str, values: Sequence[Any] = ()) -> Any:
        for value in values:
            if isinstance(value, str) and "\0" in value:
                values = _without_nul(values)
                break
        return self.raw.execute(text, values, binary=True)

    def executemany(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        with self.raw.cursor() as cursor:
            cursor.executemany(text, [_without_nul(row) for row in rows])

    def close(self) -> None:
        self.raw.close()


def _without_nul(values: Sequence[Any]) -> list[Any]:
    return [v.replace("\0", NUL) if isinstance(v, str) and "\0" in v else v for v in values]


class PostgreSQL(Dialect):
    """A database on a PostgreSQL server.

    Isolation: a transaction that writes runs in ``READ COMMITTED``. It locks the rows it is
    about to change, in the order of their numbers, and looks at their revisions then;
    so two writers of one record take turns, and the second one sees what the first one
    did. What reads several things that must fit together (a graph, a payload in
    chunks) runs in ``REPEATABLE READ, READ ONLY``, and does not wait.

    Numbers come from a sequence, for which no transaction waits: they grow in the order in
    which they are asked for, so that a record may appear after one with a higher number.

    Texts compare by code points (collation ``C``), as they do in Python. Those of
    PostgreSQL hold no NUL: a character that Unicode keeps free for such uses stands for it.
    """

    nul: ClassVar[str] = NUL

    def connect(self) -> _Connection:
        """Return a new connection; waits as long as the server says that it is starting."""
        args, options = self.sqlalchemy.create_connect_args(self.url)
        options.setdefault("connect_timeout", max(2, round(self.timeout)))
        options.setdefault("application_name", "gc3store")
        for name, value in (("keepalives_idle", 60), ("keepalives_interval", 10), ("keepalives_count", 5)):
            options.setdefault(name, value)
        options["client_encoding"] = "UTF8"
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                raw = psycopg.connect(*args, autocommit=True, **options)
                break
            except psycopg.OperationalError as error:
                starting = "starting up" in str(error) or "shutting down" in str(error)
                if not starting or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        try:
            self._set_up(raw)
        except BaseException:
            raw.close()
            raise
        return _Connection(raw)

    def _set_up(self, raw: psycopg.Connection[Any]) -> None:
        settings = {
            "lock_timeout": f"{max(1, round(self.timeout * 1000))}",
            # A host that is gone must not keep its locks for two hours.
            "tcp_keepalives_idle": "60",
            "tcp_keepalives_interval": "10",
            "tcp_keepalives_count": "5",
        }
        if self.read_only:
            settings["default_transaction_read_only"] = "on"
        if not self.durable:
            settings["synchronous_commit"] = "off"
        calls = ", ".join("set_config(%s, %s, false)" for _ in settings)
        values = [text for pair in settings.items() for text in pair]
        row = raw.execute(
            f"SELECT current_setting('synchronous_commit'), current_setting('fsync'), {calls}",
            values,
        ).fetchone()
        assert row is not None
        if self.durable and not self.read_only:
            if row[0] == "off":
                raw.execute("SET synchronous_commit = on")
            if row[1] == "off":
                warnings.warn(
                    f"{self.where} runs with fsync=off: what was saved last may be lost in a power cut.",
                    StoreWarning,
                    stacklevel=caller_stacklevel(),
                )

    def begin(self, connection: Any) -> None:
        """Begin a transaction that writes."""
        connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")

    def begin_snapshot(self, connection: Any) -> None:
        """Begin a transaction that reads one state of the database."""
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def rollback(self, connection: Any) -> None:
        """End a transaction, and undo what was done."""
        if connection.raw.info.transaction_status != TransactionStatus.IDLE:
            connection.execute("ROLLBACK")

    # Errors.

    def fit_to_show(self, error: Exception) -> Exception | None:
        """Return an error of the driver, and not with the connection, which shows the password."""
        theirs = getattr(error, "orig", error)
        if isinstance(theirs, psycopg.Error):
            theirs._pgconn = None
        return super().fit_to_show(error)

    def is_lost(self, connection: Any, error: Exception) -> bool:
        """Whether psycopg has given the connection up, or the server has said that it will go."""
        return connection.raw.closed or (_state(error) or "")[:4] in ("57P0", "0800")

    def is_collision(self, error: Exception) -> bool:
        """Whether it is a deadlock, or a transaction that cannot be put in an order with others."""
        return _state(error) in ("40P01", "40001")

    def is_missing_table(self, error: Exception) -> bool:
        """Whether a table, a column or a sequence is not there."""
        return _state(error) in ("42P01", "42703", "3F000")

    def translate(self, error: Exception, *, writing: bool) -> StoreError:
        """Return what an error of PostgreSQL means, by its SQLSTATE."""
        state = _state(error) or ""
        message = self.message_of(error)
        if state in ("53100", "58030"):
            return StoreFullError(
                f"There is no space left on the server of {self.where}; what was stored is intact. "
                f"Make room there and try again."
            )
        if state == "55P03":
            return self.busy()
        if self.is_collision(error):
            return self.collision()
        if state == "25006":
            return ReadOnlyError(f"{self.where} is open for reading only: {message}.")
        if state == "42501":
            kind: type[StoreError] = ReadOnlyError if writing else StoreUnavailableError
            return kind(f"{self.where} does not allow this: {message}; ask its owner for the right to do so.")
        if state[:2] == "28" or "authentication failed" in message:
            return StoreUnavailableError(
                f"{self.where} does not let this user in: check user name and password."
            )
        if state == "3D000" or ("does not exist" in message and "database" in message):
            return StoreUnavailableError(
                f"There is no database {self.url.database!r} on the server of {self.where}; create it."
            )
        if state in ("54000", "22001"):
            return self.too_large(error)
        if state in ("22P05", "22021") or isinstance(error, psycopg.DataError):
            return SaveError(f"{self.where} does not take such a value: {message}.")
        return self.unavailable(error)

    # Statements.

    def listed(self, column: Any, name: str) -> Any:
        """Return the condition, for an array."""
        return column == sa.func.any(sa.bindparam(name, type_=ARRAY(sa.BigInteger)))

    def numbers(self, values: Sequence[int]) -> list[int]:
        """Return an array."""
        return list(values)

    def contains(self, column: Any, text: Any) -> Any:
        """Return the condition that `text` occurs in `column`."""
        return sa.func.strpos(column, text) > 0

    def has_word(self, column: Any, word: str) -> Any:
        """Return the condition that `word` occurs in `column`, in any script."""
        folded = [sa.func.lower(sa.collate(value, "und-x-icu")) for value in (column, sa.literal(word))]
        return self.contains(*folded)

    def text_type(self) -> Any:
        """Return the type of strings that compare by code points."""
        return sa.Text(collation="C")

    def insert_new(self, statement: sa.Insert) -> sa.Insert:
        """Return a statement that inserts a row unless there is one with its key."""
        names = [column.name for column in statement.table.c]
        values: dict[str, Any] = {name: sa.bindparam(name) for name in names}
        return insert(statement.table).values(values).on_conflict_do_nothing()

    # Tables.

    def create(self, connection: Any, statements: Statements, fill: Callable[[], None]) -> None:
        """Make the tables in one transaction; others that want to do so wait for it."""
        encoding = connection.execute("SHOW server_encoding").fetchone()[0]
        if encoding != "UTF8":
            raise StoreUnavailableError(
                f"{self.where} keeps texts as {encoding}, which has not all characters; "
                f"make a database with ENCODING 'UTF8' TEMPLATE template0."
            )
        name = statements.schema.name
        self.begin(connection)
        try:
            # IF NOT EXISTS alone is not safe against others doing the same.
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (zlib.crc32(f"gc3store {name}".encode()),))
            for statement in statements.create:
                connection.execute(statement)
            connection.execute(f"CREATE SEQUENCE IF NOT EXISTS {statements.sequence} AS bigint CACHE 1")
            # Pickled arrays hardly compress, and trying takes long.
            connection.execute(f"ALTER TABLE {statements.chunk_table} ALTER COLUMN data SET STORAGE EXTERNAL")
            fill()
        except BaseException:
            self.rollback(connection)
            raise
        self.commit(connection)

    def columns_of(self, connection: Any, table: str) -> list[str]:
        """Return the names of a table's columns."""
        rows = connection.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(%s)) "
            "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        )
        return [row[0] for row in rows]

    # Rows.

    def allocate(self, connection: Any, statements: Statements, count: int) -> Sequence[int]:
        """Return the next numbers of the sequence."""
        rows = connection.execute(statements.next_numbers, (count,)).fetchall()
        return [row[0] for row in rows]

    def last_number(self, connection: Any, statements: Statements) -> int:
        """Return where the sequence is."""
        return int(connection.execute(f"SELECT last_value FROM {statements.sequence}").fetchone()[0])

    def insert(self, connection: Any, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, many of them by ``COPY``."""
        if len(rows) < _COPY:
            super().insert(connection, text, rows)
            return
        # INSERT INTO table (columns) VALUES (...)
        target = text.removeprefix("INSERT INTO ").partition(" VALUES ")[0].replace("%%", "%")
        with connection.raw.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(_without_nul(row))


def _state(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None)
