"""Database servers for the tests: the machine's own, and private ones that can be stopped.

The machine's are looked for at the places that ``GC3STORE_TEST_POSTGRESQL`` and
``GC3STORE_TEST_MARIADB`` name, by default the usual ones on this machine. Where there
is none, tests that need one are skipped; with ``CI`` set, that is a failure.
"""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

_PLACES = {
    "postgresql": ("GC3STORE_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test"),
    "mariadb": ("GC3STORE_TEST_MARIADB", "mariadb://root@127.0.0.1:3306/test"),
}

KINDS = tuple(_PLACES)


def connect(url: str) -> Any:
    """Return a connection of our own, in autocommit mode."""
    from gc3store.sql.dialect import dialect_for
    from gc3store.sql.url import parse

    return dialect_for(parse(url)[0], durable=True, read_only=False, timeout=5).connect()


@cache
def _reason_against(kind: str) -> str | None:
    variable, url = _PLACES[kind]
    url = os.environ.get(variable, url)
    try:
        connect(url).close()
    except Exception as error:
        return f"no {kind} server at {url}: {str(error).splitlines()[0]}"
    return None


def server_url(kind: str) -> str:
    """Return the URL of a database of the machine's server, or skip the test."""
    reason = _reason_against(kind)
    if reason is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    variable, url = _PLACES[kind]
    return os.environ.get(variable, url)


@contextmanager
def database(kind: str) -> Iterator[str]:
    """An empty database on the machine's server; dropped in the end."""
    server = server_url(kind)
    name = f"gc3store_test_{secrets.token_hex(6)}"
    connection = connect(server)
    connection.execute(f"CREATE DATABASE {name}")
    try:
        yield server.rpartition("/")[0] + "/" + name
    finally:
        if kind == "postgresql":
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        else:
            connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.close()


_shared = ExitStack()
_tables = count()


@cache
def _shared_database(kind: str) -> str:
    return _shared.enter_context(database(kind))


def new_place(kind: str) -> str:
    """Return the URL of a new store, in tables of its own of a database that tests of this process share.

    Making and dropping a database takes a server longer than most tests do.
    """
    return f"{_shared_database(kind)}#table=t{next(_tables)}"


def drop_shared() -> None:
    """Drop the databases and the files that tests of this process shared."""
    _shared_database.cache_clear()
    _installed.cache_clear()
    _shared.close()


@contextmanager
def user(url: str, password: str, *, may: str = "ALL") -> Iterator[str]:
    """A user of a database with a password, who may do what is granted, also in tables that are there; gone in the end.

    Yields the URL for them.
    """
    scheme, _, place = url.partition("://")
    name, database = f"gc3store_test_{secrets.token_hex(4)}", place.rpartition("/")[2]
    connection = connect(url)
    quoted = password.replace("'", "''").replace("%", "%%")
    if scheme == "postgresql":
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{quoted}'")
        connection.execute(f"GRANT {may} ON ALL TABLES IN SCHEMA public TO {name}")
        if may == "ALL":
            connection.execute(f"GRANT ALL ON SCHEMA public TO {name}")
    else:
        connection.execute(f"CREATE USER {name}@'127.0.0.1' IDENTIFIED BY %s", (password,))
        connection.execute(f"GRANT {may} ON {database}.* TO {name}@'127.0.0.1'")
    try:
        yield f"{scheme}://{name}:{quote(password, safe='')}@{place.rpartition('@')[2]}"
    finally:
        if scheme == "postgresql":
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")
        else:
            connection.execute(f"DROP USER {name}@'127.0.0.1'")
        connection.close()


def _unprivileged(kind: str) -> str | None:
    """Return the user that a server runs under; none where the tests themselves have no privileges."""
    return ("postgres" if kind == "postgresql" else "mysql") if os.geteuid() == 0 else None


@cache
def _installed(kind: str) -> Path:
    """Install the data of a server that was never started; copying it takes less than installing it each time."""
    # Not in pytest's directory, which a server without privileges could not reach.
    folder = Path(tempfile.mkdtemp(prefix="gc3store-installed-"))
    _shared.callback(shutil.rmtree, folder, ignore_errors=True)
    if owner := _unprivileged(kind):
        shutil.chown(folder, owner)
    data = folder / "data"
    if kind == "postgresql":
        password = folder / "password"
        password.write_text("s3cret")
        command = [
            str(_postgresql("initdb")), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256",
            f"--pwfile={password}", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8",
        ]  # fmt: skip
    else:
        command = [
            str(_found("mariadb-install-db")), f"--datadir={data}", "--no-defaults", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ]  # fmt: skip
    subprocess.run(command, user=owner, check=True, cwd=folder, capture_output=True, timeout=120)
    return data


class Server:
    """A server of the test's own, which can be stopped, killed and started again.

    Runs on a free port with its own data, under a user without privileges where the tests run as root.
    """

    def __init__(self, kind: str, directory: Path, *options: str) -> None:
        self.kind = kind
        self.directory = directory
        self.options = options
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = (directory / "log").open("ab")
        self._user = _unprivileged(kind)
        if self._user:
            shutil.chown(directory, self._user)
        self.data = directory / "data"
        subprocess.run(["cp", "-a", _installed(kind), self.data], check=True)

    @property
    def url(self) -> str:
        if self.kind == "postgresql":
            return f"postgresql://postgres:s3cret@127.0.0.1:{self.port}/postgres"
        return f"mariadb://tester:s3cret@127.0.0.1:{self.port}/test"

    def _command(self) -> list[str]:
        if self.kind == "postgresql":
            return [
                str(_postgresql("postgres")), "-D", str(self.data), "-p", str(self.port), "-k", str(self.directory),
                "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB", "-c", "max_wal_size=64MB",
                *self.options,
            ]  # fmt: skip
        return [
            str(_found("mariadbd")), "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
            f"--socket={self.directory}/socket", "--bind-address=127.0.0.1", f"--pid-file={self.directory}/pid",
            "--innodb-buffer-pool-size=16M", *self.options,
        ]  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            self._command(), user=self._user, cwd=self.directory, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self._first_steps()
                return
            except Exception:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    log = (self.directory / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"the server did not start:\n{log}") from None
                time.sleep(0.1)

    def _first_steps(self) -> None:
        if self.kind == "postgresql":
            connect(self.url).close()
            return
        import pymysql

        raw = pymysql.connect(unix_socket=f"{self.directory}/socket", user="root", autocommit=True)
        with raw.cursor() as cursor:
            cursor.execute("CREATE DATABASE IF NOT EXISTS test")
            cursor.execute("CREATE USER IF NOT EXISTS tester@'127.0.0.1' IDENTIFIED BY 's3cret'")
            cursor.execute("GRANT ALL ON *.* TO tester@'127.0.0.1' WITH GRANT OPTION")
        raw.close()
        connect(self.url).close()

    def stop(self) -> None:
        """Shut it down as an administrator would who is in a hurry: connections are cut."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT if self.kind == "postgresql" else signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Let it die as in a power cut."""
        process, self._process = self._process, None
        if process is None:
            return
        if self.kind == "postgresql":
            # Its children notice; SIGQUIT makes all of them go without any tidying up.
            process.send_signal(signal.SIGQUIT)
        else:
            process.kill()
        process.wait()

    def remove(self) -> None:
        with suppress(Exception):
            self.stop()
        self._log.close()


@contextmanager
def private_server(kind: str, *options: str) -> Iterator[Server]:
    """A server of one's own that is running; stopped in the end."""
    if sys.platform != "linux" or not (
        _postgresql("initdb") if kind == "postgresql" else _found("mariadb-install-db")
    ):
        message = f"{kind} is not installed on this machine"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    # Not in pytest's directory, which a server without privileges could not reach.
    directory = Path(tempfile.mkdtemp(prefix="gc3store-server-"))
    server = Server(kind, directory, *options)
    try:
        server.start()
        yield server
    finally:
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)
        gc.collect()  # a driver whose server went away leaves sockets, not to be found during another test


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgresql(name: str) -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found:
        return found[-1]
    return _found(name)


def _found(name: str) -> Path | None:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    return Path(path) if path else None
