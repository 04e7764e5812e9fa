"""Attributes of stored objects as columns of a table, read without their classes.

Each payload is rewritten and run once (see `gc3store.inspection.stream`), and of what that
makes only the values on the wanted paths are converted. Records are read in batches, so
memory is bounded by the largest of them and by the columns. What was read is remembered in the
user's cache directory, by the record's stamp: revision, size and time; never in the store.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from gc3store.errors import InspectionError, LoadError, MissingDependencyError
from gc3store.inspection.display import text
from gc3store.inspection.jobs import derived
from gc3store.inspection.nodes import CALL, DICT, LIST, NEW, PERSISTENT, Node
from gc3store.inspection.standard import VALUES, callee
from gc3store.inspection.stream import run, transcribe
from gc3store.inspection.summary import raw_attributes, raw_class
from gc3store.inspection.tree import Reader
from gc3store.paths import MISSING, Path, evaluate, parse
from gc3store.progress import progress
from gc3store.remembered import Remembered

if TYPE_CHECKING:
    import pandas as pd

    from gc3store.inspecting import Inspecting, Payload

__all__ = ["attributes", "column", "probes", "read_paths"]

#: Records are read so many at a time.
_BATCH: Final = 256


class _Probe:
    """Reads paths out of one payload."""

    def __init__(self, store: Inspecting, id_: str, payload: Payload) -> None:
        self._store = store
        self._id = id_
        self._payload = payload
        self.root = run(transcribe(payload.stream, payload.buffers))
        self._attributes: dict[int, dict[str, Any]] = {}
        self._reader: Reader | None = None

    def get(self, path: Path) -> Any:
        """Return what a path leads to, converted."""
        raw = self.root
        for at, (sort, key) in enumerate(path.steps):
            found = self._step(raw, sort, key)
            if found is MISSING:
                # Whatever is not an attribute or an item of a plain container: as inspection has it.
                rest = Path(path.text, path.steps[at:])
                value = evaluate(rest, self.value(raw)) if type(raw) in (list, tuple) else MISSING
                return derived(self.value(self.root), path) if value is MISSING else value
            raw = found
        return self.value(raw)

    def _step(self, raw: Any, sort: str, key: Any) -> Any:
        if sort == ".":
            if type(raw) is not list:
                return MISSING
            names = self._attributes.get(id(raw))
            if names is None:
                names = self._attributes[id(raw)] = raw_attributes(raw)
            found = names.get(key, MISSING)
            return found if found is not MISSING or raw[2] == DICT else names.get(f"_{key}", MISSING)
        if type(raw) is tuple and type(key) is int and -len(raw) <= key < len(raw):
            return raw[key]
        return MISSING

    def value(self, raw: Any) -> Any:
        """Return what a raw value means."""
        if type(raw) is not list and type(raw) is not tuple:
            return raw
        if self._reader is None:
            references = self._payload.references
            if references is None:
                references = tuple(self._store._describe_references(self._id))
            self._reader = Reader(references, self._store.inspect, size=len(self._payload.stream))
        return self._reader.read(raw)


def read_paths(
    store: Inspecting, ids: Sequence[str], stamps: Sequence[str], paths: Sequence[str]
) -> dict[str, list[Any]]:
    """Return, for each path, what it leads to in each of the records; `MISSING` where it leads nowhere.

    Raises
    ------
    InvalidQueryError
        If a path cannot be understood.
    """
    parsed = {path: parse(path) for path in paths}
    columns: dict[str, list[Any]] = {}
    remembered = {path: Remembered(store.uuid, path) for path in paths}
    wanted: dict[str, list[int]] = {}
    for path, memory in remembered.items():
        columns[path], unknown = memory.recall(ids, stamps)
        for position in unknown:
            wanted.setdefault(ids[position], []).append(position)
    if wanted:
        todo = [path for path in paths if any(value is Remembered.UNKNOWN for value in columns[path])]
        for id_, probe in probes(store, list(wanted)):
            for position in wanted[id_]:
                for path in todo:
                    if columns[path][position] is Remembered.UNKNOWN:
                        columns[path][position] = MISSING if probe is None else _got(probe, parsed[path])
        for path in todo:
            # What was removed meanwhile has nothing to show.
            columns[path] = [MISSING if v is Remembered.UNKNOWN else v for v in columns[path]]
            remembered[path].remember(ids, stamps, columns[path])
    return columns


def _got(probe: _Probe, path: Path) -> Any:
    try:
        return probe.get(path)
    except (LoadError, RecursionError):
        return MISSING


def probes(store: Inspecting, ids: list[str], *, show: bool = True) -> Iterator[tuple[str, _Probe | None]]:
    """Yield each record, opened up; `None` for one that cannot be read."""
    source = iter(progress(ids, "looking inside", show=show))
    while batch := list(itertools.islice(source, _BATCH)):
        for id_, payload in store._inert_payloads(batch):
            try:
                probe = _Probe(store, id_, payload)
            except LoadError:
                yield id_, None
            else:
                yield id_, probe


def column(values: Sequence[Any], index: Any) -> pd.Series[Any]:
    """Return a typed column: numbers, texts, times and truth values as such, with missing values.

    >>> import pandas as pd
    >>> [str(column(v, pd.RangeIndex(2)).dtype) for v in ([1, 2], [1, None], [1.5, 2], [True, MISSING])]
    ['int64', 'Int64', 'float64', 'boolean']
    """
    import pandas as pd

    missing = [value is MISSING or value is None for value in values]
    some = any(missing)
    kinds = {type(value) for value, gone in zip(values, missing, strict=True) if not gone}
    cells: list[Any] = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    if kinds == {bool}:
        return pd.Series(cells, index=index, dtype="boolean" if some else "bool")
    if kinds == {int} and all(-(1 << 63) <= v < 1 << 63 for v in cells if v is not None):
        return pd.Series(cells, index=index, dtype="Int64" if some else "int64")
    if kinds and kinds <= {int, float}:
        try:
            return pd.Series(cells, index=index, dtype="float64")
        except OverflowError:
            return pd.Series(cells, index=index, dtype=object)
    if kinds == {str}:
        return pd.Series(cells, index=index, dtype="str")
    if kinds and kinds <= {datetime} and len({v.tzinfo is None for v in cells if v is not None}) == 1:
        zoned = any(v is not None and v.tzinfo is not None for v in cells)
        try:
            return pd.Series(pd.to_datetime(cells, utc=zoned), index=index)
        except (ValueError, TypeError, OverflowError):
            return pd.Series(cells, index=index, dtype=object)
    if kinds == {timedelta}:
        return pd.Series(pd.to_timedelta(cells), index=index)
    return pd.Series(cells, index=index, dtype=object)


# Which paths there are.


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
    for _, probe in probes(store, ids):
        if probe is None:
            continue
        cls = raw_class(probe.root)
        totals[cls] += 1
        for path, raw in _paths(probe.root):
            key = (cls, path)
            counts[key] += 1
            kind = _type_name(raw)
            types.setdefault(key, Counter())[kind] += 1
            if key not in examples and raw is not None:
                examples[key] = _example(probe, raw)
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
                public = name.lstrip("_")
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


def _example(probe: _Probe, raw: Any) -> str:
    if type(raw) is list and raw[2] in (LIST, DICT, NEW, CALL) and callee(raw[0]) not in VALUES:
        return _summary_of(raw)
    try:
        return text(probe.value(raw), limit=60)
    except InspectionError:
        return "?"


def _summary_of(raw: Node) -> str:
    if raw[2] == LIST:
        return f"list of {len(raw) - 3 + len(raw[0] or ())}"
    if raw[2] == DICT:
        return f"dict of {len(raw_attributes(raw))}"
    return f"<{raw_class(raw)}>"
