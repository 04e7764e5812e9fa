"""Records as a pandas table, and a store at a glance."""

from __future__ import annotations

import difflib
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from gc3store.errors import (
    InvalidQueryError,
    MissingDependencyError,
    OptionError,
    StoreError,
    StoreWarning,
)
from gc3store.paths import MISSING, parse
from gc3store.query import Query
from gc3store.record import FIELDS, human_size
from gc3store.support.memory import GC_PAUSE_MIN, gc_paused
from gc3store.support.stacklevel import caller_stacklevel
from gc3store.support.text import clean
from gc3store.tables.source import TableSource
from gc3store.tables.value_cache import STAMP, Rows, stamps_of

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["TABLE_FIELDS", "make_table", "summary_html"]

#: The fields that a table shows unless told otherwise.
TABLE_FIELDS: tuple[str, ...] = tuple(name for name in FIELDS if name not in ("id", "number"))


def make_table(store: Any, query: Query, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the entries that `query` asks for as a table; see `RecordStore.table`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError("Tables need pandas: pip install 'gc3store[table]'.") from error
    known = {*FIELDS, *store.columns}
    names = [*TABLE_FIELDS, *store.columns] if columns is None else list(columns)
    if isinstance(columns, str) or not all(isinstance(name, str) for name in names):
        raise OptionError(
            f"columns is a list of names and paths, such as ['cls', 'execution.exitcode'], not {columns!r:.60}.",
            option="columns",
        )
    paths = [name for name in dict.fromkeys(names) if name not in known]
    for path in paths:
        parse(path)
    # Before anything is read: if anything changes meanwhile, it is another one next time.
    token = store.backend.version() if paths and query == Query() else None
    if token is not None and len(paths) == len(names):
        from gc3store.tables.attributes import cached_paths

        cached = cached_paths(store, token, paths)
        if cached is not None:
            ids, cells = cached
            index = pd.Index(ids, name="id", dtype="str")
            return pd.DataFrame(_path_columns(store, index, ids, cells, known), index=index, columns=names)
    wanted = [
        "id",
        *dict.fromkeys(n for n in (*names, *(STAMP if paths else ())) if n in known and n != "id"),
    ]
    with gc_paused(GC_PAUSE_MIN):  # if there are many rows, their texts are
        data = store.backend.values(query, wanted)
        index = pd.Index(_column("id", data["id"]), name="id")
        columns_ = {name: _column(name, data[name]) for name in names if name in known}
    if paths:
        from gc3store.inspection.jobs import PARENTS
        from gc3store.tables.attributes import read_paths

        rows = Rows(data["id"], stamps_of(data), query == Query(), token)
        cells = read_paths(store, rows, [path for path in paths if path != PARENTS])
        columns_.update(_path_columns(store, index, data["id"], cells, known))
        if PARENTS in paths:
            # Told by the catalogue, and other records: nothing that this one's stamp could vouch for.
            referrers = store.backend.referrers(data["id"])
            columns_[PARENTS] = pd.Series([referrers.get(id_, []) for id_ in data["id"]], dtype=object).array
    return pd.DataFrame(columns_, index=index, columns=names)


def _path_columns(
    store: Any,
    index: pd.Index[Any],
    ids: Sequence[str],
    cells: Mapping[str, Sequence[Any]],
    known: Collection[str],
) -> dict[str, Any]:
    from gc3store.tables.attributes import column

    columns: dict[str, Any] = {}
    for path, values in cells.items():
        if values and all(value is MISSING for value in values):
            _refuse_unknown(store, ids, path, known)
        made = column(values, index)
        # A table takes arrays without looking at the index, but guesses what is in those of objects.
        columns[path] = made if made.dtype == object else made.array
    return columns


def _refuse_unknown(store: Any, ids: Sequence[str], path: str, known: Collection[str]) -> None:
    """Say so where no object has what was asked for, and what may have been meant."""
    from gc3store.tables.suggestions import closeness, near

    try:
        other = near(store, path, ids)
    except Exception:  # noqa: BLE001 - a hint is worth no failure
        other = None
    fields = difflib.get_close_matches(path, known, n=1)
    if fields and (other is None or closeness(path, fields[0]) >= closeness(path, other)):
        raise InvalidQueryError(
            f"There is no field {path!r} in the catalogue, and no object has such an attribute; "
            f"did you mean {fields[0]!r}?",
            field=path,
        )
    hint = f"did you mean {other!r}?" if other is not None else "attributes() tells what they have."
    warnings.warn(
        f"None of these {len(ids)} objects has {path!r}; {hint}", StoreWarning, stacklevel=caller_stacklevel()
    )


def _column(name: str, values: list[Any]) -> Any:
    """Return one column of a table, of the type that its field has."""
    import numpy as np
    import pandas as pd

    if name in ("created", "modified"):
        if None in values:
            return pd.to_datetime(pd.array(values, dtype="Int64"), utc=True, unit="us")
        microseconds = np.fromiter(values, dtype="int64", count=len(values))
        return pd.DatetimeIndex(microseconds.view("datetime64[us]")).tz_localize("UTC")
    if name in ("size", "revision", "number"):
        return pd.array(np.fromiter(values, dtype="int64", count=len(values)), dtype="int64")
    if name == "tags":
        return pd.Series(values, dtype=object).array
    if name in FIELDS:
        from gc3store.tables.attributes import texts

        return texts(values, lambda values, dtype: pd.array(values, dtype=dtype))
    from gc3store.tables.attributes import column

    return column(values, None).array


def summary_html(store: TableSource) -> str:
    """Return what a notebook shows of a store: how many of what, how big, where."""
    from gc3store.inspection.html import styled

    head = f'<bdi class="n">{escape(type(store).__name__)}</bdi>'
    where = f'<bdi class="d f">{escape(clean(store.url or "", 500))}</bdi>'
    try:
        data = store.backend.values(Query(), ["cls", "size"])
    except StoreError as error:
        return styled(
            f'<div class="r">{head} {where}</div><div class="x">{escape(clean(str(error), 1000))}</div>'
        )
    classes, sizes = Counter(data["cls"]), Counter[str]()
    for cls, size in zip(data["cls"], data["size"], strict=True):
        sizes[cls] += size
    total = classes.total()
    if not total:
        empty = "empty: <code>store.save(obj)</code> puts an object in"
        return styled(f'<div class="r">{head} {where}</div><div class="x">{empty}</div>')
    count = f"{total:,} object{'s' if total > 1 else ''}, {human_size(sizes.total())}"
    rows = "".join(
        f'<tr><td><bdi>{escape(clean(cls))}</bdi></td><td class="num">{count:,}</td>'
        f'<td class="num">{human_size(sizes[cls])}</td></tr>'
        for cls, count in classes.most_common(10)
    )
    more = f'<div class="m">… and {len(classes) - 10:,} more classes</div>' if len(classes) > 10 else ""
    heads = "".join(
        f'<th scope="col"{name}</th>' for name in (">class", ' class="num">objects', ' class="num">size')
    )
    return styled(
        f'<div class="r">{head} <bdi class="d f">{count}</bdi> {where}</div>'
        f'<div class="x"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}</div>'
    )
