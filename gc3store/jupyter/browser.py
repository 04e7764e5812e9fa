"""The browser: a widget that shows what is in a store and does things with it.

``gc3store.browse(store)`` returns one. It is an ordinary `ipywidgets.DOMWidget`,
so it goes into boxes and layouts; and it is useful from Python: what is selected
there is at hand here.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, MutableMapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from gc3store.engine.record_store import RecordStore
from gc3store.errors import UsageError
from gc3store.jupyter.actions import one_line
from gc3store.jupyter.catalogue import Selected
from gc3store.jupyter.current import current_store, default_url
from gc3store.jupyter.fields import FACETS, browser_columns, browser_fields
from gc3store.jupyter.origin import notebook_name
from gc3store.jupyter.requests import LANES, REQUESTS, for_front_end
from gc3store.jupyter.service import Service
from gc3store.jupyter.wire import question
from gc3store.jupyter.worker import Worker
from gc3store.registry import make_store
from gc3store.store import Store
from gc3store.support.redaction import redact

if TYPE_CHECKING:
    import pandas as pd

    from gc3store.jupyter.outcome import Outcome
    from gc3store.query import Query

__all__ = ["Browser", "browse"]


class Browser(anywidget.AnyWidget):
    """A widget to search, inspect, load, rename, replace and remove the objects of a store.

    Parameters
    ----------
    store : Store
        Any store.
    namespace : mutable mapping, optional
        Where objects are loaded to; by default the notebook's variables.
    query : str
        What to search for at first, in the syntax of `gc3store.query.Query.parse`.
    order : str
        The field to sort by at first, with ``-`` before it for descending.
    height : int
        Height of the table in pixels.

    Attributes
    ----------
    query, filters, order
        What is shown, as it is in the search box, the pressed chips and the header.
        Setting them changes the view; ``observe`` tells of changes.
    selected : Selected
        The objects selected, as a lazy sequence of IDs; can be observed.

    Notes
    -----
    The state that a notebook saves of the widget holds no password, no ID and
    nothing of any object: only what was searched for and which columns are shown.
    """

    _esm: ClassVar[Path] = Path(__file__).parent / "static" / "browser.js"
    query = traitlets.Unicode(help="What is searched for.").tag(sync=True)
    filters = traitlets.Dict(help="Values that fields must have.").tag(sync=True)
    order = traitlets.Unicode(help="The field to sort by.").tag(sync=True)
    height = traitlets.Int(380, min=120, max=4000, help="Height of the table in pixels.").tag(sync=True)
    _setup = traitlets.Dict().tag(sync=True)
    selected = traitlets.Instance(Selected, help="The objects selected.")

    def __init__(
        self, store: Store, *, namespace: MutableMapping[str, Any] | None = None, **options: Any
    ) -> None:
        unknown = set(options) - {"query", "filters", "order", "height", "layout"}
        if unknown:
            raise UsageError(f"A browser has no option {min(unknown)!r}.")
        shell = _shell()
        if namespace is None:
            namespace = shell.user_ns if shell else vars(sys.modules["__main__"])
        self._service = Service(
            store,
            namespace,
            hidden=frozenset(shell.user_ns_hidden) if shell else frozenset(),
            origin=_origin,
            code=self._write_code,
            on_select=lambda selected: self.set_trait("selected", selected),
        )
        self._workers = {lane: Worker() for lane in LANES if lane != "immediate"}
        catalogue = self._service.catalogue
        question({key: options.get(key) for key in ("text", "filters", "order")}, catalogue.columns)
        super().__init__(
            selected=Selected(catalogue),
            _setup={
                "store": redact(str(store.url or type(store).__name__)),
                "offers": catalogue.offers,
                "notes": catalogue.notes,
                "fields": browser_fields(catalogue.columns),
                "columns": browser_columns(catalogue.columns, only_ids=not catalogue.queries),
                "facets": FACETS,
                "layout": self._service.layout.read(),
                "requests": for_front_end(),
            },
            **options,
        )
        self.on_msg(self._receive)

    @property
    def store(self) -> Store:
        """The store that is shown."""
        return self._service.store

    def table(self) -> pd.DataFrame:
        """Return what the browser shows, all of it, as a table: one row each, indexed by ID."""
        return self._service.catalogue.table(self._question())

    def close(self) -> None:
        """Remove the widget, and what it kept for undoing."""
        if hasattr(self, "_service"):  # else it never came to be
            self._service.close()
        super().close()

    def _question(self) -> Query:
        asked = {"text": self.query, "filters": self.filters, "order": self.order}
        return question(asked, self._service.catalogue.columns)[0]

    # -- requests -----------------------------------------------------------------------

    def _receive(self, _widget: object, request: object, _buffers: object) -> None:
        """Answer a request in its lane, where it holds up nothing that is quicker.

        A store that is not known to be safe from several threads is asked only in the
        main thread.
        """
        kind = request.get("kind") if isinstance(request, dict) else None
        declared = REQUESTS.get(kind) if isinstance(kind, str) else None
        if not _is_thread_safe(self.store):
            _in_main_thread(lambda: self._reply(request))
        elif declared is None or declared.lane == "immediate":
            self._reply(request)
        else:
            self._workers[declared.lane].put(lambda: self._reply(request))

    def _reply(self, request: Any) -> None:
        echoed = ("client", "seq", "kind")
        envelope = {key: request.get(key) for key in echoed} if isinstance(request, dict) else {}
        self.send({**envelope, **self._service.answer(request)})

    def _write_code(self, outcome: Outcome) -> str:
        """Return the line that does the same here: a magic if it means this store, else Python."""
        current = current_store(_shell())
        if outcome.magic and current is not None and current.opened is self.store:
            return outcome.magic
        names = (name for name, value in list(self._service.namespace.items()) if value is self.store)
        return outcome.python(next((name for name in names if not name.startswith("_")), "store"))

    # -- where there are no widgets -----------------------------------------------------

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """Return the widget, and a table for what cannot show widgets.

        A notebook that a program runs gets the table alone: an export would prefer
        the widget, which shows nothing without a kernel.
        """
        bundle: Any = super()._repr_mimebundle_(**options) if _is_watched() else {}
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        text, html = self._fallback()
        return {**data, "text/plain": text, "text/html": html}, metadata

    def _fallback(self, limit: int = 10) -> tuple[str, str]:
        catalogue = self._service.catalogue
        title = self._setup["store"]
        try:
            if not catalogue.lists:
                return f"{title}: {catalogue.notes[0]}", f"<p>{escape(catalogue.notes[0])}</p>"
            # One more than is shown tells whether there are more; counting them could take long.
            table = catalogue.table(self._question().but(limit=limit + 1))
        except Exception as error:  # noqa: BLE001  showing a browser must not fail because its store does
            reason = f"{title} cannot be read: {redact(one_line(error))}"
            return reason, f"<p>{escape(reason)}</p>"
        table = table.drop(columns=[name for name in table.columns if table[name].isna().all()])
        count = len(table)
        line = f"{title}: {count} object{'s' * (count != 1)}"
        if count > limit:
            table, line = table.head(limit), f"{title}: the first {limit} objects"
        text = f"{line}\n{table.to_string(max_colwidth=40)}" if count else line
        html = table.to_html(border=0) if count else ""
        return text, f"<p>{escape(line)}</p>{html}"


def browse(store: Store | str | None = None, **options: Any) -> Browser:
    """Return a widget that shows what is in a store.

    Parameters
    ----------
    store : Store or str, optional
        A store, or where it is; by default the one that the magics use.
    **options
        As for `Browser`: ``query``, ``filters``, ``order``, ``height``, ``namespace``.
    """
    if store is None:
        current = current_store(_shell())
        store = current.get() if current else default_url()[0]
    return Browser(store if isinstance(store, Store) else make_store(store), **options)


def _is_thread_safe(store: Store) -> bool:
    return isinstance(store, RecordStore) or "threads" in store.capabilities


def _in_main_thread(job: Callable[[], None]) -> None:
    kernel = getattr(_shell(), "kernel", None)
    if threading.current_thread() is threading.main_thread() or kernel is None:
        job()
    else:
        kernel.io_loop.add_callback(job)


def _is_watched() -> bool:
    """Whether a person may be there to click, as far as can be told.

    What runs notebooks by itself (nbconvert, papermill) tells the kernel that it cannot ask for
    input. So does Voilà, although its pages are shown to people.
    """
    kernel = getattr(_shell(), "kernel", None)
    return getattr(kernel, "_allow_stdin", True) or os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


def _origin() -> dict[str, str] | None:
    # The notebook only: what a click saves comes from no cell in particular.
    name = notebook_name(_shell()) if _shell() else None
    return {"notebook": name} if name else None


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
