"""MariaDB and MySQL, by PyMySQL.

PyMySQL is pure Python, so that it installs everywhere and needs no client library; it
is maintained, and speaks to servers of both kinds. (mysqlclient and MariaDB's own
connector must be compiled against a library that has to be there already.)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT, SERVER_STATUS
from pymysql.converters import escape_string
from sqlalchemy.dialects.mysql import LONGTEXT

from gc3store.errors import (
    InvalidURLError,
    ReadOnlyError,
    SaveError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    StoreWarning,
)
from gc3store.pickling import STEP
from gc3store.sql.dialect import Dialect
from gc3store.sql.statements import Statements
from gc3store.support.stacklevel import caller_stacklevel

__all__ = ["MySQL"]

#: What a statement needs besides its largest value, in bytes.
_MARGIN = 16 * 1024
#: Largest statement that inserts several rows, in bytes.
_BATCH = 1024 * 1024

_LOST = {
    0, 1053, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2003, 2006, 2013, 2014, 2055, 4031,
}  # fmt: skip
_COLLISION = {1020, 1213, 1412, 1614}


class _Connection:
    """A connection of PyMySQL with the methods of ours.

    PyMySQL writes values into the statement. Payloads are written as hexadecimal
    literals: a character-wise escape in Python would take many times longer.
    """

    __slots__ = ("limit", "raw")

    def __init__(self, raw: Any, limit: int) -> None:
        self.raw = raw
        self.limit = limit

    def execute(self, text: str, values: Sequence[Any] = ()) -> Any:
        cursor = self.raw.cursor()
        cursor.execute(self._filled(text, values))
        return cursor

    def executemany(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        for row in rows:
            self.execute(text, row)

    def insert(self, text: str, rows: Sequence[Sequence[Any]]) -> Iterator[tuple[int, int]]:
        """Insert rows, as many as fit at a time; yield the first number given out, and how many."""
        head, _, values = text.partition(" VALUES ")
        prefix = f"{head} VALUES ".encode()
        pending: list[bytes] = []
        size = len(prefix)
        for row in rows:
            literal = self._filled(values, row)
            if pending and size + len(literal) + 1 > self.limit:
                yield self._flush(prefix, pending), len(pending)
                pending, size = [], len(prefix)
            pending.append(literal)
            size += len(literal) + 1
        if pending:
            yield self._flush(prefix, pending), len(pending)

    def _flush(self, prefix: bytes, literals: list[bytes]) -> int:
        cursor = self.raw.cursor()
        cursor.execute(prefix + b",".join(literals))
        return int(cursor.lastrowid or 0)

    @staticmethod
    def _filled(text: str, values: Sequence[Any]) -> bytes:
        if not values:
            return text.replace("%%", "%").encode()
        filled: bytes = text.encode() % tuple(map(_literal, values))
        return filled

    def close(self) -> None:
        with suppress(pymysql.Error):  # if it was lost before
            self.raw.close()


def _literal(value: Any) -> bytes:
    if value is None:
        return b"NULL"
    if isinstance(value, str):
        return b"'%s'" % str(escape_string(value)).encode()
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise pymysql.DataError(1367, f"{value} is not a number that MySQL knows")
        return repr(value).encode()
    if isinstance(value, (list, tuple)):
        return b"(" + b",".join(map(_literal, value)) + b")"
    return b"x'" + memoryview(value).hex().encode() + b"'"


class MySQL(Dialect):
    """A database on a MariaDB server (10.5 or newer), or MySQL (8.0 or newer).

    Isolation: a transaction that writes runs in ``READ COMMITTED``, which locks the rows it
    changes and no gaps between them, in the order of their numbers. What reads several
    things that must fit together runs in ``REPEATABLE READ`` from a consistent snapshot.

    Numbers are those that ``AUTO_INCREMENT`` gives to payloads; InnoDB never gives
    one twice, also after a restart.

    Texts are ``utf8mb4`` and compare by code points, spaces at the end included. A
    statement must fit into ``max_allowed_packet``: payloads are cut accordingly.
    """

    fills: ClassVar[bool] = True
    _step = 1
    _collation = "utf8mb4_bin"
    _warned = False

    def connect(self) -> _Connection:
        """Return a new connection."""
        try:
            args, options = self.sqlalchemy.create_connect_args(self.url)
            options.setdefault("connect_timeout", max(2, min(60, round(self.timeout))))
            options.update(charset="utf8mb4", autocommit=True, local_infile=False)
            options["client_flag"] = (
                options.get("client_flag", 0) | CLIENT.FOUND_ROWS
            ) & ~CLIENT.MULTI_STATEMENTS
            raw = pymysql.connect(*args, **options)
        except (TypeError, ValueError) as error:
            raise InvalidURLError(
                f"{self.where} has a parameter that the driver does not take: {self.message_of(error)}."
            ) from self.fit_to_show(error)
        try:
            return self._set_up(raw)
        except BaseException:
            raw.close()
            raise

    def _set_up(self, raw: Any) -> _Connection:
        cursor = raw.cursor()
        cursor.execute(
            "SELECT @@max_allowed_packet, @@auto_increment_increment, VERSION(), @@innodb_flush_log_at_trx_commit"
        )
        packet, self._step, version, flush = cursor.fetchone()
        mariadb = "mariadb" in str(version).lower()
        self._collation = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
        # A chunk takes two characters a byte on its way, and one on its way back.
        self.chunk = min(STEP, max(256, (packet - min(_MARGIN, packet // 2)) // 2))
        self.inline = self.chunk
        recursion = "max_recursive_iterations" if mariadb else "cte_max_recursion_depth"
        wait = max(1, round(self.timeout))
        cursor.execute(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
            f"SESSION innodb_lock_wait_timeout = {wait}, SESSION lock_wait_timeout = {wait}, "
            f"SESSION {recursion} = 4294967295, "
            f"SESSION {'tx_isolation' if mariadb else 'transaction_isolation'} = 'READ-COMMITTED'"
        )
        if self.read_only:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
        elif self.durable and int(flush) != 1 and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.where} runs with innodb_flush_log_at_trx_commit={flush}: what was saved in the last "
                f"second may be lost in a power cut.",
                StoreWarning,
                stacklevel=caller_stacklevel(),
            )
        return _Connection(raw, min(_BATCH, packet - min(_MARGIN, packet // 2)))

    def begin(self, connection: Any) -> None:
        """Begin a transaction that writes."""
        connection.execute("START TRANSACTION READ WRITE")

    def begin_snapshot(self, connection: Any) -> None:
        """Begin a transaction that reads one state of the database."""
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def rollback(self, connection: Any) -> None:
        """End a transaction, and undo what was done."""
        if connection.raw.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            connection.execute("ROLLBACK")

    # Errors.

    def is_lost(self, connection: Any, error: Exception) -> bool:
        """Whether the connection broke or was killed."""
        return not connection.raw.open or (
            isinstance(error, (pymysql.OperationalError, pymysql.InterfaceError)) and _code(error) in _LOST
        )

    def is_collision(self, error: Exception) -> bool:
        """Whether it is a deadlock, or a table that was altered meanwhile."""
        return _code(error) in _COLLISION

    def is_missing_table(self, error: Exception) -> bool:
        """Whether a table or a column is not there."""
        return _code(error) in (1146, 1054)

    def translate(self, error: Exception, *, writing: bool) -> StoreError:
        """Return what an error of the server means, by its number."""
        code = _code(error)
        message = self.message_of(error)
        if code in (1021, 1114, 1041) or (code in (3, 1026, 1030) and "28" in message):
            return StoreFullError(
                f"There is no space left on the server of {self.where}; what was stored is intact. "
                f"Make room there and try again."
            )
        if code == 1205:
            return self.busy()
        if code in _COLLISION:
            return self.collision()
        if code in (1290, 1792, 1836):
            return ReadOnlyError(f"{self.where} is open for reading only: {message}.")
        if code == 1045 or code == 1698:
            return StoreUnavailableError(
                f"{self.where} does not let this user in: check user name and password."
            )
        if code in (1044, 1142, 1143, 1227, 1370):
            kind: type[StoreError] = ReadOnlyError if writing else StoreUnavailableError
            return kind(f"{self.where} does not allow this: {message}; ask its owner for the right to do so.")
        if code == 1049:
            return StoreUnavailableError(
                f"There is no database {self.url.database!r} on the server of {self.where}; create it."
            )
        if code in (1153, 1301, 1406):
            return self.too_large(error)
        if isinstance(error, pymysql.DataError):
            return SaveError(f"{self.where} does not take such a value: {message}.")
        return self.unavailable(error)

    # Statements.

    def listed(self, column: Any, name: str) -> Any:
        """Return the condition, for a list in parentheses."""
        return column.op("IN")(sa.bindparam(name))

    def numbers(self, values: Sequence[int]) -> Sequence[int]:
        """Return a list; one with no numbers would be no SQL."""
        return list(values) or [-1]

    def text_type(self) -> Any:
        """Return the type of strings of any length."""
        return LONGTEXT()

    def insert_new(self, statement: sa.Insert) -> sa.Insert:
        """Return a statement that inserts a row unless there is one with its key."""
        return statement.prefix_with("IGNORE")

    # Tables.

    def create(self, connection: Any, statements: Statements, fill: Callable[[], None]) -> None:
        """Make the tables; others that want to do so wait for it.

        Each statement stands for itself here; what was begun and not finished is
        completed by the next one who creates.
        """
        lock = f"gc3store {statements.schema.name}"
        wait = max(1, round(self.timeout))
        if connection.execute("SELECT GET_LOCK(%s, %s)", (lock, wait)).fetchone()[0] != 1:
            raise self.busy()
        try:
            for statement in statements.create:
                if statement.lstrip().startswith("CREATE TABLE"):
                    statement += f" ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={self._collation}"
                try:
                    connection.execute(statement)
                except pymysql.Error as error:
                    if _code(error) != 1061:  # there is such an index
                        raise
            fill()
        finally:
            if connection.raw.open:
                connection.execute("SELECT RELEASE_LOCK(%s)", (lock,))

    def columns_of(self, connection: Any, table: str) -> list[str]:
        """Return the names of a table's columns."""
        rows = connection.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
            (table,),
        )
        return [row[0] for row in rows.fetchall()]

    # Rows.

    def allocate(self, connection: Any, statements: Statements, count: int) -> Sequence[int]:
        """Return the numbers of new, still empty payloads."""
        return self.insert_payloads(connection, statements, [statements.empty_payload] * count)

    def last_number(self, connection: Any, statements: Statements) -> int:
        """Return a number that no one had before, used up by asking for it."""
        number = self.allocate(connection, statements, 1)[0]
        delete = statements.delete_all[statements.schema.payload.name]
        connection.execute(delete, (self.numbers([number]),))
        return number

    def insert_payloads(
        self, connection: Any, statements: Statements, rows: Sequence[tuple[Any, ...]]
    ) -> Sequence[int]:
        """Insert payloads of new records, and return the numbers that they were given.

        One statement's numbers follow each other: it is known beforehand how many.
        """
        numbers: list[int] = []
        for first, count in connection.insert(statements.insert_payload.full, rows):
            numbers += range(first, first + count * self._step, self._step)
        return numbers

    def insert(self, connection: Any, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, as many as fit at a time."""
        for _ in connection.insert(text, rows):
            pass


def _code(error: BaseException) -> int | None:
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else None
