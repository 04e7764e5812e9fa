"""Stores in databases: SQLite, PostgreSQL, MariaDB and MySQL.

`backend` is the place where records are kept. It owns a `session` (the connections and the
transactions on them), a reader (`reading`: rows into records), a writer (`writing`: records into
rows) and a `catalogue`, which answers questions. Questions become SQL in `select`, tables and statements are
defined in `statements`, locations understood in `url`. What differs between databases stands
behind the interface in `dialect`, implemented by `sqlite`, `postgresql` and `mysql`. These
modules are the only ones that import SQLAlchemy.
"""

from gc3store.sql.store import SqlStore

__all__ = ["SqlStore"]
