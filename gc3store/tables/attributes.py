"""Attributes of stored objects as columns of a table, read without their classes.

Each payload is read once, similar ones by comparing them (see `gc3store.inspection.machine.templates`),
and of what is in it only the values on the wanted paths are converted. Records are read in
batches, so memory is bounded by a batch, or the largest record, and by the columns. What was read is
cached in the user's cache directory, by the record's stamp: revision, size and time; never in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from gc3store.paths import MISSING, parse
from gc3store.query import Query
from gc3store.support.memory import GC_PAUSE_MIN, gc_paused
from gc3store.tables.cell_values import Found
from gc3store.tables.path_reader import read_rows
from gc3store.tables.source import TableSource
from gc3store.tables.value_cache import STAMP, Rows, ValueCache, stamps_of

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["cached_paths", "column", "read_paths", "texts"]

_T = TypeVar("_T")

#: So many IDs can be asked for in one query.
_MANY = 500


def cached_paths(
    store: TableSource, token: str, paths: Sequence[str]
) -> tuple[list[str], dict[str, list[Any]]] | None:
    """Return the IDs of all records of a store and what the paths lead to in them, if all is cached.

    Parameters
    ----------
    store : TableSource
        The store.
    token : str
        Stands for the state that it is in.
    paths : sequence of str
        The paths.
    """
    ids: list[str] | None = None
    columns: dict[str, list[Any]] = {}
    for path in paths:
        found = ValueCache(store.backend.uuid, path).all(token)
        if found is None or (ids is not None and found[0] != ids):
            return None
        ids, columns[path] = found
    return None if ids is None else (ids, columns)


def read_paths(store: TableSource, rows: Rows, paths: Sequence[str]) -> dict[str, list[Any]]:
    """Return, for each path, what it leads to in each of the records; `MISSING` where it leads nowhere.

    Raises
    ------
    InvalidQueryError
        If a path cannot be understood.
    """
    parsed = {path: parse(path) for path in paths}
    caches = {path: ValueCache(store.backend.uuid, path) for path in paths}
    own = dict(zip(rows.ids, rows.stamps, strict=True))

    def current(ids: Iterable[str]) -> Mapping[str, str]:
        others = [id_ for id_ in ids if id_ not in own]
        return own if rows.whole or not others else {**own, **_current(store, others)}

    columns: dict[str, list[Any]] = {}
    wanted: set[int] = set()
    stale: list[str] = []
    for path, cache in caches.items():
        columns[path], unknown, exact = cache.get(rows, current)
        wanted.update(unknown)
        if unknown or (rows.whole and not exact):
            stale.append(path)
    unreadable: list[int] = []
    if wanted:
        todo = [path for path in stale if any(value is ValueCache.UNKNOWN for value in columns[path])]
        places = {rows.ids[position]: position for position in sorted(wanted)}
        for row in read_rows(store, list(places), [parsed[path] for path in todo], current):
            position = places[row.id]
            if not row.sound:
                unreadable.append(position)
            for path, value in zip(todo, row.values, strict=True):
                columns[path][position] = value
    for path in stale:
        kept = list(columns[path])
        for position in unreadable:  # it may be repaired, or still be being written
            kept[position] = ValueCache.UNKNOWN
        caches[path].put(rows, kept)
    return {
        path: [value.value if type(value) is Found else value for value in values]
        for path, values in columns.items()
    }


def _current(store: TableSource, ids: Sequence[str]) -> dict[str, str]:
    """Return the stamps that records have now."""
    query = Query() if len(ids) > _MANY else Query.build({"id": list(ids)})
    with gc_paused(GC_PAUSE_MIN):
        fields = store.backend.values(query, ["id", *STAMP])
    return dict(zip(fields["id"], stamps_of(fields), strict=True))


def column(values: Sequence[Any], index: Any) -> pd.Series[Any]:
    """Return a typed column: numbers, strings, times and booleans as such, with missing values.

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
        return texts(cells, lambda values, dtype: pd.Series(values, index=index, dtype=dtype))
    if kinds and kinds <= {datetime} and len({v.tzinfo is None for v in cells if v is not None}) == 1:
        zoned = any(v is not None and v.tzinfo is not None for v in cells)
        try:
            if zoned:  # in UTC some would be before the year 1, which pandas does not notice
                cells = [None if v is None else v.astimezone(UTC) for v in cells]
            return pd.Series(pd.to_datetime(cells, utc=zoned), index=index)
        except (ValueError, TypeError, OverflowError):
            return pd.Series(cells, index=index, dtype=object)
    if kinds == {timedelta}:
        try:
            return pd.Series(pd.to_timedelta(cells), index=index)
        except (ValueError, OverflowError):
            return pd.Series(cells, index=index, dtype=object)
    return pd.Series(cells, index=index, dtype=object)


def texts(values: Sequence[Any], make: Callable[[Any, Any], _T]) -> _T:
    r"""Return what `make` makes of strings and a type of pandas: the usual one, if that can hold them.

    >>> import pandas as pd
    >>> str(texts(["\ud800"], lambda values, dtype: pd.Index(values, dtype=dtype)).dtype)
    'str'
    """
    import pandas as pd

    try:
        if getattr(pd.api.types.pandas_dtype("str"), "storage", None) != "pyarrow":
            return make(values, "str")
        import pyarrow as pa

        try:
            array = pa.array(values, type=pa.large_string())
        except pa.ArrowException:  # not all of them are texts
            return make(values, "str")
        # What pandas makes of them, in a third of the time.
        return make(pd.array(array, dtype="str"), "str")
    except UnicodeEncodeError:  # lone surrogates, as in texts of Python 2: Arrow keeps none
        return make(values, pd.StringDtype("python", na_value=float("nan")))
