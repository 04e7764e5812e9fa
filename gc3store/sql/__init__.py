"""Stores in databases: SQLite, PostgreSQL, MariaDB and MySQL.

`store` is the store itself, made of three layers, each on the one before: `session` keeps
connections and the steps on them, `writing` turns records into rows, `reading` rows into
records. Questions about the catalogue become SQL in `query`, tables and statements are
defined in `schema`, locations understood in `url`. What differs between databases stands
behind the interface in `backend`, implemented by `sqlite`, `postgresql` and `mysql`. These
modules are the only ones that import SQLAlchemy.
"""

from gc3store.sql.store import SqlStore

__all__ = ["SqlStore"]
