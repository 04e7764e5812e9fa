"""What tables need of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gc3store.backend import Backend
from gc3store.query import Query

__all__ = ["TableSource"]


class TableSource(Protocol):
    """A store whose records can be shown as a table."""

    @property
    def backend(self) -> Backend:
        """Where the records are kept."""

    @property
    def url(self) -> str | None:
        """Where the store is, without any password."""

    @property
    def columns(self) -> Sequence[str]:
        """Names of the user columns."""

    def query(self, **filters: Any) -> Query:
        """Return the query that filters mean."""

    def inspect(self, id_: str) -> Any:
        """Return what is in an object, without running anything of it."""

    def count(self, query: Query | None = None) -> int:
        """Return how many entries there are."""
