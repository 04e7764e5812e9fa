"""What stands between a store and its server, and can cut the line at the worst moment."""

from __future__ import annotations

import re
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_DEFAULT = {"postgresql": 5432, "mariadb": 3306, "mysql": 3306}


#: What a client says to end a transaction.
COMMIT = re.compile(rb"COMMIT(?!TED)")


class Proxy:
    """A line to a server that is cut when a client says COMMIT, or something else.

    Parameters
    ----------
    url : str
        The database.

    Attributes
    ----------
    cut : {None, "before", "after"}
        Whether to cut the line before the server gets the next COMMIT, or after, when it has answered: in
        either case the client is left without an answer.
    at : re.Pattern
        What the client must say for that, if not COMMIT.
    passing : int
        How often it may say so before.
    meanwhile : callable, optional
        What to do before the line is cut, while the client waits for an answer.
    away : bool
        Whether nobody can connect from then on.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port or _DEFAULT[parts.scheme.partition("+")[0]])
        self._listener = socket.create_server(("127.0.0.1", 0))
        user = parts.netloc.rpartition("@")[0]
        place = f"{user}@127.0.0.1:{self._listener.getsockname()[1]}"
        query = "sslmode=disable" if parts.scheme.startswith("postgres") else ""
        self.url = urlunsplit((parts.scheme, place, parts.path, query, ""))
        self.cut: str | None = None
        self.at = COMMIT
        self.passing = 0
        self.meanwhile: Callable[[], object] | None = None
        self.then_away = False
        self.away = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.away:
                client.close()
                continue
            server = socket.create_connection(self._server)
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()

    def _is_to_cut(self, data: bytes) -> bool:
        if not self.cut or not self.at.search(data):
            return False
        self.passing -= 1
        return self.passing < 0

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            while True:
                readable, _, _ = select.select([client, server], [], [])
                for side in readable:
                    data = side.recv(65536)
                    if not data:
                        return
                    if side is client and self._is_to_cut(data):
                        how, self.cut = self.cut, None
                        self.cuts += 1
                        self.away = self.then_away
                        if how == "after":
                            server.sendall(data)
                            server.recv(65536)  # it has taken place
                        if self.meanwhile is not None:
                            self.meanwhile()
                        return
                    (server if side is client else client).sendall(data)
