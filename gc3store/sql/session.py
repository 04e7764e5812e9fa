"""Connections of a store to its database, and the steps on them.

Each thread has a connection of its own. Outside of a step every statement is a
transaction. A step begins its transaction with its first statement; so what a
broken connection makes fail can be repeated on a new one as long as nothing was
done yet: a server that was restarted between two calls is not noticed.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import methodcaller
from typing import Any, TypeVar

from gc3store.engine.primitives import ReplacedError
from gc3store.engine.record_store import RecordStore
from gc3store.errors import (
    ClosedStoreError,
    OutcomeUnknownError,
    StoreError,
    StoreUnavailableError,
)
from gc3store.sql.dialect import Backend
from gc3store.support.forking import is_pending, no_fork_during, wait

__all__ = ["PART", "Session", "SessionStore", "fetchone"]

T = TypeVar("T")

#: How long a server that was there before is waited for, in seconds; less if the
#: store's timeout is shorter.
RECONNECT = 10.0
#: Rows that are taken from a cursor at a time.
PART = 1000
#: How often a step that others got in the way of is repeated.
REPEATS = 20


_fetchall = methodcaller("fetchall")
#: Takes the only row of a cursor, `None` if there is none.
fetchone = methodcaller("fetchone")


class Session:
    """What a thread has to do with the database.

    Attributes
    ----------
    connection : Any
        Its connection; `None` as long as there is none.
    kind : {"", "step", "snapshot"}
        What it is in the middle of.
    begun : bool
        Whether the transaction for it has begun: true from before it does until after it has
        ended, however it ends. An interrupt in between thus leaves a session that has begun
        but is in the middle of nothing, and whoever uses it next starts on a new connection.
    used : bool
        Whether something was done in that transaction.
    failed : StoreError or None
        What kept the rest of a step from being done, and undid what was: nothing more may be, then.
    inside : bool
        Whether its thread is within a call of the driver.
    open : int
        How many cursors wait for their next rows to be asked for.
    frozen : bool
        Whether the connection sees no changes of others, so that what is read must be checked.
    """

    __slots__ = (
        "__weakref__",
        "begun",
        "connected",
        "connection",
        "failed",
        "frozen",
        "inside",
        "kind",
        "open",
        "pid",
        "used",
    )

    def __init__(self) -> None:
        self.connection: Any = None
        self.connected = False  # ever
        self.kind = ""
        self.begun = False
        self.used = False
        self.failed: StoreError | None = None
        self.inside = False
        self.open = 0
        self.frozen = False
        self.pid = os.getpid()

    def close(self) -> None:
        """Close the connection, unless it is that of the process this one was forked from."""
        connection, self.connection = self.connection, None
        self.begun = self.used = False
        if connection is not None and self.pid == os.getpid():
            with suppress(Exception), no_fork_during():
                connection.close()

    def leave(self) -> None:
        """Do without the connection from now on; those who read from it end what they have begun."""
        if self.open:
            self.connection = None
            self.begun = self.used = False
        else:
            self.close()

    def __del__(self) -> None:
        self.close()  # its thread has ended


class SessionStore(RecordStore):
    """A store that talks to a database over connections."""

    _backend: Backend

    def __init__(
        self, url: str, *, read_only: bool, durable: bool, trust: Any, columns: Mapping[str, Any] | None
    ) -> None:
        super().__init__(url, read_only=read_only, durable=durable, trust=trust, columns=columns)
        self._local = threading.local()
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self._inherited: list[Any] = []
        self._closed = False

    def _session(self) -> Session:
        """Return this thread's session."""
        try:
            session: Session = self._local.session
        except AttributeError:
            session = self._local.session = Session()
            self._sessions.add(session)
        return session

    def close(self) -> None:
        """Close all connections; a closed store cannot be used any more."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        for session in list(self._sessions):
            session.close()

    def pre_fork(self) -> None:
        """Close all connections; they are opened again when needed."""
        with self._lock:
            self._disconnect()

    def _is_at_work(self) -> bool:
        mine = getattr(self._local, "session", None)
        return any(session.inside for session in list(self._sessions) if session is not mine)

    def _rest(self) -> None:
        for session in list(self._sessions):
            if not (session.inside or session.open or session.kind):
                session.close()

    def _forked(self) -> None:
        # The parent's connections are neither used nor closed here, and must not be
        # collected either, since that would close them.
        self._inherited.append((list(self._sessions), self._local))
        self._sessions = weakref.WeakSet()
        self._local = threading.local()
        self._depth = 0

    # Statements.

    def _run(self, work: Callable[[Any], T], *, again: bool = True) -> T:
        """Return ``work(connection)``, within the step that this thread is in the middle of.

        `work` may be called `again`, if the connection broke or others got in the way
        before anything was done.
        """
        session = self._session()
        # First said, then asked: whoever forks asks in the opposite order.
        session.inside = True
        if not session.kind and is_pending():  # a step is waited for
            session.inside = False
            wait()
            session.inside = True
        try:
            return self._work(session, work, again)
        finally:
            session.inside = False

    def _work(self, session: Session, work: Callable[[Any], T], again: bool) -> T:
        repeats = 0
        if session.begun and not session.kind:
            session.close()
        if session.failed is not None:
            if self._depth:
                raise self._undone_by(session.failed)
            session.kind, session.failed = "", None  # an interrupt kept the step from ending
        while True:
            connection = session.connection
            if connection is None:
                connection = self._connect(session)
            try:
                if session.kind and not session.begun:
                    self._begin_transaction(session)
                result = work(connection)
                if not session.frozen or self._backend.is_current(connection):
                    session.used = True
                    return result
                repeats += 1
                self._start_anew(session, again and repeats <= REPEATS)
            except self._backend.error as error:
                if session.frozen and not self._backend.is_current(connection):
                    repeats += 1
                    self._start_anew(session, again and repeats <= REPEATS)
                    continue
                lost = self._backend.is_lost(connection, error)
                collision = not lost and self._backend.is_collision(error)
                if again and self._backend.replace_invalid_text(connection, error):
                    continue
                first = not session.kind or not session.used
                if not lost and not collision:
                    translated = self._translate(error)
                    self._abandon(translated)
                    raise translated from self._backend.fit_to_show(error)
                self._give_up(session, lost=lost)
                if not first:
                    translated = self._interrupted(error, lost=lost)
                    session.failed = translated if session.kind == "step" else None
                    raise translated from self._backend.fit_to_show(error)
                repeats += 1
                if repeats > REPEATS:
                    raise self._translate(error) from self._backend.fit_to_show(error)
                if collision:
                    time.sleep(random.uniform(0, 0.01 * repeats))
            except StoreError:
                raise  # before anything was written
            except BaseException as error:
                self._abandon(error)
                raise

    def _abandon(self, error: BaseException) -> None:
        session = self._session()
        if session.kind != "step" or not session.begun:
            return
        first = not session.used
        # What was interrupted may have left the connection in any state.
        self._give_up(session, lost=not isinstance(error, Exception))
        if not first:
            if not isinstance(error, StoreError):
                error = StoreUnavailableError(f"{type(error).__name__}: {error}".rstrip(": ") + ".")
            session.failed = error

    def _start_anew(self, session: Session, again: bool) -> None:
        """Leave a connection that showed a state of the database which is no more."""
        again = again and not (session.kind and session.used)
        session.leave()
        self._forget_meta()
        if not again:
            raise ReplacedError(
                f"{self._backend.where} was changed by another process while it was being read; try again."
            )

    def _begin_transaction(self, session: Session) -> None:
        session.begun = True
        try:
            if session.kind == "step":
                self._backend.begin(session.connection)
            else:
                self._backend.begin_snapshot(session.connection)
        except self._backend.error:
            session.begun = False
            raise

    def _execute(self, text: str, values: Sequence[Any] = (), fetch: Callable[[Any], Any] = _fetchall) -> Any:
        """Return the rows that a statement finds, or what else `fetch` takes of a cursor; as `_run` otherwise."""
        try:
            session = self._local.session
            if session.begun == bool(session.kind):
                session.inside = True
                try:
                    if session.kind or not is_pending():
                        found = fetch(session.connection.execute(text, values))
                        if not session.frozen or self._backend.is_current(session.connection):
                            return found
                finally:
                    session.inside = False
        except (AttributeError, self._backend.error):
            pass  # there is no connection yet, or the statement failed: the long way round

        return self._run(lambda connection: fetch(connection.execute(text, values)))

    def _stream(self, text: str, values: Sequence[Any] = (), *, part: int = PART) -> Iterator[Any]:
        """Yield the rows that a statement finds, a `part` at a time."""
        for rows in self._parts(text, values, part):
            yield from rows

    def _parts(self, text: str, values: Sequence[Any] = (), size: int = PART) -> Iterator[Any]:
        session = self._session()

        def begin(connection: Any) -> tuple[Any, Any]:
            cursor = connection.execute(text, values)
            return cursor, cursor.fetchmany(size)

        cursor, rows = self._run(begin)
        done = 0

        def fetch(connection: Any) -> Any:
            nonlocal cursor
            try:
                return cursor.fetchmany(size)
            except self._backend.error as error:
                if not self._backend.replace_invalid_text(connection, error):
                    raise
                cursor = connection.execute(text, values)
                deque(itertools.islice(cursor, done), maxlen=0)
                return cursor.fetchmany(size)

        session.open += 1
        try:
            while rows:
                yield rows
                done += len(rows)
                rows = self._run(fetch, again=False)
        finally:
            session.open -= 1

    def _give_up(self, session: Session, *, lost: bool) -> None:
        """Forget a transaction that the database has undone."""
        if not lost and session.begun:
            try:
                self._backend.rollback(session.connection)
            except self._backend.error:
                lost = True
        session.begun = session.used = False
        if session.kind == "step":
            self._undone()
        if lost:
            session.close()

    def _connect(self, session: Session) -> Any:
        """Connect; a server that was there before may need a moment to come back."""
        if self._closed:
            raise ClosedStoreError(f"{self!r} was closed; open it again with make_store.")
        deadline = time.monotonic() + min(RECONNECT, self._backend.timeout)
        pause = 0.05
        while True:
            try:
                session.connection = self._backend.connect()
            except self._backend.error as error:
                if session.connected and time.monotonic() + pause < deadline:
                    time.sleep(pause)
                    pause = min(1.0, 2 * pause)
                    continue
                raise self._translate(error) from self._backend.fit_to_show(error)
            session.connected = True
            session.frozen = self._backend.is_frozen(session.connection)
            return session.connection

    def _translate(self, error: Exception) -> StoreError:
        return self._backend.translate(error, writing=self._session().kind == "step")

    def _undone_by(self, error: StoreError) -> StoreError:
        return StoreUnavailableError(
            f"An error has undone this transaction on {self._backend.where}, and nothing of it is kept; "
            f"begin it anew. It was: {error}"
        )

    def _interrupted(self, error: Exception, *, lost: bool) -> StoreError:
        if not lost:
            return self._backend.collision()
        return StoreUnavailableError(
            f"The connection to {self._backend.where} broke in the middle of what was being done, and nothing "
            f"was changed; try again: {self._backend.message_of(error)}."
        )

    # Steps.

    def _begin(self) -> None:
        session = self._session()
        if session.kind or session.begun:  # an interrupt kept a step from ending
            session.kind, session.failed = "", None
            session.close()
        self._backend.writes = True
        self._prepare_step()
        session.kind, session.used, session.failed = "step", False, None

    def _commit(self) -> None:
        session = self._session()
        if session.failed is not None:
            raise self._undone_by(session.failed)
        try:
            if session.begun:
                self._backend.commit(session.connection)
            self._kept += 1
        except self._backend.error as error:
            if not self._backend.is_lost(session.connection, error):
                translated = self._translate(error)
                self._give_up(session, lost=False)
                raise translated from self._backend.fit_to_show(error)
            session.kind = ""
            session.close()
            self._find_out(error)
            self._kept += 1
        except BaseException:
            # Interrupted while the answer was awaited: what follows on this connection is undefined.
            if session.begun and self._backend.has_ended(session.connection):
                self._kept += 1
            else:
                self._note_doubt()
            session.close()
            raise
        finally:
            session.kind, session.begun = "", False
        self._committed()

    def _find_out(self, error: Exception) -> None:
        """Find out whether a commit took place; raise the error that fits if not."""
        try:
            happened = self._took_place()
        except StoreError:
            self._note_doubt()
            raise OutcomeUnknownError(
                f"The connection to {self._backend.where} broke during a commit, and could not be made again: it was "
                f"saved or not. Try again with the same object: it will not be saved twice."
            ) from self._backend.fit_to_show(error)
        if not happened:
            raise StoreUnavailableError(
                f"The connection to {self._backend.where} broke during a commit, and nothing was changed; try again."
            ) from self._backend.fit_to_show(error)

    def _rollback(self) -> None:
        session = self._session()
        self._end(session)
        self._undone()

    def _end(self, session: Session) -> None:
        """Undo what was done in a step or a snapshot that is over."""
        session.kind, session.failed = "", None
        if session.begun and session.connection is not None:
            try:
                self._backend.rollback(session.connection)
            except self._backend.error:
                session.close()
        session.begun = False

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        session = self._session()
        if session.kind:
            yield
            return
        if session.begun:  # as in `_begin`
            session.close()
        try:
            session.kind, session.used = "snapshot", False
            yield
        finally:
            self._end(session)

    # What the store does besides.

    def _prepare_step(self) -> None:
        """Do what must be done before a step begins."""

    def _committed(self) -> None:
        """Note that a step was kept."""

    def _undone(self) -> None:
        """Note that a step was undone."""

    def _forget_meta(self) -> None:
        """Forget what was read of the store as a whole: there may be another one in its place."""

    def _took_place(self) -> bool:
        """Whether the step whose commit was not answered took place."""
        return False

    def _note_doubt(self) -> None:
        """Remember a step of which it is not known whether it took place."""
