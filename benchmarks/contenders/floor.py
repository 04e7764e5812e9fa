"""Floors: the least that must be done to keep a pickle, with nothing around it."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.contenders.base import Contender, NotOffered
from benchmarks.samples import Plain

_CHUNK = 500  # keys per IN (...)


class Pickle(Contender):
    """Pickling alone; nothing is stored."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._data: dict[int, bytes] = {}

    def save(self, obj: Any) -> int:
        key = len(self._data)
        self._data[key] = pickle.dumps(obj, 5)
        return key

    def load(self, key: int) -> Any:
        return pickle.loads(self._data[key])

    def container(self, children: Sequence[Any]) -> Any:
        container = Plain()
        container.children = list(children)
        return container

    def save_graph(self, container: Any) -> list[bytes]:
        return [pickle.dumps(child, 5) for child in container.children]

    def load_graph(self, key: list[bytes]) -> Any:
        return self.container([pickle.loads(data) for data in key])


class Sqlite(Contender):
    """The payload alone in a table of sqlite3: ``(id INTEGER PRIMARY KEY, data BLOB)``."""

    def __init__(self, directory: str, *, durable: bool, bulk: bool = True) -> None:
        super().__init__(directory)
        self._bulk = bulk
        self._db = sqlite3.connect(self.directory / "raw.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._db.execute("CREATE TABLE IF NOT EXISTS objects (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")

    def close(self) -> None:
        self._db.close()

    def save(self, obj: Any) -> int:
        return (
            self._db.execute("INSERT INTO objects (data) VALUES (?)", (pickle.dumps(obj, 5),)).lastrowid or 0
        )

    def load(self, key: int) -> Any:
        return pickle.loads(self._db.execute("SELECT data FROM objects WHERE id = ?", (key,)).fetchone()[0])

    def replace(self, key: int, obj: Any) -> None:
        self._db.execute("UPDATE objects SET data = ? WHERE id = ?", (pickle.dumps(obj, 5), key))

    def remove(self, key: int) -> None:
        self._db.execute("DELETE FROM objects WHERE id = ?", (key,))

    def list(self) -> list[int]:
        return [key for (key,) in self._db.execute("SELECT id FROM objects ORDER BY id")]

    def save_many(self, objs: Sequence[Any]) -> list[int]:
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM objects").fetchone()
        keys = list(range(last + 1, last + 1 + len(objs)))
        self._db.execute("BEGIN IMMEDIATE")
        rows = ((key, pickle.dumps(obj, 5)) for key, obj in zip(keys, objs, strict=True))
        self._db.executemany("INSERT INTO objects (id, data) VALUES (?, ?)", rows)
        self._db.execute("COMMIT")
        return keys

    def _payloads(self, keys: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            yield from self._db.execute(f"SELECT id, data FROM objects WHERE id IN ({marks})", part)

    def load_many(self, keys: Sequence[int]) -> list[Any]:
        found = {key: pickle.loads(data) for key, data in self._payloads(keys)}
        return [found[key] for key in keys]

    def replace_many(self, keys: Sequence[int], objs: Sequence[Any]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        rows = ((pickle.dumps(obj, 5), key) for key, obj in zip(keys, objs, strict=True))
        self._db.executemany("UPDATE objects SET data = ? WHERE id = ?", rows)
        self._db.execute("COMMIT")

    def remove_many(self, keys: Sequence[int]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("DELETE FROM objects WHERE id = ?", ((key,) for key in keys))
        self._db.execute("COMMIT")

    def container(self, children: Sequence[Any]) -> Any:
        container = Plain()
        container.children = list(children)
        return container

    def save_graph(self, container: Any) -> int:
        save = self.save_many if self._bulk else lambda objs: [self.save(obj) for obj in objs]
        keys = save(container.children)
        return self.save((keys, {**vars(container), "children": None}))

    def load_graph(self, key: int) -> Any:
        keys, state = self.load(key)
        container = Plain()
        vars(container).update(state)
        container.children = self.load_many(keys) if self._bulk else [self.load(k) for k in keys]
        return container

    def save_array(self, array: Any) -> Any:
        raise NotOffered("one row holds at most 1,000,000,000 bytes")


class Files(Contender):
    """A file for each pickle, written the way `method` says."""

    def __init__(self, directory: str, *, method: str) -> None:
        super().__init__(directory)
        self._write = {"plain": self._plain, "rename": self._rename, "fsync": self._fsync}[method]
        self._next = 0

    def _path(self, key: str) -> str:
        return f"{self.directory}/{key}"

    def _plain(self, key: str, data: bytes) -> None:
        with open(self._path(key), "wb") as file:
            file.write(data)

    def _rename(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with open(path + ".tmp", "wb") as file:
            file.write(data)
        os.replace(path + ".tmp", path)

    def _fsync(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with open(path + ".tmp", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".tmp", path)
        descriptor = os.open(self.directory, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    def save(self, obj: Any) -> str:
        self._next += 1
        key = f"Job.{self._next}"
        self._write(key, pickle.dumps(obj, 5))
        return key

    def load(self, key: str) -> Any:
        with open(self._path(key), "rb") as file:
            return pickle.loads(file.read())

    def replace(self, key: str, obj: Any) -> None:
        self._write(key, pickle.dumps(obj, 5))

    def remove(self, key: str) -> None:
        os.unlink(self._path(key))

    def list(self) -> list[str]:
        return os.listdir(self.directory)

    def container(self, children: Sequence[Any]) -> Any:
        container = Plain()
        container.children = list(children)
        return container

    def save_graph(self, container: Any) -> str:
        keys = [self.save(child) for child in container.children]
        return self.save((keys, {**vars(container), "children": None}))

    def load_graph(self, key: str) -> Any:
        keys, state = self.load(key)
        container = Plain()
        vars(container).update(state)
        container.children = [self.load(child) for child in keys]
        return container


class PickleFile(Files):
    """A large object: ``pickle.dump`` straight into a file, ``pickle.load`` from it."""

    def __init__(self, directory: str, *, durable: bool) -> None:
        super().__init__(directory, method="plain")
        self._durable = durable

    def save_array(self, array: Any) -> str:
        path = self._path("array")
        with open(path + ".tmp", "wb") as file:
            pickle.dump(array, file, 5)
            if self._durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(path + ".tmp", path)
        if self._durable:
            descriptor = os.open(self.directory, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        return "array"

    def load_array(self, key: str) -> Any:
        with open(self._path(key), "rb") as file:
            return pickle.load(file)


class RawBytes(Contender):
    """A large array's bytes alone: write, and read into memory made for them."""

    def save_array(self, array: Any) -> list[Any]:
        with open(self.directory / "array", "wb", buffering=0) as file:
            view = memoryview(array).cast("B")
            done = 0
            while done < len(view):
                done += file.write(view[done:])
        return [str(array.dtype), *array.shape]

    def load_array(self, key: list[Any]) -> Any:
        import numpy as np

        return np.fromfile(self.directory / "array", dtype=key[0]).reshape(key[1:])


class Lmdb(Contender):
    """The payload alone in lmdb, one synchronisation a commit."""

    def __init__(self, directory: str) -> None:
        import lmdb

        super().__init__(directory)
        self._env = lmdb.open(str(self.directory / "lmdb"), map_size=1 << 33)
        self._next = 0

    def close(self) -> None:
        self._env.close()

    def save(self, obj: Any) -> str:
        self._next += 1
        key = f"{self._next:012}"
        self.replace(key, obj)
        return key

    def load(self, key: str) -> Any:
        with self._env.begin() as transaction:
            return pickle.loads(transaction.get(key.encode()))

    def replace(self, key: str, obj: Any) -> None:
        with self._env.begin(write=True) as transaction:
            transaction.put(key.encode(), pickle.dumps(obj, 5))

    def remove(self, key: str) -> None:
        with self._env.begin(write=True) as transaction:
            transaction.delete(key.encode())

    def list(self) -> list[str]:
        with self._env.begin() as transaction:
            return [key.decode() for key in transaction.cursor().iternext(values=False)]
