"""What a store asks of its backend, written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["reads"]

#: The methods of a backend that read payloads.
_READING = ("read", "read_one", "read_graph")


@contextmanager
def reads(store: Any) -> Iterator[list[str]]:
    """Write down which records are read, payloads included, as long as the context lasts.

    Parameters
    ----------
    store : RecordStore
        The store.

    Returns
    -------
    list of str
        The IDs, in the order in which they were asked for; it may be cleared.

    Examples
    --------
    >>> import tempfile
    >>> from gc3store import make_store
    >>> store = make_store(tempfile.mkdtemp())
    >>> id_ = store.save([1])
    >>> with reads(store) as found:
    ...     store.describe(id_).size > 0, store.load(id_)
    (True, [1])
    >>> found
    ['list.1']
    """
    found: list[str] = []
    backend = store.backend
    depth = 0

    def noting(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(what: Any) -> Any:
            nonlocal depth
            if not depth:  # a default that is made of another one counts once
                found.extend([what] if isinstance(what, str) else what)
            depth += 1
            try:
                return method(what)
            finally:
                depth -= 1

        return call

    for name in _READING:
        setattr(backend, name, noting(getattr(backend, name)))
    try:
        yield found
    finally:
        for name in _READING:
            delattr(backend, name)
