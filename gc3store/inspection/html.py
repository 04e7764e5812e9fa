"""Inert values as a notebook shows them: a tree to unfold, tables for arrays and frames.

However large a value is, a few hundred rows are written, those nearest to the root first; what
is left out is said. Nothing of what is shown can act in a page, or change the order of what is around it:
every string is escaped and isolated, and control characters are shown as escapes. There is no script:
the browser's own ``details`` unfold, by mouse and keyboard. No colour is fixed: all are mixed from the
colour that text has there, which makes them readable in any theme.
"""

from __future__ import annotations

from contextlib import suppress
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, Final

from gc3store.inspection.arrays import Values
from gc3store.inspection.jobs import Job, is_job, span
from gc3store.inspection.libraries import NotShownError
from gc3store.inspection.shape import ATTRIBUTE, KEY, POSITION, Entry, Grid, shape_of
from gc3store.inspection.shown import formats
from gc3store.inspection.text import text
from gc3store.support.text import ELLIPSIS, clean, shorten

__all__ = ["html", "styled"]

_STYLE: Final = " ".join(Path(__file__).with_suffix(".css").read_text("utf-8").split())

_DEPTH: Final = 8
_ROWS: Final = 250  #: of the whole tree
_CHARACTERS: Final = 120_000  #: of the whole tree, about
_ENTRIES: Final = 60  #: of one value
_PREVIEW: Final = 120  #: characters of a value in its row
_PATH: Final = 120  #: characters of a path
_TEXT: Final = 4000  #: characters of a string that was unfolded


@formats("html")
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
        self.kind, self.shown = shape_of(value).label(value), _line(value)
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
            shape = shape_of(row.value)
            if row.block or shape.walk in ("values", "table") or shape.brackets(row.value) is None:
                continue
            if row.within_itself():
                row.shown = f"{ELLIPSIS}, which contains this"
            elif depth < _DEPTH:
                level += ((child, depth + 1) for child in self._unfold(row))

    def _unfold(self, row: _Row) -> list[_Row]:
        shown = 0
        shape = shape_of(row.value)
        for entry in islice(shape.entries(row.value), _ENTRIES):
            if self._rows <= 0 or self._characters <= 0:
                break
            label, step = _place(entry)
            known = row.path is not None and step and len(row.path) + len(step) <= _PATH
            path = f"{row.path}{step}".removeprefix(".") if known else None
            below = _Row(label, entry.value, path, row)
            self._rows -= 1
            self._characters -= below.weight
            row.rows.append(below)
            shown += 1
        count = shape.count(row.value)
        if shown < count:
            row.more = f"{ELLIPSIS} and {count - shown:,} more"
        return row.rows


def _place(entry: Entry) -> tuple[str, str]:
    """Return the label of an entry, and the step of a path that leads to it; an empty one where none does."""
    sort, key, _ = entry
    if sort == KEY:
        label = text(key, limit=60)
        return label, f"[{label}]" if type(key) in (str, int) and len(label) < 60 else ""
    if sort == POSITION:
        return str(key), f"[{key}]"
    label = clean(key) if type(key) is str else f"({key})"
    return label, f".{label}" if sort == ATTRIBUTE else ""


# One value in a line.


def _line(value: Any) -> str:
    """Return a value in a line, beside its type."""
    shape = shape_of(value)
    plain = shape.plain(value)
    if plain is not None:
        return plain
    if isinstance(value, Values):
        return _values(value)
    if not shape.is_labelled(value):
        return text(value, limit=_PREVIEW)
    start, end = shape.brackets(value) or ("", "")
    whole = text(value, limit=_PREVIEW + len(start))
    return whole.removeprefix(start).removesuffix(end)


def _values(value: Values) -> str:
    shown: list[str] = []
    with suppress(NotShownError):
        shown += (_cell(v) for v in islice(value.flat(), 12))
    return " ".join(shown) + (f" {ELLIPSIS}" if value.size > len(shown) else "")


def _cell(value: Any, limit: int = 60) -> str:
    """Return a value as a table shows it."""
    shown = shape_of(value).cell(value)
    return text(value, limit=limit) if shown is None else shorten(shown, limit)


# The first line.


def _head(value: Any) -> str:
    shape = shape_of(value)
    module, name = shape.title(value)
    facts = shape.facts(value)
    if facts is None:
        facts = [text(value, limit=_PREVIEW)]
    if isinstance(value, Values) and not value.shape:
        facts = [*facts, _values(value)]
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


# What a line unfolds to, other than lines.


def _block(value: Any) -> str:
    shape = shape_of(value)
    prose = shape.prose(value)
    if prose is not None:
        return _long_text(prose)
    with suppress(NotShownError):
        grid = shape.grid(value)
        if grid is not None and (grid.rows or not isinstance(value, Values)):
            return _table(grid)
        if isinstance(value, Values) and value.shape and value.size:
            return _run(value)
    return ""


def _long_text(value: str) -> str:
    shown = "\n".join(clean(line.expandtabs(), limit=_TEXT) for line in value[:_TEXT].split("\n"))
    more = f"\n{ELLIPSIS} {len(value):,} characters in all" if len(value) > _TEXT else ""
    return f'<pre class="x" tabindex="0" dir="auto">{escape(shown + more)}</pre>'


def _run(values: Values) -> str:
    shown = [_cell(v) for v in islice(values.flat(), 100)]
    more = f" {ELLIPSIS} {values.size - len(shown):,} more" if values.size > len(shown) else ""
    return f'<div class="x">{escape(" ".join(shown) + more)}</div>'


def _places(count: int, first: int, last: int) -> list[int | None]:
    """Return which of so many rows are shown; `None` stands for those that are left out."""
    if count <= first + last + 1:
        return list(range(count))
    return [*range(first), None, *range(count - last, count)]


def _table(grid: Grid) -> str:
    columns = _places(grid.columns, 9, 2)
    heads = [(ELLIPSIS, "") if at is None else grid.head(at) for at in columns]
    rows = [
        (at, [_OMITTED if at is None or to is None else grid.cell(at, to) for to in columns])
        for at in _places(grid.rows, 6, 3)
    ]
    numbers = {place for _, cells in rows for place, cell in enumerate(cells) if shape_of(cell).number}
    classes = [' class="num"' if place in numbers else "" for place in range(len(columns))]
    lines = []
    for at, cells in rows:
        label = ELLIPSIS if at is None else _cell(grid.label(at), 40)
        shown = [ELLIPSIS if cell is _OMITTED else _cell(cell) for cell in cells]
        rest = "".join(
            f"<td{class_}><bdi>{escape(cell)}</bdi></td>" for class_, cell in zip(classes, shown, strict=True)
        )
        lines.append(f'<tr><th scope="row"><bdi>{escape(label)}</bdi></th>{rest}</tr>')
    titles = [("", ""), *((_cell(label, 40), clean(type_, 24)) for label, type_ in heads)]
    types = any(type_ for _, type_ in titles)
    first = "".join(
        f'<th scope="col"{class_}><bdi>{escape(name)}</bdi>{f"<br><i>{escape(type_)}</i>" if types else ""}</th>'
        for class_, (name, type_) in zip(["", *classes], titles, strict=True)
    )
    said = f"<caption>{escape(grid.caption)}</caption>" if grid.caption else ""
    return (
        f'<div class="x" tabindex="0" role="region" aria-label="values"><table>{said}'
        f"<thead><tr>{first}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


_OMITTED: Final = object()
