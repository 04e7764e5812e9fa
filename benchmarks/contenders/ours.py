"""gc3store itself: on SQLite and in a directory, durable and not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gc3store
from benchmarks.contenders.base import Contender, link
from benchmarks.samples import Job as PlainJob


class Job(gc3store.Persistable):
    """A job that is stored apart wherever another object holds it."""


class Container(gc3store.Persistable):
    """An object with others."""


class Ours(Contender):
    """A store of ours: ``sqlite`` or ``files``; ``plain`` jobs are no Persistables."""

    def __init__(
        self, directory: str, *, kind: str, durable: bool, plain: bool = False, mapped: bool = False
    ) -> None:
        super().__init__(directory)
        self.job_class = PlainJob if plain else Job
        self._mapped = mapped
        where = f"sqlite:///{self.directory}/store.db" if kind == "sqlite" else str(self.directory / "store")
        self.store = gc3store.make_store(where, durable=durable)

    def close(self) -> None:
        self.store.close()

    def forget(self) -> None:
        self.store.invalidate_cache()

    def save(self, obj: Any) -> str:
        return self.store.save(obj)

    def load(self, key: str) -> Any:
        return self.store.load(key)

    def replace(self, key: str, obj: Any) -> None:
        self.store.replace(key, obj)

    def remove(self, key: str) -> None:
        self.store.remove(key)

    def list(self) -> list[str]:
        return self.store.list()

    def save_many(self, objs: Sequence[Any]) -> list[str]:
        return self.store.save_many(objs)

    def load_many(self, keys: Sequence[str]) -> list[Any]:
        return list(self.store.load_many(keys))

    def replace_many(self, keys: Sequence[str], objs: Sequence[Any]) -> None:
        replace = self.store.replace
        with self.store.transaction():
            for key, obj in zip(keys, objs, strict=True):
                replace(key, obj)

    def change_many(self, keys: Sequence[str], objs: Sequence[Any]) -> None:
        self.store.save_many(objs)

    def remove_many(self, keys: Sequence[str]) -> None:
        self.store.remove_many(keys)

    def container(self, children: Sequence[Any]) -> Any:
        container = Container()
        container.children = list(children)
        return container

    def save_graph(self, container: Any) -> str:
        return self.store.save(container)

    def load_graph(self, key: str) -> Any:
        return self.store.load(key)

    def chain(self, length: int) -> Any:
        return link(Job() for _ in range(length))

    def load_array(self, key: str) -> Any:
        return self.store.load(key, mapped="c") if self._mapped else self.store.load(key)
