"""What an action on a store did, how to write it as code, and how to take it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gc3store.errors import UsageError

__all__ = ["STORE", "Failure", "Outcome", "Undo", "VariableExistsError"]

STORE = "\0"  # stands for the variable that holds the store; no repr contains it


class VariableExistsError(UsageError):
    """A variable of another value has that name already; nothing was loaded into it.

    Attributes
    ----------
    variable : str
        Its name.
    type : str
        The class of what it holds.
    """

    variable: str
    type: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One object of several that could not be had, and why, in one line."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an action did.

    Attributes
    ----------
    message : str
        One line for people: ``run = IsingRun 'IsingRun.26' (4.2 kB)``.
    magic : str
        The line that does the same with ``%load_ext gc3store``.
    template : str
        The same in plain Python; see `python`.
    ids : tuple of str
        The objects concerned.
    variables : tuple of str
        The variables that were set.
    failures : tuple of Failure
        What could not be done, one by one; the rest was.
    undo : Undo or None
        How to take it back, where that is possible.
    """

    message: str
    magic: str
    template: str
    ids: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    undo: Undo | None = None

    def python(self, store: str = "store") -> str:
        """Return the line of Python that does the same, for a store held by that variable."""
        return self.template.replace(STORE, store)


class Undo:
    """Takes an action back, once.

    Parameters
    ----------
    action : callable
        What to do; it returns the IDs that are as before.
    forget : callable, optional
        Gives back what was kept for it.
    """

    def __init__(
        self, action: Callable[[], tuple[str, ...]], forget: Callable[[], None] | None = None
    ) -> None:
        self._action: Callable[[], tuple[str, ...]] | None = action
        self._forget = forget

    def __call__(self) -> tuple[str, ...]:
        """Take the action back and return the IDs concerned.

        If that fails, what was kept is kept still, and it can be tried again.

        Raises
        ------
        UsageError
            If that was done before, or forgotten.
        """
        if self._action is None:
            raise UsageError("There is nothing to undo any more.")
        ids = self._action()
        self.forget()
        return ids

    def forget(self) -> None:
        """Give back the memory or the temporary file that undoing would need."""
        self._action = None
        if self._forget is not None:
            self._forget()
            self._forget = None
