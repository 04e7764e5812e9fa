"""The kernel side of the browser: plain requests in, plain replies out.

A request is a JSON object with a ``kind`` and what that kind needs; `Service.answer`
returns the reply, another JSON object, and never raises. No widget and no
notebook is needed, and any number of threads may ask at once.

A request is treated as if an enemy had written it: what it names must be a
field of the catalogue, an ID that the store knows or a variable of the notebook,
and is never evaluated. Texts of a reply come from the store and may hold
anything; they are cut to size here and shown as text there.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from gc3store.errors import ObjectNotFoundError, UsageError
from gc3store.jupyter import actions
from gc3store.jupyter.catalogue import Catalogue, Selected
from gc3store.jupyter.fields import FACETS
from gc3store.jupyter.layout import Layout
from gc3store.jupyter.outcome import STORE, Outcome
from gc3store.jupyter.requests import REQUESTS, request
from gc3store.jupyter.show.job_facts import facts, lines
from gc3store.jupyter.variables import check_variable, suggest, variables
from gc3store.jupyter.wire import (
    MAX_IDS,
    MAX_TEXT,
    BadRequestError,
    clip,
    get,
    number,
    origin_of,
    question,
    row,
    texts,
    value_of,
)
from gc3store.query import Condition, Query
from gc3store.support.redaction import redact

if TYPE_CHECKING:
    from gc3store.jupyter.outcome import Undo
    from gc3store.store import Store

__all__ = ["Service"]

MAX_ROWS = 500  #: rows of one reply
ASK_ABOVE = 100  #: removing more objects than this asks first


class Service:
    """Answers the requests of a browser about one store.

    Parameters
    ----------
    store : Store
        Any store.
    namespace : mutable mapping
        The notebook's variables.
    hidden : collection of str
        Names among them that the user did not make.
    origin : callable, optional
        Returns what is to be recorded of where an object was saved.
    code : callable, optional
        Returns an outcome as a line of code.
    on_select : callable, optional
        Takes the objects that were selected.
    """

    def __init__(
        self,
        store: Store,
        namespace: MutableMapping[str, Any],
        *,
        hidden: Collection[str] = (),
        origin: Callable[[], Mapping[str, Any] | None] | None = None,
        code: Callable[[Outcome], str] | None = None,
        on_select: Callable[[Selected], None] | None = None,
    ) -> None:
        self.store = store
        self.catalogue = Catalogue(store)
        self.layout = Layout(store)
        self.namespace = namespace
        self._hidden = hidden
        self._origin = origin
        self._code = code or (lambda outcome: outcome.python())
        self._on_select = on_select
        self._undo: OrderedDict[int, Undo] = OrderedDict()
        self._tokens = itertools.count(1)
        self._lock = threading.Lock()

    def answer(self, request: object) -> dict[str, Any]:
        """Return the reply to a request: ``ok`` and what was asked for, or ``error``.

        Nothing that the store, the notebook or the request holds makes this raise.
        """
        try:
            kind = get(request, "kind", str)
            declared = REQUESTS.get(kind)
            if declared is None:
                raise BadRequestError(f"There is no request {kind[:40]!r}.")
            return {"ok": True, **declared.answer(self, request)}
        except Exception as error:  # noqa: BLE001  a payload's constructor may raise anything
            reply = {"type": type(error).__name__, "message": clip(redact(actions.one_line(error)), 500)}
            for fact in ("variable", "id"):
                value = getattr(error, fact, None)
                if isinstance(value, str):
                    reply[fact] = clip(value)
            return {"ok": False, "error": reply}

    def close(self) -> None:
        """Forget what was kept for undoing."""
        with self._lock:
            while self._undo:
                self._undo.popitem()[1].forget()

    @request("ping", lane="actions", repeatable=False)
    def _ping(self, _request: Any) -> dict[str, Any]:
        """Answer nothing: with a ping, a kernel also finds the requests that came before it."""
        return {}

    # -- looking ------------------------------------------------------------------------

    @request("rows", lane="immediate")
    def _rows(self, request: Any) -> dict[str, Any]:
        query, hint = question(get(request, "query", dict), self.catalogue.columns)
        offset, limit = number(request, "offset"), min(number(request, "limit"), MAX_ROWS)
        reply: dict[str, Any] = {"words": [clip(word) for word in query.words], "hint": hint}
        locate = request.get("locate")
        if locate is not None:
            reply["at"] = self.catalogue.position(get(request, "locate", str), query)
            if reply["at"] is not None:
                # The window moves with the row, so that it is found where it was.
                offset = max(0, offset + reply["at"] - number(request, "from"))
        rows = self.catalogue.rows(query.but(offset=offset, limit=limit))
        if request.get("matchQuery") is not None:
            match_query, _ = question(get(request, "matchQuery", dict), self.catalogue.columns)
            reply["matches"] = [match_query.matches(record) for record in rows]
        columns = self.catalogue.columns
        return {**reply, "offset": offset, "rows": [row(record, columns) for record in rows]}

    @request("count", lane="counts")
    def _count(self, request: Any) -> dict[str, Any]:
        query, _ = question(get(request, "query", dict), self.catalogue.columns)
        total, change_token = self.catalogue.change_token()
        plain = not query.conditions and not query.words
        count = total if plain else self.catalogue.count(query)
        return {"count": count, "total": total, "changeToken": change_token}

    @request("facets", lane="summaries")
    def _facets(self, request: Any) -> dict[str, Any]:
        asked = get(request, "query", dict)
        found = {}
        for field in FACETS:
            others = {name: value for name, value in (asked.get("filters") or {}).items() if name != field}
            query, _ = question({**asked, "filters": others}, self.catalogue.columns)
            counts = self.catalogue.facets(field, query)
            top = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:20]
            found[field] = {
                "values": [
                    [None if value in (None, "") else value_of(value, MAX_TEXT), n] for value, n in top
                ],
                "more": max(0, len(counts) - len(top)),
            }
        return {"facets": found}

    @request("detail", lane="immediate")
    def _detail(self, request: Any) -> dict[str, Any]:
        record = self.catalogue.describe(get(request, "id", str))
        reply = {
            "row": row(record, self.catalogue.columns, MAX_TEXT * 10),
            "preview": None if record.preview is None else clip(record.preview, 4000),
            "references": [clip(id_, 1000) for id_ in record.references[:50]],
            "referenceCount": len(record.references),
            "origin": origin_of(record.origin),
            "checksum": record.checksum,
        }
        if self.store.offers("referrers"):
            referrers = self.store.referrers(record.id)
            reply["referrers"] = [clip(id_, 1000) for id_ in referrers[:50]]
            reply["referrerCount"] = len(referrers)
        return {"detail": reply}

    @request("total", lane="summaries")
    def _total(self, request: Any) -> dict[str, Any]:
        """Answer how many objects and bytes are selected; bytes only where that is quick."""
        selected = self.selected(get(request, "target", dict))
        count = len(selected)
        size = None
        if self.catalogue.queries and 0 < count <= MAX_IDS:
            ids = tuple(selected)
            sizes = self.catalogue.facets("size", Query(conditions=(Condition("id", "in", ids),)))
            size = sum(int(value or 0) * n for value, n in sizes.items())
        return {"count": count, "size": size}

    @request("ids", lane="actions")
    def _ids(self, request: Any) -> dict[str, Any]:
        """Answer the IDs of a range of rows, for selecting from here to there."""
        query, _ = question(get(request, "query", dict), self.catalogue.columns)
        offset, limit = number(request, "offset"), number(request, "limit")
        if limit > MAX_IDS:
            raise BadRequestError(f"From here to there means at most {MAX_IDS:,} rows; Ctrl+A selects all.")
        return {"ids": [record.id for record in self.catalogue.rows(query.but(offset=offset, limit=limit))]}

    @request("select", lane="immediate")
    def _select(self, request: Any) -> dict[str, Any]:
        """Take note of what is selected."""
        selected = self.selected(get(request, "target", dict))
        if self._on_select is not None:
            self._on_select(selected)
        return {}

    @request("layout", lane="immediate")
    def _keep_layout(self, request: Any) -> dict[str, Any]:
        """Keep which columns are shown, how wide and in which order."""
        self.layout.write(request.get("columns"))
        return {}

    # -- doing --------------------------------------------------------------------------

    @request("suggest", lane="actions")
    def _suggest(self, request: Any) -> dict[str, Any]:
        """Answer a variable name for what is selected."""
        selected = self.selected(get(request, "target", dict))
        count = len(selected)
        first = next(iter(selected), None)
        if first is None:
            raise ObjectNotFoundError("What was selected is no longer in the store.")
        record = self.catalogue.describe(first)
        if count == 1:
            return {"variable": suggest(record, self.namespace), "count": 1, "id": record.id}
        plural = suggest(f"{record.class_name or 'object'}s", self.namespace)
        return {"variable": plural.removesuffix("_"), "count": count, "id": record.id}

    @request("check", lane="immediate")
    def _check(self, request: Any) -> dict[str, Any]:
        """Answer whether a variable can have this name, and what it holds if it exists."""
        try:
            name = check_variable(get(request, "variable", str))
        except UsageError as error:
            return {"valid": False, "reason": clip(str(error))}
        exists = name in self.namespace
        kind = clip(type(self.namespace[name]).__qualname__) if exists else None
        return {"valid": True, "exists": exists, "type": kind, "variable": name}

    @request("load", lane="actions", repeatable=False)
    def _load(self, request: Any) -> dict[str, Any]:
        selected = self.selected(get(request, "target", dict))
        variable, overwrite = get(request, "variable", str), request.get("overwrite") is True
        into = request.get("into", "variable")
        if into == "variable":
            (id_,) = itertools.islice(self._present(selected), 2)
            outcome = actions.load(self.store, self.namespace, id_, variable=variable, overwrite=overwrite)
        elif into in ("dict", "variables"):
            outcome = actions.load_many(
                self.store, self.namespace, selected, variable=variable, into=into, overwrite=overwrite
            )
        else:
            raise BadRequestError("Objects load into a variable, a dict or variables.")
        return self._done(outcome)

    @request("variables", lane="actions")
    def _variables(self, request: Any) -> dict[str, Any]:
        found = variables(self.namespace, self._hidden)
        return {"variables": [[clip(v.name), clip(v.type), v.size, v.shape] for v in found[:1000]]}

    @request("save", lane="actions", repeatable=False)
    def _save(self, request: Any) -> dict[str, Any]:
        name = request.get("name")
        origin = self._origin() if self._origin else None
        outcome = actions.save(
            self.store,
            self.namespace,
            get(request, "variable", str),
            name=get(request, "name", str) if name else None,
            origin=origin,
        )
        return self._done(outcome)

    @request("replace", lane="actions", repeatable=False)
    def _replace(self, request: Any) -> dict[str, Any]:
        id_ = self.catalogue.describe(get(request, "id", str)).id
        expected = number(request, "revision") or None if self.catalogue.queries else None
        variable = get(request, "variable", str)
        outcome = actions.replace(self.store, self.namespace, id_, variable, expected=expected)
        return self._done(outcome)

    @request("remove", lane="actions", repeatable=False)
    def _remove(self, request: Any) -> dict[str, Any]:
        """Remove; more than `ASK_ABOVE` only if the request states their number."""
        selected = self.selected(get(request, "target", dict))
        count = len(selected)
        if count > ASK_ABOVE and request.get("confirmed") != count:
            return {"confirm": count, "undo": self.catalogue.offers["undo"]}
        ids = self._present(selected) if count == 1 else selected
        return self._done(actions.remove(self.store, ids))

    def _present(self, ids: Iterable[str]) -> list[str]:
        return [self.catalogue.describe(id_).id for id_ in ids]

    @request("label", lane="actions", repeatable=False)
    def _label(self, request: Any) -> dict[str, Any]:
        id_ = self.catalogue.describe(get(request, "id", str)).id
        changes: dict[str, Any] = {}
        if "name" in request:
            changes["name"] = get(request, "name", str)
        for key in ("add", "drop"):
            if key in request:
                changes[key] = texts(request, key, 100)
        outcome = actions.label(self.store, id_, **changes)
        return {**self._done(outcome), "row": row(self.catalogue.describe(id_), self.catalogue.columns)}

    @request("undo", lane="actions", repeatable=False)
    def _take_back(self, request: Any) -> dict[str, Any]:
        token = number(request, "token")
        with self._lock:
            undo = self._undo.get(token)
        if undo is None:
            raise UsageError("There is nothing to undo any more.")
        ids = undo()
        with self._lock:
            self._undo.pop(token, None)
        what = f"{ids[0]!r} is" if len(ids) == 1 else f"{len(ids):,} objects are"
        return {"message": clip(f"{what} as before"), "ids": list(ids[:MAX_ROWS])}

    @request("preview", lane="actions", repeatable=False)
    def _preview(self, request: Any) -> dict[str, Any]:
        """Load an object because the user asked for it, and answer how it shows itself."""
        id_ = self.catalogue.describe(get(request, "id", str)).id
        value = self.store.load(id_)
        try:
            text = repr(value)
        except Exception as error:  # noqa: BLE001  a __repr__ of the user's
            text = f"its __repr__ failed: {actions.one_line(error)}"
        return {"preview": clip(text, 20_000), "code": self._line(f"{STORE}.load({id_!r})")}

    @request("inspect", lane="actions", repeatable=False)
    def _inspect(self, request: Any) -> dict[str, Any]:
        """Answer what is in an object, without running any of its code."""
        id_ = self.catalogue.describe(get(request, "id", str)).id
        value = self.store.inspect(id_)
        return {
            "preview": clip("\n".join(lines(value)), 20_000),
            "facts": [[title, clip(redact(fact))] for title, fact in facts(self.store, id_, value)],
            "code": self._line(f"{STORE}.inspect({id_!r})"),
        }

    def _line(self, template: str) -> str:
        """Return a line of Python that no magic stands for."""
        return clip(self._code(Outcome(message="", magic="", template=template)), 10_000)

    def _done(self, outcome: Outcome) -> dict[str, Any]:
        token = None
        if outcome.undo is not None:
            token = next(self._tokens)
            with self._lock:
                self._undo[token] = outcome.undo
                while len(self._undo) > 20:
                    self._undo.popitem(last=False)[1].forget()
        return {
            "message": clip(redact(outcome.message), 500),
            "code": clip(self._code(outcome), 10_000),
            "ids": [clip(id_, 1000) for id_ in outcome.ids[:MAX_ROWS]],
            "variables": list(outcome.variables[:20]),
            "failures": [[clip(f.id), clip(redact(f.reason))] for f in outcome.failures[:20]],
            "failed": len(outcome.failures),
            "undo": token,
        }

    def selected(self, target: Mapping[str, Any]) -> Selected:
        """Return what a request means by its target: some IDs, or a query without some."""
        ids = tuple(texts(target, "ids", MAX_IDS))
        if target.get("query") is None:
            return Selected(self.catalogue, ids)
        query, _ = question(get(target, "query", dict), self.catalogue.columns)
        return Selected(self.catalogue, ids, query)
