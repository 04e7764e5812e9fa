"""A floor for bulk saving: executemany of the very rows that gc3store writes."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Sequence
from typing import Any

import gc3store
from benchmarks.contenders.base import Contender
from benchmarks.contenders.ours import Job


class Rows(Contender):
    """Takes the tables and rows of a store of ours, and inserts them again."""

    job_class = Job

    def __init__(self, directory: str, *, durable: bool) -> None:
        super().__init__(directory)
        self._db = sqlite3.connect(self.directory / "rows.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._statements: dict[str, str] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def close(self) -> None:
        self._db.close()

    def prepare(self, count: int) -> None:
        """Read the rows that `count` jobs make."""
        if self._rows:
            return
        model = self.directory / "model.db"
        with gc3store.make_store(f"sqlite:///{model}", durable=False) as store:
            store.save_many([self.job(0)])  # what is written once
            before = self._count(model)
            store.save_many([self.job(i) for i in range(count)])
        source = sqlite3.connect(model)
        page_size = source.execute("PRAGMA page_size").fetchone()[0]
        if page_size != self._db.execute("PRAGMA page_size").fetchone()[0]:
            self._db.execute("PRAGMA journal_mode=DELETE")
            self._db.execute(f"PRAGMA page_size={page_size}")
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA journal_mode=WAL")
        for kind, name, sql in source.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ):
            if kind in ("table", "index") and not name.startswith("sqlite_"):
                self._db.execute(sql)
        for name, old in before.items():
            rows = source.execute(f'SELECT * FROM "{name}"').fetchall()[old:]
            if rows:
                marks = ",".join("?" * len(rows[0]))
                self._statements[name] = f'INSERT INTO "{name}" VALUES ({marks})'
                self._rows[name] = rows
        source.close()

    def _count(self, model: Any) -> dict[str, int]:
        with sqlite3.connect(model) as source:
            names = [n for (n,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {n: source.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names}

    def save_many(self, objs: Sequence[Any]) -> list[Any]:
        for obj in objs:
            pickle.dumps(obj, 5)  # the payloads' share; the rows hold them already
        self._db.execute("BEGIN IMMEDIATE")
        for name, statement in self._statements.items():
            self._db.executemany(statement, self._rows[name])
        self._db.execute("COMMIT")
        return [name for name in self._statements for _ in self._rows[name]]

    def forget(self) -> None:
        for name in self._statements:
            self._db.execute(f'DELETE FROM "{name}"')
