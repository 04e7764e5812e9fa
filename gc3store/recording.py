"""User columns of what is being saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gc3store.columns import Failures
from gc3store.primitives import Draft, Primitives

__all__ = ["Recording"]


class Recording(Primitives):
    """Evaluating columns, in such a way that no save fails because of one."""

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """Keep other threads out; report in the end which columns stay empty, when all is saved."""
        with self._lock:
            failures = Failures()
            before, self._failures = self._failures, failures
            try:
                yield
            finally:
                self._failures = before
        failures.report()

    def _evaluate_columns(self, drafts: Iterable[Draft]) -> None:
        """Add the values of user columns to what is about to be written."""
        columns = self._user_columns
        self._failures.unfilled += columns.unfilled()
        for draft in drafts:
            draft.fields["columns"] = columns.values_of(draft.obj, self._failures, draft)
