"""User columns of what is being saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from gc3store.columns import Failures
from gc3store.engine.primitives import Draft, Primitives

__all__ = ["Recording"]


class Recording(Primitives):
    """Evaluating columns, in such a way that no save fails because of one."""

    def _saving(self) -> AbstractContextManager[Any]:
        """Keep other threads out; report in the end which columns stay empty, when all is saved."""
        # Without columns, which an existing store told when it was opened, there is nothing to report.
        return self._lock if self.uuid is not None and not self._user_columns else self._reporting()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
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
