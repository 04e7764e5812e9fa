"""The one place that thinks: what a store does besides moving bytes.

`RecordStore` is a whole store on any backend (`gc3store.backend`). An author of a backend writes a class of
the backend, and one of the store that makes it.
"""

from __future__ import annotations

from gc3store.engine.record_store import RecordStore

__all__ = ["RecordStore"]
