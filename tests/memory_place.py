"""A place that keeps rows in memory: what a database server is to other backends, here of `tests.memory_backend`."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A record in a place: its catalogue entry as JSON has it, and its payload."""

    entry: dict[str, Any]
    stream: bytes = b""
    buffers: Sequence[bytes] = ()


class Place:
    """Keeps rows by the numbers in their IDs, from when it is made until it is closed.

    A connection asks one question, or holds one transaction: its changes are made when they are sent, all
    at once. If it is closed before, because the writer rolls back or is killed, nothing is changed.
    """

    def __init__(self) -> None:
        self._uuid: str | None = None
        self._columns: dict[str, str | None] = {}
        self._next = 1
        self._rows: dict[int, Row] = {}
        self._begun = 0
        self._committed: set[int] = set()
        self._writing = threading.Lock()  # held by one transaction at a time
        self._lock = threading.Lock()  # held while the attributes are used
        self._listener = Listener(family="AF_UNIX", backlog=64)
        self._is_open = True
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.url = f"memory://{self._listener.address}"

    def close(self) -> None:
        self._is_open = False
        Client(self._listener.address).close()  # ends the wait for a connection
        self._thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while self._is_open:
            connection = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with connection, suppress(EOFError, OSError):
            question, *arguments = connection.recv()
            if question == "begin":
                with self._writing:
                    self._serve_transaction(connection)
            else:
                connection.send(getattr(self, question)(*arguments))

    def _serve_transaction(self, connection: Connection) -> None:
        self._begun += 1
        connection.send(self._begun)
        changes = connection.recv()
        with self._lock:
            rows = self._rows | changes
            self._rows = {number: row for number, row in rows.items() if row is not None}
            self._committed.add(self._begun)
        connection.send(None)

    # Questions.

    def was_committed(self, transaction: int) -> bool:
        with self._writing:  # so that it has come to its end
            return transaction in self._committed

    def store(self) -> tuple[str | None, dict[str, str | None]]:
        """Return the UUID of the store, if there is one, and its user columns."""
        with self._lock:
            return self._uuid, dict(self._columns)

    def make_store(self, columns: Mapping[str, str | None]) -> None:
        """Make the store, if there is none, and let it have further user columns."""
        with self._lock:
            self._uuid = self._uuid or str(uuid.uuid4())
            self._columns.update(columns)

    def allocate(self, count: int) -> int:
        """Return the first of `count` numbers, which are never given again."""
        with self._lock:
            self._next += count
            return self._next - count

    def rows(self, numbers: Collection[int] | None, payloads: bool) -> dict[int, Row]:
        """Return the rows with some numbers, or all; without payloads where they are not needed."""
        with self._lock:
            rows = self._rows
        if numbers is not None:
            rows = {number: rows[number] for number in numbers if number in rows}
        return rows if payloads else {number: Row(row.entry) for number, row in rows.items()}
