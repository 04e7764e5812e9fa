"""Every kind of store with something in it, and ways to maltreat it."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from gc3store import Store, make_store, register
from gc3store.testing import Point
from tests.minimal import FourMethods
from tests.servers import connect, user
from tests.unprivileged import as_nobody

SAMPLES = Path(__file__).parent / "data" / "gc3pie"

_count = count()


class Ground:
    """A place with a store in it.

    Attributes
    ----------
    url : str
        Where it is.
    ids : list of str
        Three of the objects in it; it may have more.
    folder : Path
        A folder of its own, with everything of the store in it that is a file.
    """

    kind: str = ""
    #: What a fresh interpreter has to do without, and the call that needs it.
    needed: tuple[str, Callable[[str], Any]] = ("pandas", lambda url: make_store(url).table())

    #: Files that tell how far the numbers of IDs have come, and that are locked meanwhile.
    counters: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.url = ""
        self.opened: list[Store] = []

    def fill(self) -> None:
        store = self.open()
        self.ids = [store.save(self.fresh(n)) for n in range(3)]
        store.close()

    def open(self, **options: Any) -> Any:
        """Return the store; what was opened is closed in the end."""
        store = make_store(self.url, **options)
        self.opened.append(store)
        return store

    def fresh(self, value: Any) -> Any:
        """Return an object that can be saved here, with `value` in its attribute ``x``."""
        return Point(value)

    def content(self) -> Any:
        """Return all that is stored, read without the store; not how far the numbers of IDs have come."""
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and not any(file.match(pattern) for pattern in self.counters)
        }

    def damage(self, id_: str, how: Callable[[bytes], bytes]) -> None:
        """Change the bytes of a record."""
        file = self.file_of(id_)
        file.write_bytes(how(file.read_bytes()))

    def file_of(self, id_: str) -> Path:
        raise NotImplementedError

    @contextmanager
    def out_of_reach(self) -> Iterator[str]:
        """Let the store be gone meanwhile, and something in its place that is none; yields what is said then."""
        away = self.folder.with_name("away")
        self.folder.rename(away)
        try:
            yield self._instead()
        finally:
            self.folder.unlink(missing_ok=True)
            away.rename(self.folder)

    def _instead(self) -> str:
        self.folder.write_text("a file")
        return r"is a file|Not a directory"

    def told(self, work: Callable[[Any], Any], **options: Any) -> str:
        """Return what `work` returns or raises, given the store as somebody has it who may only read."""
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        for parent in self.folder.parents:
            if parent.stat().st_mode & 0o055 != 0o055 and parent.stat().st_uid == os.getuid():
                parent.chmod(parent.stat().st_mode | 0o055)
        # An ordinary user may not even read the modules of this interpreter that loading needs.
        self.open().load(self.ids[0])
        return as_nobody(lambda: self._work(self.url, work, options))

    @staticmethod
    def _work(url: str, work: Callable[[Any], Any], options: dict[str, Any]) -> Any:
        with make_store(url, **options) as store:
            return work(store)

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()


class DirectoryGround(Ground):
    counters = (".gc3store/next-*", ".gc3store/locks/*")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"file://{folder}/objects"
        self.fill()

    def file_of(self, id_: str) -> Path:
        large = (self.folder / "objects" / ".gc3store" / "data").glob(f"{id_}-*")
        return next(large, self.folder / "objects" / f"{id_}.gc3")


class MinimalGround(Ground):
    """A store of another package with just the four methods."""

    counters = ("last",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        register("minimal", FourMethods)
        self.url = f"minimal://{folder}/objects"
        self.fill()

    def file_of(self, id_: str) -> Path:
        return self.folder / "objects" / f"{id_}.pickle"


class GC3PieDirectoryGround(Ground):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        _prepare_for_gc3pie(folder)
        shutil.copytree(SAMPLES / "fs", folder / "fs")
        self.url = f"file://{folder}/fs"
        self.ids = ["IsingRun.27", "IsingRun.28", "IsingRun.29"]

    def fresh(self, value: Any) -> Any:
        return new_run(value)

    def file_of(self, id_: str) -> Path:
        return self.folder / "fs" / id_


class SqliteGround(Ground):
    kind = "sqlite"
    needed = ("sqlalchemy", make_store)
    rows = "gc3store_payload", "number"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file = folder / "objects.db"
        self.url = f"sqlite:///{self.file}"
        self.fill()

    def content(self) -> Any:
        with closing(sqlite3.connect(self.file)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return {
                name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables.fetchall()
            }

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def damage(self, id_: str, how: Callable[[bytes], bytes]) -> None:
        table, key = self.rows
        number = int(id_.rpartition(".")[2])
        ((data,),) = self.execute(f"SELECT data FROM {table} WHERE {key} = ?", (number,))
        if not data:
            table, key = "gc3store_chunk", "position = 1 AND number"
            ((data,),) = self.execute(f"SELECT data FROM {table} WHERE {key} = ?", (number,))
        self.execute(f"UPDATE {table} SET data = ? WHERE {key} = ?", (how(data), number))

    def _instead(self) -> str:
        return "There is no directory .*create it"


class GC3PieTableGround(SqliteGround):
    kind = "gc3pie table"
    rows = "store", "id"

    def fill(self) -> None:
        _prepare_for_gc3pie(self.folder)
        shutil.copyfile(SAMPLES / "jobs.db", self.file)
        self.ids = ["50", "51", "52"]

    def fresh(self, value: Any) -> Any:
        return new_run(value)


class ServerGround(Ground):
    def __init__(self, folder: Path, database: str) -> None:
        super().__init__(folder)
        self.database = database
        self._connection = connect(database)
        self.table = f"t{next(_count)}"
        self.url = f"{database}#table={self.table}"

    def content(self) -> Any:
        schema = "current_schema()" if self.kind == "postgresql" else "database()"
        names = self.execute(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}"
        )
        return {
            name: sorted(map(repr, self.execute(f"SELECT * FROM {name}")))
            for (name,) in names
            if name == self.table or name.startswith(f"{self.table}_")
        }

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        cursor = self._connection.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []

    def damage(self, id_: str, how: Callable[[bytes], bytes]) -> None:
        number = int(id_.rpartition(".")[2])
        for part, key in (("payload", "number"), ("chunk", "position = 1 AND number")):
            table = f"{self.table}_{part}"
            ((data,),) = self.execute(f"SELECT data FROM {table} WHERE {key} = %s", (number,))
            if data:
                self.execute(f"UPDATE {table} SET data = %s WHERE {key} = %s", (how(bytes(data)), number))
                return

    def leave(self) -> None:
        """Close what is open as long as the tests go on."""
        self._connection.close()

    @contextmanager
    def out_of_reach(self) -> Iterator[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))  # where nobody listens
            here, url = self.database.rpartition("@"), self.url
            database = here[2].partition("/")[2]
            self.url = f"{here[0]}@127.0.0.1:{free.getsockname()[1]}/{database}#table={self.table}"
            try:
                yield "[Cc]onnect"
            finally:
                self.url = url

    def told(self, work: Callable[[Any], Any], **options: Any) -> str:
        with user(self.database, "password", may="SELECT") as theirs:
            try:
                return f"returned {self._work(f'{theirs}#table={self.table}', work, options)!r}"
            except Exception as error:
                return f"{type(error).__name__}: {error}"


class PostgreSQLGround(ServerGround):
    kind = "postgresql"
    needed = ("psycopg", make_store)


class MariaDBGround(ServerGround):
    kind = "mariadb"
    needed = ("pymysql", make_store)


GROUNDS = {
    "directory": DirectoryGround,
    "sqlite": SqliteGround,
    "postgresql": PostgreSQLGround,
    "mariadb": MariaDBGround,
    "gc3pie directory": GC3PieDirectoryGround,
    "gc3pie table": GC3PieTableGround,
    "four methods": MinimalGround,
}


def _prepare_for_gc3pie(folder: Path) -> None:
    """Make the classes of the samples known, and let anybody take the next of the numbers for IDs."""
    if str(SAMPLES) not in sys.path:
        sys.path.append(str(SAMPLES))
    ids = Path(os.environ["GC3PIE_ID_FILE"])
    ids.parent.mkdir(exist_ok=True)
    ids.parent.chmod(0o777)
    ids.touch()
    ids.chmod(0o666)


def new_run(value: Any) -> Any:
    """Return a job of GC3Pie, of a class of the sample stores."""
    import ising

    run = ising.IsingRun(8, 4.25, output_dir="/tmp/out")
    run.x = value
    return run
