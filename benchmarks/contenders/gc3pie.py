"""GC3Pie's own stores; runs in an environment of its own, see `benchmarks.environment`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gc3libs.persistence.filesystem import FilesystemStore
from gc3libs.persistence.serialization import Persistable
from gc3libs.persistence.sql import SqlStore
from gc3libs.url import Url

from benchmarks.contenders.base import Contender, link


class Job(Persistable):
    """A job as GC3Pie stores it apart."""


class Gc3Pie(Contender):
    """A store of GC3Pie: ``files`` or ``sql`` (SQLite), with its own settings."""

    job_class = Job

    def __init__(self, directory: str, *, kind: str) -> None:
        super().__init__(directory)
        if kind == "files":
            self._store = FilesystemStore(str(self.directory / "jobs"))
        else:
            self._store = SqlStore(Url(f"sqlite:///{self.directory}/jobs.db"))

    def forget(self) -> None:
        self._store.invalidate_cache()

    def save(self, obj: Any) -> Any:
        return self._store.save(obj)

    def load(self, key: Any) -> Any:
        return self._store.load(key)

    def replace(self, key: Any, obj: Any) -> None:
        self._store.replace(key, obj)

    def remove(self, key: Any) -> None:
        self._store.remove(key)

    def list(self) -> list[Any]:
        return list(self._store.list())

    def container(self, children: Sequence[Any]) -> Any:
        container = Job()
        container.children = list(children)
        return container

    def save_graph(self, container: Any) -> Any:
        return self._store.save(container)

    def load_graph(self, key: Any) -> Any:
        return self._store.load(key)

    def chain(self, length: int) -> Any:
        return link(Job() for _ in range(length))

    def _wrap(self, array: Any) -> Any:
        box = Job()  # its stores take instances only
        box.array = array
        return box

    def save_array(self, array: Any) -> Any:
        return self._store.save(self._wrap(array))

    def load_array(self, key: Any) -> Any:
        return self._store.load(key).array
