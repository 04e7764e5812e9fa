"""Which paths there are in the objects of a store, for a choice of columns, or in place of a misspelt one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from gc3store.errors import InspectionError, LoadError, MissingDependencyError
from gc3store.inspection.jobs import PARENTS, columns_of
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import CALL, DICT, LIST, NEW, PERSISTENT, Node
from gc3store.inspection.machine.templates import LargePartError
from gc3store.inspection.raw_tree import raw_attributes, raw_class
from gc3store.inspection.shape import class_path
from gc3store.inspection.text import text
from gc3store.inspection.types import BUILDERS
from gc3store.paths import MISSING, Path, parse
from gc3store.query import Query
from gc3store.tables.attributes import texts
from gc3store.tables.path_reader import Probe, probes
from gc3store.tables.source import TableSource

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["attributes", "closeness", "near"]


def attributes(store: TableSource, filters: Mapping[str, Any]) -> pd.DataFrame:
    """Return which paths exist in which classes; see `RecordStore.attributes`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError("Tables need pandas: pip install 'gc3store[table]'.") from error
    ids = store.backend.ids(store.query(**filters))
    seen = _Seen()
    for id_, probe in probes(store, ids):
        if probe is not None:
            shape = seen.shape(probe)
            seen.note(shape, probe)
            if probe.is_job:
                seen.note_job(shape.cls, store, id_, probe)
    rows = seen.rows()
    names = ["cls", "path", "count", "of", "types", "example"]
    cells = {name: [row[name] for row in rows] for name in names}
    for name in ("cls", "path", "types", "example"):  # a text may hold what the usual type cannot
        cells[name] = texts(cells[name], lambda values, dtype: pd.array(values, dtype=dtype))
    return pd.DataFrame(cells, columns=names)


class _Shape:
    """The paths in similar objects: those to what is the same in all of them, and those to constants."""

    __slots__ = ("cls", "constants", "fixed", "form", "uses")

    def __init__(self, probe: Probe) -> None:
        self.form = probe.form  # which must stay alive, being known by its identity
        self.cls = raw_class(self.form.root)
        self.uses = 0
        self.fixed: list[tuple[str, Any]] = []
        self.constants: list[tuple[str, Any]] = []
        for path, raw in _paths(self.form.root):
            (self.fixed if probe.constant(raw) is raw else self.constants).append((path, raw))


class _Seen:
    """What was found of each path in objects of each class."""

    _MANY = 64

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        self._types: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._examples: dict[tuple[str, str], str] = {}
        self._shapes: dict[int, _Shape] = {}

    def shape(self, probe: Probe) -> _Shape:
        """Return the shape of an object."""
        shape = self._shapes.get(id(probe.form))
        if shape is not None:
            return shape
        shape = _Shape(probe)
        for path, raw in shape.fixed:
            key = (shape.cls, path)
            self._types[key]  # rows are in the order in which paths were first met
            if raw is not None and key not in self._examples:
                self._examples[key] = _example(probe, raw)
        if shape.constants:  # else it is of this object alone, which may be large
            if len(self._shapes) == self._MANY:
                self._count_shapes()
            self._shapes[id(probe.form)] = shape
        return shape

    def _count_shapes(self) -> None:
        for shape in self._shapes.values():
            self._count(shape)
        self._shapes.clear()

    def _count(self, shape: _Shape) -> None:
        for path, raw in shape.fixed:
            self._types[shape.cls, path][_type_name(raw)] += shape.uses

    def note(self, shape: _Shape, probe: Probe) -> None:
        """Count the paths in an object."""
        self._totals[shape.cls] += 1
        shape.uses += 1
        if not shape.constants:
            self._count(shape)
        for path, raw in shape.constants:
            key = (shape.cls, path)
            constant = probe.constant(raw)
            self._types[key][_type_name(constant)] += 1
            if constant is not None and key not in self._examples:
                self._examples[key] = _example(probe, constant)

    def note_job(self, cls: str, store: TableSource, id_: str, probe: Probe) -> None:
        """Count what only `gc3store.inspection.jobs` makes of a job."""
        try:
            columns = list(columns_of(lambda text: probe.get(parse(text))))
        except (LoadError, RecursionError):
            return
        if (cls, PARENTS) not in self._examples:
            self._examples[cls, PARENTS] = text(store.backend.referrers([id_]).get(id_, []), limit=60)
        self._types[cls, PARENTS]["list"] += 1
        for path, value in columns:
            key = (cls, path)
            self._types[key][class_path(value).removeprefix("builtins.") or "None"] += 1
            if value is not None and key not in self._examples:
                self._examples[key] = text(value, limit=60)

    def rows(self) -> list[dict[str, Any]]:
        """Return what was found, in the order in which it was."""
        self._count_shapes()
        return [
            {
                "cls": cls,
                "path": path,
                "count": types.total(),
                "of": self._totals[cls],
                "types": ", ".join(kind for kind, _ in types.most_common()),
                "example": self._examples.get((cls, path), "None"),
            }
            for (cls, path), types in self._types.items()
        ]


_DEPTH: Final = 3
_MANY_NAMES: Final = 500


def _paths(root: Any) -> Iterator[tuple[str, Any]]:
    seen = {id(root)}
    level: list[tuple[str, Any]] = [("", root)]
    left = _MANY_NAMES
    for depth in range(_DEPTH):
        below: list[tuple[str, Any]] = []
        for prefix, raw in level:
            for step, child in _steps(raw):
                path = f"{prefix}{step}" if prefix else step.removeprefix(".")
                if left <= 0:
                    continue
                left -= 1
                yield path, child
                if type(child) is list and id(child) not in seen and depth + 1 < _DEPTH:
                    seen.add(id(child))
                    below.append((path, child))
        level = below


def _steps(raw: Any) -> Iterator[tuple[str, Any]]:
    """Yield what leads on from a part, as one writes it in a path."""
    names = raw_attributes(raw)
    is_dict = type(raw) is list and raw[2] == DICT
    for name, child in names.items():
        # What a property makes public is found under its public name.
        public = name.removeprefix("_")
        shown = public if not is_dict and public and public not in names else name
        if shown.isidentifier():
            yield f".{shown}", child
        elif '"' not in shown and "\\" not in shown:
            yield f'["{shown}"]', child


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
    made = raw[2] in (LIST, DICT, NEW, CALL) if type(raw) is list else False
    builder = BUILDERS.get(callee(raw[0])) if made else None
    if made and (builder is None or builder.holds):
        return _summary_of(raw)
    try:
        return text(probe.value(raw), limit=60)
    except (InspectionError, LargePartError):
        return _summary_of(raw) if made else "?"


def _summary_of(raw: Node) -> str:
    if raw[2] == LIST:
        return f"list of {len(raw) - 3 + len(raw[0] or ())}"
    if raw[2] == DICT:
        return f"dict of {len(raw_attributes(raw))}"
    return f"<{raw_class(raw)}>"


# Misspelt paths.

#: A hint is not worth more than so many records, none of them larger than so many bytes.
_FEW: Final = 8
_HOPS: Final = 4
_AMONG: Final = 200
_SMALL: Final = 1 << 20


def near(store: TableSource, path: str, ids: Sequence[str]) -> str | None:
    """Return a path like one that leads nowhere, which may have been meant; `None` if there is none.

    Only one record of each class is looked into, of those among the first few hundred.

    Parameters
    ----------
    store : TableSource
        The store.
    path : str
        What was written.
    ids : sequence of str
        The records that it was looked for in.
    """
    fields = store.backend.values(Query.build({"id": list(ids[:_AMONG])}), ["id", "cls", "size"])
    firsts: dict[str, str] = {}
    for id_, cls, size in zip(fields["id"], fields["cls"], fields["size"], strict=True):
        if size <= _SMALL:
            firsts.setdefault(cls, id_)
    found: set[str] = set()
    for first in list(firsts.values())[:_FEW]:
        id_, before, rest = first, "", parse(path)
        for _ in range(_HOPS):
            _, probe = next(probes(store, [id_], show=False), ("", None))
            if probe is None:
                break
            onward = probe.onward(rest)
            if onward is None:
                found.update((before + other).removeprefix(".") for other in _alike(probe, rest))
                break
            before += _text(rest.steps[: len(rest.steps) - len(onward[1].steps)])
            id_, rest = onward
    return max(sorted(found), key=lambda other: closeness(path, other), default=None)


def closeness(written: str, meant: str) -> float:
    """Return how much two paths have in common: 1 if they are the same."""
    return SequenceMatcher(None, written, meant).ratio()


def _alike(probe: Probe, path: Path) -> Iterator[str]:
    """Yield paths that lead somewhere and resemble one that does not; each begins with a step."""
    if probe.is_job:
        columns = [PARENTS, *(name for name, _ in columns_of(lambda text: probe.get(parse(text))))]
        for name in get_close_matches(path.text.removeprefix("."), columns, n=1):
            yield f".{name}"
    raw, taken, _ = probe.form.find(path.steps)
    key = path.steps[taken][1] if taken < len(path.steps) else None
    if not isinstance(key, str):
        return
    # One step is wrong, those before and after it are right.
    names = {step.strip('.[]"'): step for step, _ in islice(_steps(raw), _MANY_NAMES)}
    before, after = _text(path.steps[:taken]), _text(path.steps[taken + 1 :])
    meant = [f"{before}{names[name]}{after}" for name in get_close_matches(key, names, n=3)]
    # Or the beginning was left out.
    if not taken:
        tails = (f".{key}", f'["{key}"]')
        found = (f".{other}" for other, _ in _paths(probe.form.root))
        meant += (f"{other}{after}" for other in found if other.endswith(tails))
    yield from (other for other in meant if probe.get(parse(other)) is not MISSING)


def _text(steps: Sequence[tuple[str, Any]]) -> str:
    return "".join(f".{key}" if sort == "." else f"[{key!r}]" for sort, key in steps)
