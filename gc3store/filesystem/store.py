"""The store in a directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from gc3store.engine.record_store import RecordStore
from gc3store.errors import OptionError
from gc3store.filesystem.backend import FilesystemBackend
from gc3store.ids import check_id

__all__ = ["FilesystemStore"]


class FilesystemStore(RecordStore):
    """A store in a directory.

    Parameters
    ----------
    url : str or os.PathLike
        The directory, as a path or a ``file:`` URL; made by the first save.
    durable : bool
        Whether a save waits until the object is on stable storage. Without it an
        object still appears whole or not at all, also if the process is killed; only what was
        saved in the last seconds before a power cut may be gone, or be found damaged.
    read_only : bool
        Never write.
    trust, columns
        See `RecordStore`.

    Attributes
    ----------
    path : str
        The directory.

    Notes
    -----
    See `gc3store.filesystem` for the layout and for what is relied on. Many threads, processes
    and hosts may use one directory at the same time.

    Examples
    --------
    >>> import tempfile
    >>> store = FilesystemStore(tempfile.mkdtemp())
    >>> store.save({"energy": -1.75}, name="ground state")
    'dict.1'
    >>> store.load("dict.1"), store.find("ground state")
    ({'energy': -1.75}, ['dict.1'])
    """

    backend: FilesystemBackend

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        durable: bool = True,
        read_only: bool = False,
        trust: Any = "everything",
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        backend = FilesystemBackend(url, read_only=read_only, durable=durable)
        super().__init__(backend, trust=trust, columns=columns)
        self.path = backend.path

    def load(
        self,
        id_: str,
        *,
        fresh: bool = False,
        missing: str = "error",
        mapped: Literal["r", "c"] | None = None,
    ) -> Any:
        """Return the object with ID `id_`; see `RecordStore.load`.

        Parameters
        ----------
        id_ : str
            The ID.
        fresh : bool
            Return an independent copy of what is stored.
        missing : {"error", "placeholder"}
            What to do where a class cannot be found.
        mapped : {"r", "c"}, optional
            Map large arrays into memory instead of reading them: read-only, or
            copy-on-write (changes stay in memory). Takes no time, for any size; of
            the bytes only header and length are checked, `verify` checks the rest. The
            object is an independent copy then.
        """
        if mapped is None:
            return super().load(id_, fresh=fresh, missing=missing)
        if mapped not in ("r", "c"):
            raise OptionError(f"mapped is 'r' (read-only) or 'c' (copy-on-write), not {mapped!r}.")
        return self._load_copy(check_id(id_), missing, mapped)
