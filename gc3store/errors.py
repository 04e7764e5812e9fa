"""The error tree.

::

    StoreError
    ├── UsageError                      the call itself is wrong
    │   ├── InvalidIdError              (also a ValueError)
    │   ├── InvalidURLError             (also a ValueError)
    │   │   └── UnknownSchemeError
    │   ├── InvalidQueryError           (also a ValueError)
    │   └── OptionError                 (also a TypeError)
    │       └── UnknownFieldError       (also an InvalidQueryError)
    ├── NotSupportedError               (also a NotImplementedError)
    ├── MissingDependencyError          (also an ImportError)
    ├── StoreUnavailableError           (also an OSError)
    │   └── StoreFullError
    ├── ReadOnlyError                   (also a PermissionError)
    ├── SchemaVersionError
    ├── ClosedStoreError
    ├── ObjectNotFoundError             (also a KeyError)
    ├── SaveError
    │   ├── UnpicklableError            (also a TypeError)
    │   └── OutcomeUnknownError
    ├── LoadError
    │   ├── CorruptRecordError
    │   ├── MissingClassError
    │   ├── UntrustedError
    │   ├── DanglingReferenceError
    │   └── InspectionError
    └── ConflictError

Warnings: ``StoreWarning`` (a ``UserWarning``), and below it ``UnloadableWarning``,
``DanglingReferenceWarning`` and ``ColumnWarning``.

Every error says in one sentence what happened and what to do, and carries the
facts as attributes (``id``, ``path``, ``cause``, ...). Errors of libraries
below are translated where they arise and kept as ``__cause__``.
"""

from __future__ import annotations

import copyreg
from typing import Any

__all__ = [
    "ClosedStoreError",
    "ColumnWarning",
    "ConflictError",
    "CorruptRecordError",
    "DanglingReferenceError",
    "DanglingReferenceWarning",
    "InspectionError",
    "InvalidIdError",
    "InvalidQueryError",
    "InvalidURLError",
    "LoadError",
    "MissingClassError",
    "MissingDependencyError",
    "NotSupportedError",
    "ObjectNotFoundError",
    "OptionError",
    "OutcomeUnknownError",
    "ReadOnlyError",
    "SaveError",
    "SchemaVersionError",
    "StoreError",
    "StoreFullError",
    "StoreUnavailableError",
    "StoreWarning",
    "UnknownFieldError",
    "UnknownSchemeError",
    "UnloadableWarning",
    "UnpicklableError",
    "UntrustedError",
    "UsageError",
]


class StoreError(Exception):
    """Root of everything that a store raises on purpose.

    Parameters
    ----------
    message : str
        One sentence: what happened, and what to do.
    id : str, optional
        The ID that the error is about.

    Attributes
    ----------
    id : str or None
        The ID that the error is about.
    cause : BaseException or None
        The error below that led to this one.
    """

    def __init__(self, message: str, *, id: str | None = None, **facts: Any) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.id = id
        # Errors cross process boundaries (a worker's exception is pickled back
        # to its parent), so everything they carry lives in the instance dict.
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return self.message  # KeyError, one of the bases below, would show a repr

    def __reduce__(self) -> tuple[Any, ...]:
        # Only names of Python's own and that of the class: a payload may hold an error.
        return copyreg.__newobj__, (type(self), self.message), self.__dict__.copy()  # type: ignore[attr-defined]

    @property
    def cause(self) -> BaseException | None:
        """The error below that led to this one."""
        return self.__cause__


class UsageError(StoreError):
    """The call itself is wrong: nothing was attempted."""


class InvalidIdError(UsageError, ValueError):
    """What was given as an ID cannot be one."""


class InvalidURLError(UsageError, ValueError):
    """The location given to :func:`gc3store.make_store` cannot be understood."""


class UnknownSchemeError(InvalidURLError):
    """No store is registered for the URL's scheme."""


class InvalidQueryError(UsageError, ValueError):
    """A filter, a sort order or a search names something that is not there."""


class OptionError(UsageError, TypeError):
    """A keyword is misspelt, or does not apply here."""


class UnknownFieldError(OptionError, InvalidQueryError):
    """A filter, a sort order or a search names a field that the catalogue does not have."""


class NotSupportedError(StoreError, NotImplementedError):
    """This kind of store does not offer the operation."""


class MissingDependencyError(StoreError, ImportError):
    """An optional package is needed; the message says which to install."""


class StoreUnavailableError(StoreError, OSError):
    """The directory or database cannot be reached, opened or written."""


class StoreFullError(StoreUnavailableError):
    """There is no space left where the store lives; what was stored is intact."""


class ReadOnlyError(StoreError, PermissionError):
    """The store was opened, or can only be opened, for reading."""


class SchemaVersionError(StoreError):
    """A newer version of the library wrote this store; upgrade in order to write."""


class ClosedStoreError(StoreError):
    """The store was closed."""


class ObjectNotFoundError(StoreError, KeyError):
    """No object with this ID is in the store."""


class SaveError(StoreError):
    """An object could not be saved; the store and the object are as they were."""


class UnpicklableError(SaveError, TypeError):
    """Something in the object cannot be serialized.

    Attributes
    ----------
    path : str
        Where the culprit is, as one would write it in Python: ``obj.tasks[3].log``.
    """

    path: str


class OutcomeUnknownError(SaveError):
    """The connection broke during a commit: saved or not, trying again is safe."""


class LoadError(StoreError):
    """A stored object could not be turned back into a live one; it is still stored."""


class CorruptRecordError(LoadError):
    """The stored bytes are damaged, or are not a record at all."""


class MissingClassError(LoadError):
    """A class or function that the object needs cannot be imported here.

    Attributes
    ----------
    missing : str
        Dotted name of what could not be imported.
    """

    missing: str


class UntrustedError(LoadError):
    """Loading would import something that the store's trust setting does not allow."""


class DanglingReferenceError(LoadError):
    """An object that this one refers to is no longer in the store.

    Attributes
    ----------
    missing : str
        ID of the object that is gone.
    """

    missing: str


class InspectionError(LoadError):
    """A payload could not be read as inert values."""


class ConflictError(StoreError):
    """The stored object is not the one that this change was made to.

    Attributes
    ----------
    expected : int or None
        The revision that the caller's object or argument stands for.
    found : int or None
        The revision in the store; `None` where the record is gone.
    """

    expected: int | None = None
    found: int | None = None


class StoreWarning(UserWarning):
    """Something worth knowing that stops nothing."""


class UnloadableWarning(StoreWarning):
    """What was just saved would probably not load again.

    Made an error by ``warnings.simplefilter("error", UnloadableWarning)``.
    """


class DanglingReferenceWarning(StoreWarning):
    """What is being removed is still referred to by other objects.

    Issued before anything is removed, so that
    ``warnings.simplefilter("error", DanglingReferenceWarning)`` refuses such removals.
    """


class ColumnWarning(StoreWarning):
    """A user column has no value for an object, or another meaning than before; the object was saved."""
