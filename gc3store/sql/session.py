"""Connections of a store to its database, and the transactions on them.

Each thread has a connection of its own. Outside of a transaction every statement is one by itself. A
transaction begins with its first statement; so what a broken connection makes fail can be repeated on a
new one as long as nothing was done yet: a server that was restarted between two calls is not noticed.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import methodcaller
from typing import Any, Final, Literal, TypeVar

from gc3store.backend import ReplacedError
from gc3store.errors import ClosedStoreError, StoreError, StoreUnavailableError
from gc3store.sql.dialect import Dialect
from gc3store.support.forking import is_pending, no_fork_during, wait

__all__ = ["Link", "Session", "fetchone"]

T = TypeVar("T")

#: How long a server that was there before is waited for, in seconds; less if the
#: store's timeout is shorter.
RECONNECT: Final = 10.0
#: Rows that are taken from a cursor at a time.
PART: Final = 1000
#: How often a transaction that others got in the way of is repeated.
REPEATS: Final = 20


_fetchall = methodcaller("fetchall")
#: Takes the only row of a cursor, `None` if there is none.
fetchone = methodcaller("fetchone")


class Link:
    """What a thread has to do with the database.

    Attributes
    ----------
    connection : Any
        Its connection; `None` as long as there is none.
    mode : {"", "transaction", "snapshot"}
        What it is in the middle of.
    in_transaction : bool
        Whether the transaction for that has begun: true from before it does until after it has
        ended, however it ends. An interrupt in between thus leaves a link that is in a transaction
        but in the middle of nothing, and its next use starts on a new connection.
    has_work : bool
        Whether something was done in that transaction.
    failed : StoreError or None
        What kept the rest of a transaction from being done, and undid what was: nothing more may be, then.
    in_driver_call : bool
        Whether its thread is within a call of the driver.
    open_cursors : int
        How many cursors wait for their next rows to be asked for.
    is_frozen : bool
        Whether the connection sees no changes of others, so that what is read must be checked.
    """

    __slots__ = (
        "__weakref__",
        "connection",
        "failed",
        "has_work",
        "in_driver_call",
        "in_transaction",
        "is_frozen",
        "mode",
        "open_cursors",
        "pid",
        "was_connected",
    )

    def __init__(self) -> None:
        self.connection: Any = None
        self.was_connected = False
        self.mode: Literal["", "transaction", "snapshot"] = ""
        self.in_transaction = False
        self.has_work = False
        self.failed: StoreError | None = None
        self.in_driver_call = False
        self.open_cursors = 0
        self.is_frozen = False
        self.pid = os.getpid()

    def close(self) -> None:
        """Close the connection, unless it is that of the process this one was forked from."""
        connection, self.connection = self.connection, None
        self.in_transaction = self.has_work = False
        if connection is not None and self.pid == os.getpid():
            with suppress(Exception), no_fork_during():
                connection.close()

    def detach(self) -> None:
        """Do without the connection from now on; cursors that are open go on reading from it."""
        if self.open_cursors:
            self.connection = None
            self.in_transaction = self.has_work = False
        else:
            self.close()

    def __del__(self) -> None:
        self.close()  # its thread has ended


class Session:
    """Runs statements on the connections of one store, one connection a thread.

    Parameters
    ----------
    dialect : Dialect
        The database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._error = dialect.error
        self._local = threading.local()
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        self._inherited: list[Any] = []
        self._closed = False

    def link(self) -> Link:
        """Return what this thread has."""
        try:
            link: Link = self._local.link
        except AttributeError:
            link = self._local.link = Link()
            self._links.add(link)
        return link

    def close(self) -> None:
        """Close all connections; a closed session cannot be used any more."""
        self._closed = True
        for link in list(self._links):
            link.close()

    # Around forks.

    def is_busy(self) -> bool:
        """Whether another thread is within a call of the driver."""
        mine = getattr(self._local, "link", None)
        return any(link.in_driver_call for link in list(self._links) if link is not mine)

    def close_idle(self) -> None:
        """Close connections that are not in use."""
        for link in list(self._links):
            if not (link.in_driver_call or link.open_cursors or link.mode):
                link.close()

    def after_fork(self) -> None:
        """Forget the connections of the parent process."""
        # They are neither used nor closed here, and must not be collected
        # either, since that would close them.
        self._inherited.append((list(self._links), self._local))
        self._links = weakref.WeakSet()
        self._local = threading.local()

    # Statements.

    def run(self, work: Callable[[Any], T], *, again: bool = True) -> T:
        """Return ``work(connection)``, within the transaction that this thread is in the middle of.

        `work` may be called `again`, if the connection broke or others got in the way
        before anything was done.
        """
        link = getattr(self._local, "link", None) or self.link()
        # First said, then asked: a thread that forks asks in the opposite order.
        link.in_driver_call = True
        if not link.mode and is_pending():  # a transaction is waited for
            link.in_driver_call = False
            wait()
            link.in_driver_call = True
        try:
            return self._work(link, work, again)
        finally:
            link.in_driver_call = False

    def _work(self, link: Link, work: Callable[[Any], T], again: bool) -> T:
        dialect = self._dialect
        repeats = 0
        if link.in_transaction and not link.mode:
            link.close()
        if link.failed is not None:
            raise self.undone_by(link.failed)
        while True:
            connection = link.connection
            if connection is None:
                connection = self._connect(link)
            try:
                if link.mode and not link.in_transaction:
                    self._begin_transaction(link)
                result = work(connection)
                if not link.is_frozen or dialect.is_current(connection):
                    link.has_work = True
                    return result
                repeats += 1
                self._reopen(link, again and repeats <= REPEATS)
            except self._error as error:
                if link.is_frozen and not dialect.is_current(connection):
                    repeats += 1
                    self._reopen(link, again and repeats <= REPEATS)
                    continue
                if again and dialect.replace_invalid_text(connection, error):
                    continue
                lost = dialect.is_lost(connection, error)
                collision = not lost and dialect.is_collision(error)
                first = not link.mode or not link.has_work
                if not lost and not collision:
                    translated = self.translate(error)
                    self.abandon(translated)
                    raise translated from dialect.fit_to_show(error)
                self._drop_transaction(link, lost=lost)
                if not first:
                    translated = self._interrupted(error, lost=lost)
                    link.failed = translated if link.mode == "transaction" else None
                    raise translated from dialect.fit_to_show(error)
                repeats += 1
                if repeats > REPEATS:
                    raise self.translate(error) from dialect.fit_to_show(error)
                if collision:
                    time.sleep(random.uniform(0, 0.01 * repeats))
            except StoreError:
                raise  # before anything was written
            except BaseException as error:
                self.abandon(error)
                raise

    def execute(self, text: str, values: Sequence[Any] = (), fetch: Callable[[Any], Any] = _fetchall) -> Any:
        """Return the rows that a statement finds, or what else `fetch` takes of a cursor; as `run` otherwise."""
        try:
            link = self._local.link
            if link.in_transaction == bool(link.mode):
                link.in_driver_call = True
                try:
                    if link.mode or not is_pending():
                        found = fetch(link.connection.execute(text, values))
                        if not link.is_frozen or self._dialect.is_current(link.connection):
                            return found
                finally:
                    link.in_driver_call = False
        except (AttributeError, self._error):
            pass  # there is no connection yet, or the statement failed: the long way round

        return self.run(lambda connection: fetch(connection.execute(text, values)))

    def stream(self, text: str, values: Sequence[Any] = (), *, size: int = PART) -> Iterator[Any]:
        """Yield the rows that a statement finds; `size` of them are taken at a time."""
        for rows in self.parts(text, values, size):
            yield from rows

    def parts(self, text: str, values: Sequence[Any] = (), size: int = PART) -> Iterator[Any]:
        """Yield the rows that a statement finds in lists of `size`."""
        link = self.link()

        def begin(connection: Any) -> tuple[Any, Any]:
            cursor = connection.execute(text, values)
            return cursor, cursor.fetchmany(size)

        cursor, rows = self.run(begin)
        done = 0

        def fetch(connection: Any) -> Any:
            nonlocal cursor
            try:
                return cursor.fetchmany(size)
            except self._error as error:
                if not self._dialect.replace_invalid_text(connection, error):
                    raise
                cursor = connection.execute(text, values)
                deque(itertools.islice(cursor, done), maxlen=0)
                return cursor.fetchmany(size)

        link.open_cursors += 1
        try:
            while rows:
                yield rows
                done += len(rows)
                rows = self.run(fetch, again=False)
        finally:
            link.open_cursors -= 1

    def translate(self, error: Exception) -> StoreError:
        """Return the error of our tree that says what a driver's error means."""
        return self._dialect.translate(error, writing=self.link().mode == "transaction")

    def _connect(self, link: Link) -> Any:
        """Connect; a server that was there before may need a moment to come back."""
        dialect = self._dialect
        if self._closed:
            raise ClosedStoreError(f"{dialect.where} was closed; open it again with make_store.")
        deadline = time.monotonic() + min(RECONNECT, dialect.timeout)
        pause = 0.05
        while True:
            try:
                link.connection = dialect.connect()
            except self._error as error:
                if link.was_connected and time.monotonic() + pause < deadline:
                    time.sleep(pause)
                    pause = min(1.0, 2 * pause)
                    continue
                raise self.translate(error) from dialect.fit_to_show(error)
            link.was_connected = True
            link.is_frozen = dialect.is_frozen(link.connection)
            return link.connection

    def _reopen(self, link: Link, again: bool) -> None:
        """Leave a connection that shows an older state of the database than the one committed."""
        again = again and not (link.mode and link.has_work)
        link.detach()
        if not again:
            raise ReplacedError(
                f"{self._dialect.where} was changed by another process while it was being read; try again."
            )

    # Transactions.

    def begin(self) -> None:
        """Begin a transaction that writes; the first statement in it does."""
        link = getattr(self._local, "link", None) or self.link()
        if link.mode or link.in_transaction:
            self.clear()
        link.mode, link.has_work, link.failed = "transaction", False, None

    def clear(self) -> None:
        """Leave what an interrupt kept from ending."""
        link = self.link()
        if link.mode or link.in_transaction:
            link.mode, link.failed = "", None
            link.close()

    def undone_by(self, error: StoreError) -> StoreError:
        """Return the error for a transaction that another error has undone."""
        return StoreUnavailableError(
            f"An error has undone this transaction on {self._dialect.where}, and nothing of it is kept; "
            f"begin it anew. It was: {error}"
        )

    def end(self) -> None:
        """Undo what was done in a transaction or a snapshot, if there is one, and leave it."""
        link = self.link()
        link.mode, link.failed = "", None
        if link.in_transaction and link.connection is not None:
            try:
                self._dialect.rollback(link.connection)
            except self._error:
                link.close()
        link.in_transaction = False

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let what is read in the context be of one state of the database."""
        link = self.link()
        if link.mode:
            yield
            return
        if link.in_transaction:  # an interrupt kept it from ending
            link.close()
        try:
            link.mode, link.has_work = "snapshot", False
            yield
        finally:
            self.end()

    def abandon(self, error: BaseException) -> None:
        """Undo a transaction in which `error` came, and let nothing more be done in it, if anything was."""
        link = self.link()
        if link.mode != "transaction" or not link.in_transaction:
            return
        first = not link.has_work
        # What was interrupted may have left the connection in any state.
        self._drop_transaction(link, lost=not isinstance(error, Exception))
        if not first:
            if not isinstance(error, StoreError):
                error = StoreUnavailableError(f"{type(error).__name__}: {error}".rstrip(": ") + ".")
            link.failed = error

    def _begin_transaction(self, link: Link) -> None:
        link.in_transaction = True
        try:
            if link.mode == "transaction":
                self._dialect.begin(link.connection)
            else:
                self._dialect.begin_snapshot(link.connection)
        except self._error:
            link.in_transaction = False
            raise

    def _drop_transaction(self, link: Link, *, lost: bool) -> None:
        """Forget a transaction that the database has undone, or is to undo."""
        if not lost and link.in_transaction:
            try:
                self._dialect.rollback(link.connection)
            except self._error:
                lost = True
        link.in_transaction = link.has_work = False
        if lost:
            link.close()

    def _interrupted(self, error: Exception, *, lost: bool) -> StoreError:
        if not lost:
            return self._dialect.collision()
        return StoreUnavailableError(
            f"The connection to {self._dialect.where} broke in the middle of what was being done, and nothing "
            f"was changed; try again: {self._dialect.message_of(error)}."
        )
