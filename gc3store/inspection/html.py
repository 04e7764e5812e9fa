"""Inert values as a notebook shows them: a tree to unfold, tables for arrays and frames.

However large a value is, a few hundred rows are written, those nearest to the root first; what
is left out is said. Nothing of what is shown can act in a page, or change the order of what is around it:
every text is escaped and isolated, and control characters are shown as escapes. There is no script:
the browser's own ``details`` unfold, by mouse and keyboard. No colour is fixed: all are mixed from the
colour that text has there, which makes them readable in any theme.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from html import escape
from itertools import chain, islice
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from gc3store.inspection.jobs import Job, is_job, span
from gc3store.inspection.libraries import NotShownError
from gc3store.inspection.text import brackets, entries, leaf, text
from gc3store.inspection.types.columns import Column, Frame
from gc3store.inspection.types.numpy import Array
from gc3store.inspection.values import Inert, Name, Reference, class_path, defined, parts, state_parts
from gc3store.support.text import clean

__all__ = ["html", "styled"]

_STYLE: Final = " ".join(Path(__file__).with_suffix(".css").read_text("utf-8").split())

_DEPTH: Final = 8
_ROWS: Final = 250  #: of the whole tree
_CHARACTERS: Final = 120_000  #: of the whole tree, about
_ENTRIES: Final = 60  #: of one value
_PREVIEW: Final = 120  #: characters of a value in its row
_PATH: Final = 120  #: characters of a path
_TEXT: Final = 4000  #: characters of a text that was unfolded
_TIMES: Final = " \N{MULTIPLICATION SIGN} "
_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"


def html(value: Any) -> str:
    """Return a value as a tree to unfold, capped and escaped."""
    return styled(_Tree(value).root.html())


def styled(body: str) -> str:
    """Return HTML with the style that values are shown in."""
    return f'<style>{_STYLE}</style><div class="gc3-inert" data-lm-suppress-shortcuts="true">{body}</div>'


class _Row:
    """One line of the tree, and what it unfolds to."""

    __slots__ = ("above", "block", "kind", "label", "more", "path", "rows", "shown", "value")

    def __init__(self, label: str, value: Any, path: str | None, above: _Row | None) -> None:
        self.label = label
        self.value = value
        self.path = path
        self.above = above
        self.kind, self.shown = _described(value)
        self.rows: list[_Row] = []
        self.block = ""  # HTML in place of rows: a table, a text
        self.more = ""

    @property
    def weight(self) -> int:
        """About how many characters it takes."""
        texts = self.label, self.path or "", *self.kind, self.shown
        return 150 + sum(len(escape(text)) for text in texts)

    def within_itself(self) -> bool:
        """Whether it is shown above already."""
        row = self.above
        while row is not None:
            if row.value is self.value:
                return True
            row = row.above
        return False

    def html(self) -> str:
        if self.above is None:
            head, open_ = _head(self.value), " open"
        else:
            title = f' title="{escape(self.path)}"' if self.path else ""
            long = f' title="{escape(self.kind[1])}"' if self.kind[1] else ""
            head = (
                f'<bdi class="k"{title}>{escape(self.label)}</bdi> '
                f'<bdi class="t"{long}>{escape(self.kind[0])}</bdi> <bdi class="v">{escape(self.shown)}</bdi>'
            )
            open_ = ""
        if not self.rows and not self.block:
            return f'<div class="r">{head}</div>'
        inside = self.block or self._table_of_rows()
        return f'<details{open_}><summary class="r">{head}</summary>{inside}</details>'

    def _table_of_rows(self) -> str:
        label = max(len(row.label) for row in self.rows)
        kind = max(len(row.kind[0]) for row in self.rows)
        more = f'<div class="m">{escape(self.more)}</div>' if self.more else ""
        rows = "".join(row.html() for row in self.rows)
        return f'<div class="b" style="--k:{min(label, 30)}ch;--t:{min(kind, 24)}ch">{rows}{more}</div>'


class _Tree:
    """The rows of a value: level by level, so that what is nearest to the root is shown in any case."""

    def __init__(self, value: Any) -> None:
        self._rows = _ROWS
        self._characters = _CHARACTERS
        self.root = _Row("", value, "", None)
        level = [(self.root, 0)]
        for row, depth in level:  # grows while it is walked
            if self._characters > 0:
                row.block = _block(row.value)
                self._characters -= len(row.block)
            if row.block or brackets(row.value) is None or isinstance(row.value, (Array, Column, Frame)):
                continue
            if row.within_itself():
                row.shown = f"{_ELLIPSIS}, which contains this"
            elif depth < _DEPTH:
                level += ((child, depth + 1) for child in self._unfold(row))

    def _unfold(self, row: _Row) -> list[_Row]:
        shown = 0
        for label, path, child in islice(_children(row.value, row.path), _ENTRIES):
            if self._rows <= 0 or self._characters <= 0:
                break
            below = _Row(label, child, path, row)
            self._rows -= 1
            self._characters -= below.weight
            row.rows.append(below)
            shown += 1
        count = _count(row.value)
        if shown < count:
            row.more = f"{_ELLIPSIS} and {count - shown:,} more"
        return row.rows


def _children(value: Any, path: str | None) -> Iterator[tuple[str, str | None, Any]]:
    """Yield label, path and value of what is in a value; `None` for what no path leads to."""
    arguments = _arguments(value)
    attributes = not isinstance(value, Inert) or bool(state_parts(value))
    first = -1 if isinstance(value, Inert) else 0  # where items begin that can be asked for by number
    ordered = isinstance(value, (Inert, list, tuple, deque))
    for at, (key, child, is_key) in enumerate(entries(value)):
        label, step = "", ""
        if is_key:
            label = text(key, limit=60)
            step = f"[{label}]" if type(key) in (str, int) and len(label) < 60 else ""
        elif key:
            label = clean(str(key))
            step = f".{label}" if at >= arguments and attributes else ""
        elif at < arguments:
            label = f"({at})"
        elif ordered:
            first = at if first < 0 else first
            label, step = str(at - first), f"[{at - first}]"
        known = path is not None and step and len(path) + len(step) <= _PATH
        yield label, f"{path}{step}".removeprefix(".") if known else None, child


def _arguments(value: Any) -> int:
    known = parts(value) if isinstance(value, Inert) else None
    if known is None:
        return 0
    return len(known.args) + (len(known.kwargs) if isinstance(known.kwargs, dict) else 0)


def _count(value: Any) -> int:
    if isinstance(value, Inert):
        known = parts(value)
        named = state_parts(value)
        states = sum(map(len, named)) if named else len(known.states)
        return _arguments(value) + states + len(known.items) + len(known.pairs)
    return len(vars(value)) if isinstance(value, SimpleNamespace) else len(value)


# One value in a line.

_WRITTEN: Final = (date, datetime, time, timedelta, Decimal, PurePath, UUID)


def _described(value: Any) -> tuple[tuple[str, str], str]:
    """Return the type of a value, short and whole, and the value in a line."""
    if isinstance(value, Inert):
        return _inert(value)
    if isinstance(value, Array):
        if not value.shape:
            return (clean(str(value.dtype)), "array without dimensions"), _values(value)
        return (_short(str(value.dtype)) + f" {_shape(value)}", clean(value.cls)), _values(value)
    if isinstance(value, Column):
        return (f"{_short(value.dtype)} {len(value):,}", clean(value.dtype)), _values(value)
    if isinstance(value, Frame):
        rows, columns = value.shape
        return ("DataFrame", "pandas.DataFrame"), f"{rows:,} rows{_TIMES}{columns:,} columns"
    if value is None:
        return ("", ""), "None"
    if isinstance(value, Reference):
        return ("stored", "another stored object"), leaf(value)
    if isinstance(value, Name):
        return ("name", "a class or function"), clean(value.path)
    path = class_path(value)
    short = path.rpartition(".")[2]
    if isinstance(value, _WRITTEN):
        return (short, path), clean(str(value)) if not isinstance(value, Decimal) else leaf(value)[9:-2]
    sized = isinstance(value, (str, bytes, bytearray, memoryview)) and len(value) > _PREVIEW // 2
    if sized or (brackets(value) is not None and _count(value)):
        short += f" ({len(value) if sized else _count(value):,})"
    return (short, path if "." in path.removeprefix("builtins.") else ""), text(value, limit=_PREVIEW)


def _inert(value: Inert) -> tuple[tuple[str, str], str]:
    path = clean(class_path(value) or "object")
    start, end = brackets(value) or ("", "")
    whole = text(value, limit=_PREVIEW + len(start))
    inside = whole.removeprefix(start)
    if whole.endswith(end):
        inside = inside.removesuffix(end)
    if defined(value) is not None:
        return ("definition", "written into the pickle"), clean(whole)
    if parts(value).function:
        return ("call", path), whole
    return (path.rpartition(".")[2], path), inside


def _short(dtype: str) -> str:
    return clean(dtype, 24)


def _shape(array: Array) -> str:
    return _TIMES.join(f"{length:,}" for length in array.shape)


def _values(value: Array | Column) -> str:
    found = value.flat() if isinstance(value, Array) else iter(value)
    shown: list[str] = []
    with suppress(NotShownError):
        shown += (_cell(v) for v in islice(found, 12))
    size = value.size if isinstance(value, Array) else len(value)
    return " ".join(shown) + (f" {_ELLIPSIS}" if size > len(shown) else "")


def _cell(value: Any, limit: int = 60) -> str:
    """Return a value as a table shows it."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return clean(value, limit)
    if isinstance(value, (date, datetime, time, timedelta)):
        return clean(str(value))
    return text(value, limit=limit)


# The first line.


def _head(value: Any) -> str:
    path = clean(class_path(value))
    module, _, name = path.rpartition(".")
    if isinstance(value, Inert):
        named = defined(value)
        if named is not None:
            module, name = "", f"{clean(named.path)}, defined in the pickle"
        facts = [
            _counted(_count(value), "part")
            if not state_parts(value)
            else _counted(_count(value), "attribute")
        ]
    elif isinstance(value, Array):
        module, _, name = clean(value.cls).rpartition(".")
        facts = [_shape(value), clean(str(value.dtype)), _bytes(value.nbytes)]
        if not value.shape:
            facts.append(_values(value))
    elif isinstance(value, Column):
        name, module = "Series" if value.index is not None else type(value).__name__, "pandas"
        label = f"name {text(value.name, limit=60)}" if value.name is not None else ""
        facts = [f"{len(value):,}", clean(value.dtype), label]
    elif isinstance(value, Frame):
        name, module = "DataFrame", "pandas"
        facts = [_counted(value.shape[0], "row"), _counted(value.shape[1], "column")]
    else:
        module = "" if module == "builtins" else module
        facts = (
            [_counted(_count(value), "item")]
            if brackets(value) is not None
            else [text(value, limit=_PREVIEW)]
        )
    outcome = _outcome(value) if is_job(value) else ""
    module = f'<bdi class="d">{escape(module)}.</bdi>' if module else ""
    about = "".join(f' <bdi class="d f">{escape(fact)}</bdi>' for fact in facts if fact)
    return f'<span>{module}<bdi class="n">{escape(name or "object")}</bdi></span>{outcome}{about}'


def _outcome(value: Any) -> str:
    """Return what became of a job."""
    job = Job(value)
    tone = {True: " bad", False: " good", None: ""}[job.failed]
    outcome = f' <bdi class="o{tone}">{escape(_cell(job.outcome))}</bdi>' if job.outcome else ""
    facts = [
        f"on {_cell(job.resource)}" if job.resource else "",
        span(job.duration) if job.duration is not None else "",
    ]
    return outcome + "".join(f' <bdi class="d f">{escape(fact)}</bdi>' for fact in facts if fact)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _bytes(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"


# What a line unfolds to, other than lines.


def _block(value: Any) -> str:
    if isinstance(value, str):
        return _long_text(value) if len(value) > _PREVIEW // 2 or "\n" in value else ""
    with suppress(NotShownError):
        if isinstance(value, Frame):
            return _frame(value)
        if isinstance(value, Column):
            return _series(value) if len(value) else ""
        if isinstance(value, Array) and value.shape and value.size:
            return _array(value)
    return ""


def _long_text(value: str) -> str:
    shown = "\n".join(clean(line.expandtabs(), limit=_TEXT) for line in value[:_TEXT].split("\n"))
    more = f"\n{_ELLIPSIS} {len(value):,} characters in all" if len(value) > _TEXT else ""
    return f'<pre class="x" tabindex="0" dir="auto">{escape(shown + more)}</pre>'


def _places(count: int, first: int, last: int) -> list[int | None]:
    """Return which of so many rows are shown; `None` stands for those that are left out."""
    if count <= first + last + 1:
        return list(range(count))
    return [*range(first), None, *range(count - last, count)]


def _frame(frame: Frame) -> str:
    places = _places(frame.shape[1], 9, 2)
    columns = [None if at is None else frame.column(at) for at in places]
    names = [("", "")] + [
        (_ELLIPSIS, "") if c is None else (_cell(c.name, 40), _short(c.dtype)) for c in columns
    ]

    def row(at: int) -> Iterable[Any]:
        return (_OMITTED if column is None else column[at] for column in columns)

    return _table(names, _places(frame.shape[0], 6, 3), lambda at: frame.index[at], row)


def _series(column: Column) -> str:
    index = column.index
    name = _cell(column.name, 40) if column.name is not None else ""
    return _table(
        [("", ""), (name, _short(column.dtype))],
        _places(len(column), 6, 3),
        lambda at: at if index is None else index[at],
        lambda at: (column[at],),
    )


def _array(array: Array) -> str:
    caption = ""
    while array.ndim > 2:
        caption += "0, "
        array = array[0]
    if array.dtype.fields and array.ndim == 1:
        fields = array.dtype.fields[:12]
        more = [(_ELLIPSIS, "")] if len(array.dtype.fields) > 12 else []
        names = [("", ""), *((_cell(name, 40), _short(str(type_))) for name, type_, _ in fields), *more]
        return _table(
            names,
            _places(len(array), 6, 3),
            lambda at: at,
            lambda at: chain(array[at][: len(fields)], [_OMITTED] * len(more)),
        )
    if array.ndim == 1:
        shown = [_cell(v) for v in islice(array.flat(), 100)]
        more_ = f" {_ELLIPSIS} {len(array) - len(shown):,} more" if len(array) > len(shown) else ""
        return f'<div class="x">{escape(" ".join(shown) + more_)}</div>'
    places = _places(array.shape[1], 9, 2)
    names = [("", ""), *(((_ELLIPSIS if at is None else str(at)), "") for at in places)]
    return _table(
        names,
        _places(array.shape[0], 6, 3),
        lambda at: at,
        lambda at: (_OMITTED if place is None else array[at, place] for place in places),
        f"[{caption}:, :]" if caption else "",
    )


_OMITTED: Final = object()


def _table(
    names: Sequence[tuple[str, str]],
    places: Iterable[int | None],
    label: Callable[[int], Any],
    row: Callable[[int], Iterable[Any]],
    caption: str = "",
) -> str:
    rows = [(at, [] if at is None else list(row(at))) for at in places]
    numbers = {place for _, cells in rows for place, cell in enumerate(cells) if _is_number(cell)}
    classes = [' class="num"' if place in numbers else "" for place in range(len(names) - 1)]
    lines = []
    for at, cells in rows:
        head = _ELLIPSIS if at is None else _cell(label(at), 40)
        shown = [_ELLIPSIS if c is _OMITTED else _cell(c) for c in cells] or [_ELLIPSIS] * len(classes)
        rest = "".join(
            f"<td{class_}><bdi>{escape(cell)}</bdi></td>" for class_, cell in zip(classes, shown, strict=True)
        )
        lines.append(f'<tr><th scope="row"><bdi>{escape(head)}</bdi></th>{rest}</tr>')
    types = any(type_ for _, type_ in names)
    heads = "".join(
        f'<th scope="col"{class_}><bdi>{escape(name)}</bdi>{f"<br><i>{escape(type_)}</i>" if types else ""}</th>'
        for class_, (name, type_) in zip(["", *classes], names, strict=True)
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="x" tabindex="0" role="region" aria-label="values"><table>{said}'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal, complex)) and not isinstance(value, bool)
