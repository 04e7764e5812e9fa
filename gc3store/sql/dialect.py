"""What differs between databases, in one place: the interface that each implements."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import URL

from gc3store.errors import (
    ConflictError,
    MissingDependencyError,
    OptionError,
    SaveError,
    StoreError,
    StoreUnavailableError,
)
from gc3store.pickling import STEP
from gc3store.sql.url import secrets_of, shown
from gc3store.support.redaction import redact

if TYPE_CHECKING:
    from gc3store.sql.query_cache import QueryCache
    from gc3store.sql.statements import Sparse, Statements

__all__ = ["Dialect", "dialect_for"]


class Dialect(ABC):
    """A kind of database, and how to reach one.

    Connections are in autocommit mode and have two methods: ``execute(text, values)``
    returns a cursor, ``executemany(text, rows)`` nothing.

    Parameters
    ----------
    url : URL
        Where the database is.
    durable : bool
        Whether commits wait for stable storage.
    read_only : bool
        Whether nothing is to be written.
    timeout : float
        How long to wait for others, in seconds.
    """

    #: How the driver wants parameters written.
    paramstyle: ClassVar[str] = "format"
    #: Whether numbers come from a counter in the store's row of the meta table.
    counter: ClassVar[bool] = False
    #: Whether `allocate` leaves rows of payloads behind, to be filled.
    fills: ClassVar[bool] = False
    #: Whether rows that a transaction reads in order to change them must be locked one by one.
    locks_rows: ClassVar[bool] = True

    #: What stands for a NUL character in strings, where the database cannot store one.
    nul: ClassVar[str] = ""

    #: Whether something is to be written, or was; until then nothing is created.
    writes: bool = False

    #: The type of binary values that the driver takes the least time for.
    binary: ClassVar[type] = bytes

    #: Whether a column may have values of another type than it is of.
    untyped: ClassVar[bool] = False

    #: Payloads of this size or more are cut into chunks, in bytes.
    inline: int = STEP
    #: Largest chunk, in bytes.
    chunk: int = STEP

    def __init__(self, url: URL, *, durable: bool, read_only: bool, timeout: float) -> None:
        self.url = url
        self.durable = durable
        self.read_only = read_only
        self.timeout = timeout
        self.where = shown(url)
        self._secrets = secrets_of(url)
        kind = url.get_dialect()
        driver = kind.import_dbapi()
        self.sqlalchemy: sa.Dialect = kind(paramstyle=self.paramstyle, dbapi=driver)  # type: ignore[call-arg]
        self.error: type[Exception] = driver.Error

    # Connections.

    @abstractmethod
    def connect(self) -> Any:
        """Return a new connection."""

    def is_frozen(self, connection: Any) -> bool:
        """Whether `connection` sees no changes of others, so that what is read must be checked."""
        return False

    def is_current(self, connection: Any) -> bool:
        """Whether the database has not changed since a frozen connection was made."""
        return True

    def exists(self) -> bool:
        """Whether there is a database to connect to, as far as can be told without connecting."""
        return True

    def absolute_url(self) -> URL:
        """Return the URL as another process needs it."""
        return self.url

    def insert_new(self, statement: sa.Insert) -> sa.Insert:
        """Return a statement that inserts a row unless there is one with its key."""
        return statement.prefix_with("OR IGNORE")

    # Transactions.

    def begin(self, connection: Any) -> None:
        """Begin a transaction that writes."""
        connection.execute("BEGIN")

    @abstractmethod
    def begin_snapshot(self, connection: Any) -> None:
        """Begin a transaction that reads one state of the database."""

    def commit(self, connection: Any) -> None:
        """End a transaction, and keep what was done."""
        connection.execute("COMMIT")

    def has_ended(self, connection: Any) -> bool:
        """Whether a commit that was interrupted is known to have taken place, without asking a server."""
        return False

    def rollback(self, connection: Any) -> None:
        """End a transaction, and undo what was done."""
        connection.execute("ROLLBACK")

    # Errors.

    @abstractmethod
    def is_lost(self, connection: Any, error: Exception) -> bool:
        """Whether the connection cannot be used any more; the server then has undone its transaction."""

    def is_collision(self, error: Exception) -> bool:
        """Whether the database undid a transaction because of what others did, so that it may be repeated."""
        return False

    def replace_invalid_text(self, connection: Any, error: Exception) -> bool:
        """Replace invalid UTF-8 on this connection from now on, if it is what `error` is about.

        Returns whether this changed anything, so that the statement is worth repeating.
        """
        return False

    @abstractmethod
    def is_missing_table(self, error: Exception) -> bool:
        """Whether a table, or a part of one, is not there."""

    @abstractmethod
    def translate(self, error: Exception, *, writing: bool) -> StoreError:
        """Return the error of our tree that says what a driver's error means."""

    def message_of(self, error: Exception) -> str:
        """Return what a driver's error says, on one line and without secrets."""
        return " ".join(redact(str(error), *self._secrets).split()).rstrip(". ")

    def fit_to_show(self, error: Exception) -> Exception | None:
        """Return an error of the driver, unless it quotes a secret."""
        text = f"{error} {error.args!r}"
        return None if any(secret in text for secret in self._secrets) else error

    def collision(self) -> StoreError:
        """Return the error for changes that other processes got in the way of."""
        return ConflictError(
            f"Other processes changed the same objects in {self.where} at the same moment; "
            f"nothing was changed here: load them again and repeat the change."
        )

    def busy(self) -> StoreError:
        """Return the error for a lock that was waited for in vain."""
        return StoreUnavailableError(
            f"{self.where} was busy for more than {self.timeout:g} seconds; try again, or open it with a longer timeout."
        )

    def unavailable(self, error: Exception) -> StoreError:
        """Return the error for everything that has no more to say."""
        return StoreUnavailableError(f"{self.where} cannot be used: {self.message_of(error)}.")

    def too_large(self, error: Exception) -> StoreError:
        """Return the error for a value that the database does not take."""
        return SaveError(f"{self.where} does not take a value this large: {self.message_of(error)}.")

    # Statements.

    def text(self, value: Any) -> Any:
        """Return a string as it was saved."""
        return value.replace(self.nul, "\0") if self.nul and value and self.nul in value else value

    @abstractmethod
    def listed(self, column: Any, name: str) -> Any:
        """Return the condition that `column` is one of the numbers in parameter `name`."""

    @abstractmethod
    def numbers(self, values: Sequence[int]) -> Any:
        """Return the value of such a parameter."""

    def contains(self, column: Any, text: Any) -> Any:
        """Return the condition that `text` occurs in `column`, in exactly this case."""
        return sa.func.instr(column, text) > 0

    def has_word(self, column: Any, word: str) -> Any:
        """Return the condition that `word` occurs in `column`, in upper or lower case."""
        return self.contains(sa.func.lower(column), sa.func.lower(sa.literal(word)))

    def query_cache(self, connection: Any) -> QueryCache | None:
        """Return what is known of the database as it is now; `None` where a change would not be noticed."""
        return None

    def text_type(self) -> Any:
        """Return the type of strings that compare by code points."""
        return sa.Text()

    # Tables.

    @abstractmethod
    def create(self, connection: Any, statements: Statements, fill: Callable[[], None]) -> None:
        """Make the tables and `fill` them, while no other process does the same."""

    @abstractmethod
    def columns_of(self, connection: Any, table: str) -> list[str]:
        """Return the names of a table's columns; none if there is no such table."""

    # Rows.

    @abstractmethod
    def allocate(self, connection: Any, statements: Statements, count: int) -> Sequence[int]:
        """Return `count` numbers that were never given out before, growing."""

    @abstractmethod
    def last_number(self, connection: Any, statements: Statements) -> int:
        """Return a number that is at least as high as all that were given out."""

    def retire(self, connection: Any, statements: Statements, number: int) -> None:
        """Make sure that `number` is not given out again when its record is gone."""

    def insert_payloads(
        self, connection: Any, statements: Statements, rows: Sequence[tuple[Any, ...]]
    ) -> Sequence[int]:
        """Insert payloads of new records, and return the numbers that they have from now on."""
        numbers = self.allocate(connection, statements, len(rows))
        self.insert(
            connection,
            statements.insert_payload.full,
            [(n, *row) for n, row in zip(numbers, rows, strict=True)],
        )
        return numbers

    def insert(self, connection: Any, text: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""
        if len(rows) == 1:
            connection.execute(text, rows[0])
        elif rows:
            connection.executemany(text, rows)

    def insert_sparse(self, connection: Any, statement: Sparse, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows in which something may be missing."""
        self.insert(connection, statement.full, rows)

    def update_sparse(self, connection: Any, statement: Sparse, rows: Sequence[tuple[Any, ...]]) -> None:
        """Update rows in which something may be missing."""
        connection.executemany(statement.full, rows)

    def read_chunks(self, connection: Any, statements: Statements, number: int) -> Any:
        """Yield rows of one column, the chunks of a record in their order."""
        position, step = 0, max(1, 8 * STEP // self.chunk)
        while rows := connection.execute(
            statements.read_chunks, (number, position, position + step)
        ).fetchall():
            yield from rows
            position += step


def dialect_for(url: URL, *, durable: bool, read_only: bool, timeout: float) -> Dialect:
    """Return what reaches the database at `url`."""
    if not isinstance(timeout, (int, float)) or not timeout >= 0:
        raise OptionError(f"timeout is a number of seconds, not {timeout!r:.40}.", option="timeout")
    match url.get_backend_name():
        case "postgresql":
            module, name = "gc3store.sql.postgresql", "PostgreSQL"
        case "mysql":
            module, name = "gc3store.sql.mysql", "MySQL"
        case _:
            module, name = "gc3store.sql.sqlite", "SQLite"
    try:
        kind: type[Dialect] = getattr(importlib.import_module(module), name)
        return kind(url, durable=durable, read_only=read_only, timeout=timeout)
    except ImportError as error:
        raise missing_driver(url, error) from error


def missing_driver(url: URL, error: ImportError) -> MissingDependencyError:
    """Return the error for a package that is not installed."""
    scheme = url.get_backend_name()
    return MissingDependencyError(
        f"{scheme}: URLs need a package that is not installed ({error.name}): pip install 'gc3store[{scheme}]'."
    )
