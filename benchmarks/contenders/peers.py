"""Peers that run in this environment: shelve, diskcache, sqlitedict, ZODB, joblib."""

from __future__ import annotations

import os
import shelve
from collections.abc import Sequence
from typing import Any

from benchmarks.contenders.base import Contender, link
from benchmarks.samples import fill

try:
    from persistent import Persistent
except ImportError:  # the other peers do without ZODB
    Persistent = object


class _Mapping(Contender):
    """A contender that looks like a dictionary of objects."""

    mapping: Any

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._next = 0

    def _key(self) -> Any:
        self._next += 1
        return str(self._next)

    def commit(self) -> None:
        """Make the changes permanent, where this needs saying."""

    def close(self) -> None:
        self.mapping.close()

    def save(self, obj: Any) -> Any:
        key = self._key()
        self.mapping[key] = obj
        self.commit()
        return key

    def load(self, key: Any) -> Any:
        return self.mapping[key]

    def replace(self, key: Any, obj: Any) -> None:
        self.mapping[key] = obj
        self.commit()

    def remove(self, key: Any) -> None:
        del self.mapping[key]
        self.commit()

    def list(self) -> list[Any]:
        return list(self.mapping)


class _Transactional(_Mapping):
    """A mapping that can change many entries in one transaction."""

    def save_many(self, objs: Sequence[Any]) -> list[Any]:
        keys = [self._key() for _ in objs]
        self.replace_many(keys, objs)
        return keys

    def load_many(self, keys: Sequence[Any]) -> list[Any]:
        return [self.load(key) for key in keys]

    def replace_many(self, keys: Sequence[Any], objs: Sequence[Any]) -> None:
        mapping = self.mapping
        for key, obj in zip(keys, objs, strict=True):
            mapping[key] = obj
        self.commit()

    def remove_many(self, keys: Sequence[Any]) -> None:
        mapping = self.mapping
        for key in keys:
            del mapping[key]
        self.commit()


class Shelve(_Mapping):
    """shelve on the best dbm there is; no transactions, no synchronisation."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self.mapping = shelve.open(str(self.directory / "shelf"), protocol=5)  # noqa: SIM115


class DiskCache(_Transactional):
    """diskcache with its own settings, eviction off."""

    def __init__(self, directory: str) -> None:
        from diskcache import Cache

        super().__init__(directory)
        self.mapping = Cache(directory, eviction_policy="none", size_limit=1 << 40)

    def replace_many(self, keys: Sequence[Any], objs: Sequence[Any]) -> None:
        with self.mapping.transact():
            super().replace_many(keys, objs)

    def load_many(self, keys: Sequence[Any]) -> list[Any]:
        with self.mapping.transact():
            return super().load_many(keys)

    def remove_many(self, keys: Sequence[Any]) -> None:
        with self.mapping.transact():
            super().remove_many(keys)


class SqliteDict(_Transactional):
    """sqlitedict, a commit that is waited for after each operation."""

    def __init__(self, directory: str) -> None:
        from sqlitedict import SqliteDict

        super().__init__(directory)
        self.mapping = SqliteDict(str(self.directory / "dict.db"), autocommit=False)

    def commit(self) -> None:
        self.mapping.commit()


class Joblib(Contender):
    """joblib.dump and joblib.load on a file for each object."""

    def __init__(self, directory: str) -> None:
        import joblib

        super().__init__(directory)
        self._joblib = joblib
        self._next = 0

    def _path(self, key: str) -> str:
        return f"{self.directory}/{key}"

    def save(self, obj: Any) -> str:
        self._next += 1
        key = f"Job.{self._next}"
        self._joblib.dump(obj, self._path(key))
        return key

    def load(self, key: str) -> Any:
        return self._joblib.load(self._path(key))

    def replace(self, key: str, obj: Any) -> None:
        self._joblib.dump(obj, self._path(key))

    def remove(self, key: str) -> None:
        os.unlink(self._path(key))

    def list(self) -> list[str]:
        return os.listdir(self.directory)


class PersistentJob(Persistent):  # type: ignore[misc]
    """A job as ZODB stores it apart."""


class Zodb(_Transactional):
    """ZODB on a FileStorage, objects in a BTree; a commit is synchronised."""

    job_class = PersistentJob

    def __init__(self, directory: str) -> None:
        import transaction
        import ZODB
        from BTrees.OOBTree import OOBTree
        from ZODB.FileStorage import FileStorage

        super().__init__(directory)
        self._transaction = transaction
        self._database = ZODB.DB(FileStorage(str(self.directory / "data.fs")))
        self._connection = self._database.open()
        root = self._connection.root()
        if "objects" not in root:
            root["objects"] = OOBTree()
            self.commit()
        self.mapping = root["objects"]

    def job(self, number: int) -> Any:
        return fill(PersistentJob(), number)

    def _key(self) -> str:
        self._next += 1
        return f"{self._next:012}"

    def commit(self) -> None:
        self._transaction.commit()

    def close(self) -> None:
        self._connection.close()
        self._database.close()

    def forget(self) -> None:
        self._connection.cacheMinimize()

    def load(self, key: str) -> Any:
        obj = self.mapping[key]
        if isinstance(obj, Persistent):
            obj._p_activate()  # read it now rather than at the first use of an attribute
            obj._p_deactivate()
        return obj

    def container(self, children: Sequence[Any]) -> Any:
        container = PersistentJob()
        container.children = list(children)
        return container

    def chain(self, length: int) -> Any:
        return link(PersistentJob() for _ in range(length))

    def save_graph(self, container: Any) -> str:
        if container._p_oid is None:
            return self.save(container)
        container._p_changed = True
        self.commit()
        return ""

    def load_graph(self, key: str) -> Any:
        container = self.mapping[key]
        for child in container.children:
            child._p_activate()
        return container

    def load_chain(self, key: str) -> Any:
        node = head = self.mapping[key]
        while node is not None:
            node = node.next
        return head
