"""Which paths there are in the objects of a store, for a choice of columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from gc3store.errors import InspectionError, MissingDependencyError
from gc3store.inspection.display import text
from gc3store.inspection.form import Form, raw_attributes, raw_class
from gc3store.inspection.naming import callee
from gc3store.inspection.nodes import CALL, DICT, LIST, NEW, PERSISTENT, Node
from gc3store.inspection.standard import VALUES
from gc3store.inspection.templates import LargePartError
from gc3store.probing import Probe, probes

if TYPE_CHECKING:
    import pandas as pd

    from gc3store.inspecting import Inspecting

__all__ = ["attributes"]


def attributes(store: Inspecting, filters: Mapping[str, Any]) -> pd.DataFrame:
    """Return which paths exist in which classes; see `Inspecting.attributes`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError("Tables need pandas: pip install 'gc3store[table]'.") from error
    ids = store.list(**filters)
    totals: Counter[str] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    types: dict[tuple[str, str], Counter[str]] = {}
    examples: dict[tuple[str, str], str] = {}
    form: Form | None = None
    for _, probe in probes(store, ids):
        if probe is None:
            continue
        if probe.form is not form:  # similar objects, which often follow one another, have one
            form = probe.form
            cls, paths = raw_class(form.root), list(_paths(form.root))
        totals[cls] += 1
        for path, raw in paths:
            constant = probe.constant(raw)
            key = (cls, path)
            counts[key] += 1
            types.setdefault(key, Counter())[_type_name(constant)] += 1
            if key not in examples and constant is not None:
                examples[key] = _example(probe, constant)
    rows = [
        {
            "cls": cls,
            "path": path,
            "count": count,
            "of": totals[cls],
            "types": ", ".join(kind for kind, _ in types[cls, path].most_common()),
            "example": examples.get((cls, path), "None"),
        }
        for (cls, path), count in counts.items()
    ]
    return pd.DataFrame(rows, columns=["cls", "path", "count", "of", "types", "example"])


_DEPTH: Final = 3
_MANY_NAMES: Final = 500


def _paths(root: Any) -> Iterator[tuple[str, Any]]:
    seen = {id(root)}
    level: list[tuple[str, Any]] = [("", root)]
    left = _MANY_NAMES
    for depth in range(_DEPTH):
        below: list[tuple[str, Any]] = []
        for prefix, raw in level:
            names = raw_attributes(raw)
            is_dict = type(raw) is list and raw[2] == DICT
            for name, child in names.items():
                # What a property makes public is found under its public name.
                public = name.removeprefix("_")
                shown = public if not is_dict and public and public not in names else name
                if not shown.isidentifier():
                    path = f'{prefix}["{shown}"]' if '"' not in shown and "\\" not in shown else ""
                else:
                    path = f"{prefix}.{shown}" if prefix else shown
                if not path or left <= 0:
                    continue
                left -= 1
                yield path, child
                if type(child) is list and id(child) not in seen and depth + 1 < _DEPTH:
                    seen.add(id(child))
                    below.append((path, child))
        level = below


def _type_name(raw: Any) -> str:
    if raw is None:
        return "None"
    if type(raw) is list:
        kind = raw[2]
        if kind == PERSISTENT or (kind == CALL and callee(raw[0]) == "gc3store.persistable.reference"):
            return "reference"
        return raw_class(raw).removeprefix("builtins.") or "?"
    return type(raw).__name__


def _example(probe: Probe, raw: Any) -> str:
    if type(raw) is list and raw[2] in (LIST, DICT, NEW, CALL) and callee(raw[0]) not in VALUES:
        return _summary_of(raw)
    try:
        return text(probe.value(raw), limit=60)
    except (InspectionError, LargePartError):
        return "?"


def _summary_of(raw: Node) -> str:
    if raw[2] == LIST:
        return f"list of {len(raw) - 3 + len(raw[0] or ())}"
    if raw[2] == DICT:
        return f"dict of {len(raw_attributes(raw))}"
    return f"<{raw_class(raw)}>"
