"""pandas objects, read from what their pickles hold, without pandas.

A DataFrame is written as a manager of blocks: two-dimensional arrays of the columns of
one type, and the axes. The forms read here are those of pandas 1.1 up to 3; a form that
is not known is shown as the placeholder that it is.
"""

from __future__ import annotations

from typing import Any

from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, builds, call_of, list_of, mapping_of, state_of, value_of
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import Node
from gc3store.inspection.types.columns import Column, Frame, Index
from gc3store.inspection.types.numpy import Array
from gc3store.inspection.types.pandas_arrays import between, column_of

# Labels.


@builds(
    "pandas.core.indexes.base._new_Index",
    *(
        f"pandas.core.indexes.{kind}s._new_{name}Index"
        for kind, name in (("datetime", "Datetime"), ("timedelta", "Timedelta"))
    ),
    *(f"pandas.core.indexes.{name.lower()}._new_{name}Index" for name in ("Interval", "Period")),
    holds=True,
)
def _new_index(args: tuple[Any, ...], _node: Node, reader: Reader) -> Index:
    # pandas.core.indexes.base._new_Index(class, {...})
    if len(args) != 2:
        raise CannotConvert
    kind, fields = callee(args[0]).rpartition(".")[2], mapping_of(args[1], reader.budget)
    if kind == "MultiIndex":
        return _multi(fields, reader)
    names = [reader.value(fields.get("name"))]
    if kind == "RangeIndex":
        start, stop, step = (fields.get(name) for name in ("start", "stop", "step"))
        if any(type(n) is not int for n in (start, stop, step)) or not step:
            raise CannotConvert
        values = range(start, stop, step)  # type: ignore[arg-type]
        return Index(Column(_length(values), values.__getitem__, "int64", (values,)), names)
    if kind == "IntervalIndex" and "left" in fields:
        ends = (value_of(fields["left"], Index, reader), value_of(fields.get("right"), Index, reader))
        return Index(between(*ends, fields.get("closed")), names)
    return Index(column_of(fields.get("data"), reader), names)


def _length(values: range) -> int:
    try:
        return len(values)
    except OverflowError:
        raise CannotConvert from None


def _multi(fields: dict[str, Any], reader: Reader) -> Index:
    budget = reader.budget
    levels = [value_of(level, Index, reader) for level in list_of(fields.get("levels"), budget)]
    codes = [value_of(code, Array, reader) for code in list_of(fields.get("codes"), budget)]
    names = [reader.value(name) for name in list_of(fields.get("names"), budget)]
    lengths = {code.shape for code in codes}
    if not levels or len(levels) != len(codes) or len(lengths) != 1 or codes[0].ndim != 1:
        raise CannotConvert
    # Labels of labels would each be as large as all below.
    if any(code.dtype.kind not in "iu" for code in codes) or any(
        level.dtype == "MultiIndex" for level in levels
    ):
        raise CannotConvert
    labels = [level.at(code.__getitem__) for level, code in zip(levels, codes, strict=True)]

    def get(i: int) -> tuple[Any, ...]:
        return tuple(label(i) for label in labels)

    return Index(Column(len(codes[0]), get, "MultiIndex", (*levels, *codes)), names)


# Frames and series.


class _Manager:
    """A manager's blocks, each with the places of its columns, and the axes."""

    __slots__ = ("axes", "blocks")

    def __init__(self, raw: Any, reader: Reader) -> None:
        if type(raw) is not list or not callee(raw[0]).endswith((".BlockManager", ".SingleBlockManager")):
            raise CannotConvert
        budget, found = reader.budget, []
        if len(raw) == 3:
            blocks, labels = raw[1]
            axes = list_of(labels, budget)
            for block in list_of(blocks, budget):
                name, args = call_of(block)
                if not name.endswith(("._unpickle_block", ".new_block")):
                    raise CannotConvert
                found.append((args[0], args[1]))
        else:
            _, _, _, extra = state_of(raw)
            table = mapping_of(mapping_of(extra, budget).get("0.14.1"), budget)
            axes = list_of(table.get("axes"), budget)
            for entry in list_of(table.get("blocks"), budget):
                fields = mapping_of(entry, budget)
                found.append((fields.get("values"), fields.get("mgr_locs")))
        self.axes = [value_of(axis, Index, reader) for axis in axes]
        self.blocks = [(values, self._places(values, places, reader)) for values, places in found]

    def _places(self, values: Any, raw: Any, reader: Reader) -> list[int]:
        places = reader.value(raw)
        if isinstance(places, slice):
            steps = range(*(_number(n) for n in (places.start, places.stop, places.step or 1)))
            count = _length(steps)
        elif isinstance(places, Array) and places.ndim == 1 and places.dtype.code == "<i8":
            count = len(places)
        else:
            raise CannotConvert
        # Each place is a column, of which something is in the block: once, and if there are any rows.
        block = reader.value(values)
        if isinstance(block, Array) and block.size >= count and block.ndim:
            reader.budget.touch(values, 512 * count)
        else:
            reader.budget.charge(512 * count)
        # What a frame consists of is known without NumPy.
        return places.source[1].cast("q").tolist() if isinstance(places, Array) else list(steps)


def _number(raw: Any) -> int:
    if raw is not None and type(raw) is not int:
        raise CannotConvert
    return raw or 0


def _manager(node: Node, reader: Reader) -> tuple[Any, dict[str, Any]]:
    fields = mapping_of(state_of(node), reader.budget)
    return fields.get("_mgr", fields.get("_data")), fields


def _frame_of(raw: Any, reader: Reader) -> Frame:
    manager = reader.once(_Manager, raw)
    axes, places = manager.axes, [place for _, found in manager.blocks for place in found]
    if len(axes) != 2 or len(places) != len(axes[0]):
        raise CannotConvert
    columns: list[Column | None] = [None] * len(places)
    for values, found in manager.blocks:
        for row, place in enumerate(found):
            if not 0 <= place < len(columns) or columns[place] is not None:
                raise CannotConvert
            column = column_of(values, reader, row)
            if len(column) != len(axes[1]):
                raise CannotConvert
            columns[place] = column
    return Frame(axes[0], axes[1], columns)  # type: ignore[arg-type]


@builds("pandas.DataFrame", "pandas.core.frame.DataFrame", holds=True, changes=True)
def _frame(_args: tuple[Any, ...], node: Node, reader: Reader) -> Frame:
    manager, _ = _manager(node, reader)
    made = reader.once(_frame_of, manager)
    return Frame(made.columns, made.index, made.values)


@builds("pandas.Series", "pandas.core.series.Series", holds=True, changes=True)
def _series(_args: tuple[Any, ...], node: Node, reader: Reader) -> Column:
    raw, fields = _manager(node, reader)
    manager = reader.once(_Manager, raw)
    if len(manager.axes) != 1 or len(manager.blocks) != 1:
        raise CannotConvert
    column, index = column_of(manager.blocks[0][0], reader), manager.axes[0]
    if len(column) != len(index):
        raise CannotConvert
    return column.labelled(reader.value(fields.get("_name")), index)
