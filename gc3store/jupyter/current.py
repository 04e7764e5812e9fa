"""Which store the magics work on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gc3store.errors import UsageError
from gc3store.support.redaction import passwords, redact

if TYPE_CHECKING:
    from gc3store.store import Store

__all__ = ["CurrentStore", "current_store", "default_url", "set_current_store"]

#: The store of a notebook that has opened none: a file in the kernel's working
#: directory at first use, so that a project moves as a folder.
DEFAULT_URL = "sqlite:///gc3store.db"


def default_url(configured: str = "") -> tuple[str, str]:
    """Return the URL of the store of a notebook that has opened none, and where it is set."""
    if url := os.environ.get("GC3STORE_URL"):
        return url, "from GC3STORE_URL"
    if configured:
        return configured, "from StoreMagics.url"
    return DEFAULT_URL, "the default, in the working directory"


class CurrentStore:
    """The store that the magics work on, opened at first use.

    Parameters
    ----------
    configured : callable
        Returns the URL of the configuration, or an empty text.
    say : callable
        Takes the one line that says which store was opened without being asked for.
    """

    def __init__(self, configured: Callable[[], str], say: Callable[[str], None]) -> None:
        self._configured = configured
        self._say = say
        self._store: Store | None = None
        self._ours: list[Store] = []  # opened here, and to be closed here
        self._by_default = False
        self._unsaid = False
        self._secrets: tuple[str, ...] = passwords(os.environ.get("GC3STORE_URL", ""))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords that were in the URLs opened so far."""
        return self._secrets

    @property
    def opened(self) -> Store | None:
        """The store, if there is one yet."""
        return self._store

    def get(self) -> Store:
        """Return the store; open the default one if there is none yet, and say so once."""
        if self._store is None:
            self.open(self._default()[0])
            self._unsaid = self._by_default = True
        assert self._store is not None  # for the type checker: open() has set it
        if self._unsaid:
            url, why = self._default()
            self._unsaid = False
            where = redact(self._store.url or url, *self._secrets)
            self._say(f"Using {where} ({why}); %store_open URL opens another.")
        return self._store

    def peek(self) -> Store | None:
        """Return the store that `get` would, saying nothing; `None` if it cannot be opened.

        For Tab completion; opening creates nothing.
        """
        if self._store is None:
            try:
                self.open(self._default()[0])
            except Exception:  # noqa: BLE001  `get` will say what is wrong
                return None
            self._unsaid, self._by_default = True, True
        return self._store

    def _default(self) -> tuple[str, str]:
        return default_url(self._configured())

    def open(self, url: str, **options: Any) -> Store:
        """Open a store in place of the current one; if that fails, the current one stays."""
        from gc3store.registry import make_store  # the store's machinery on first use

        if not url:
            raise UsageError("A store needs a URL, such as sqlite:///jobs.db or file:///home/me/jobs.")
        self._secrets = tuple(dict.fromkeys((*self._secrets, *passwords(url))))
        store = make_store(url, **options)
        self._ours.append(store)
        self._store, self._by_default, self._unsaid = store, False, False
        return store

    def use(self, store: Store) -> None:
        """Work on a store that the user opened, and will close."""
        self._store, self._by_default, self._unsaid = store, False, False

    def release_ownership(self) -> None:
        """Leave the closing of the current store to the user, who has a reference to it now."""
        self._ours = [store for store in self._ours if store is not self._store]

    def forget_default(self) -> None:
        """Find out anew which store is the default, if it is that one that is in use."""
        if self._by_default:
            self._store, self._by_default, self._unsaid = None, False, False

    def close(self) -> None:
        """Have no current store, and close the ones opened here.

        Only now, not when another store is opened: what was loaded from a store, or
        removed from it and may be put back, needs it still.
        """
        self._store, self._by_default, self._unsaid = None, False, False
        while self._ours:
            self._ours.pop().close()


_by_shell: WeakKeyDictionary[Any, CurrentStore] = WeakKeyDictionary()


def set_current_store(shell: Any, current: CurrentStore | None) -> None:
    """Set what tells the current store in a shell; `None` where magics are not loaded any more."""
    if current is None:
        _by_shell.pop(shell, None)
    else:
        _by_shell[shell] = current


def current_store(shell: Any) -> CurrentStore | None:
    """Return what tells the current store in a shell, if the magics are loaded there."""
    return None if shell is None else _by_shell.get(shell)
