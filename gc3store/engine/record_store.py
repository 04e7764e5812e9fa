"""Everything a store does but move bytes.

`RecordStore` turns objects into records and back: it walks the graph of
Persistables, decides what is new or changed, keeps track of which live object is
which record, and translates errors. A concrete store moves bytes: it implements
the primitives.

Data flow of a save: objects → drafts (one for each record to be written) →
`Primitives._write`. Of a load: `Primitives._read` → stored records → objects.
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from gc3store.engine.backfill import Filling
from gc3store.engine.export import Exporting
from gc3store.engine.primitives import not_found
from gc3store.errors import DanglingReferenceWarning
from gc3store.ids import check_id
from gc3store.support.batching import Batches
from gc3store.support.forking import register
from gc3store.support.graph import components
from gc3store.support.progress import Progress
from gc3store.support.stacklevel import caller_stacklevel

__all__ = ["RecordStore"]


class RecordStore(Exporting, Filling):
    """Base of the stores that keep records; for the parameters see `Primitives`."""

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        durable: bool = True,
        trust: Any = "everything",
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(url, read_only=read_only, durable=durable, trust=trust, columns=columns)
        register(self)

    def remove(self, id_: str, *, recursive: bool = False) -> None:
        """Delete the object with ID `id_`.

        Parameters
        ----------
        id_ : str
            The ID.
        recursive : bool
            Also delete what it refers to and nothing else does.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.

        Warns
        -----
        DanglingReferenceWarning
            If other objects refer to it; issued before anything is deleted.
        """
        id_ = check_id(id_)
        with self._lock:
            self._remove([id_], recursive=recursive)

    def remove_many(self, ids: Iterable[str]) -> None:
        """Delete several objects as one step (in a directory, each is a step).

        Objects that only refer to each other cause no warning.
        """
        wanted = builtins.list(dict.fromkeys(check_id(id_) for id_ in ids))
        with self._lock:
            self._remove(wanted, recursive=False)

    def _remove(self, ids: builtins.list[str], *, recursive: bool) -> None:
        self._check_writable()
        if not ids:
            return
        present = self._revisions(ids)
        for id_ in ids:
            if id_ not in present:
                raise not_found(id_)
        if recursive:
            ids = self._with_unshared(ids)
        going = set(ids)
        for id_, referrers in self._referrers(ids).items():
            if left := [r for r in referrers if r not in going]:
                shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
                warnings.warn(
                    f"{id_} is being removed, and {shown} will refer to what is gone.",
                    DanglingReferenceWarning,
                    stacklevel=caller_stacklevel(),
                )
        with self._step(), Progress("removing", total=len(ids)) as bar:
            try:
                batches = Batches(ids)
                for batch in batches:
                    self._delete(batch)
                    batches.weigh(0)
                    bar.done(len(batch))
                for id_ in ids:
                    self._identities.drop(id_)
            except BaseException:
                if not self.atomic_batches:  # what is gone is gone
                    existing = self._revisions(ids)
                    for id_ in ids:
                        if id_ not in existing:
                            self._identities.drop(id_)
                raise

    def _with_unshared(self, ids: builtins.list[str]) -> builtins.list[str]:
        """Return `ids` and what only they refer to, referrers first."""
        _, graph, _ = self._closure(ids)
        going = set(graph)
        outside = {
            id_
            for id_, referrers in self._referrers(builtins.list(graph)).items()
            if any(r not in going for r in referrers)
        } - set(ids)
        todo = builtins.list(outside)
        while todo:  # what is used from outside keeps all that it refers to
            for other in graph[todo.pop()]:
                if other in graph and other not in outside and other not in ids:
                    outside.add(other)
                    todo.append(other)
        order = [id_ for component in components(graph, ids) for id_ in component]
        return [id_ for id_ in reversed(order) if id_ not in outside]
