"""Results as one Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from benchmarks.clock import Series, ratio

if TYPE_CHECKING:
    from benchmarks.targets import Verdict
    from benchmarks.workloads import Result

__all__ = ["render"]


def render(
    results: Iterable[Result], verdicts: list[Verdict], head: Mapping[str, str], warnings: list[str]
) -> str:
    """Return the report."""
    lines = ["# gc3store: benchmarks", ""]
    lines += [f"* {name}: {value}" for name, value in head.items()]
    lines += [f"* **{warning}**" for warning in warnings]
    lines += [
        "",
        "Times are medians of interleaved rounds, with the lowest and the highest in parentheses;",
        "[x] is the median of the rounds' ratios to the floor: the raw way with the same durability.",
        "",
    ]
    if verdicts:
        lines += _verdicts(verdicts)
    for result in results:
        lines += _section(result)
    return "\n".join(lines) + "\n"


def _verdicts(verdicts: list[Verdict]) -> list[str]:
    met = sum(verdict.met is True for verdict in verdicts)
    missed = sum(verdict.met is False for verdict in verdicts)
    lines = [
        f"## Targets: {met} met, {missed} missed, {len(verdicts) - met - missed} not measured",
        "",
        "| target | compared with | at most | measured | |",
        "|---|---|---|---|---|",
    ]
    words = {True: "met", False: "**missed**", None: "not measured"}
    for verdict in verdicts:
        measured = "; ".join(
            f"{where} {value}" if where else value for where, value in verdict.measured.items()
        )
        cells = (verdict.text, verdict.against, verdict.limit, measured or "-", words[verdict.met])
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _section(result: Result) -> list[str]:
    lines = [f"## {result.title} ({result.where})", ""]
    if result.notes:
        lines += [*result.notes, ""]
    contenders = list(dict.fromkeys(key for series in result.table.values() for key in series))
    order = [*result.specs, *result.labels]
    contenders.sort(key=order.index)
    if result.workload in ("hook", "catalogue", "files"):
        return lines + _by_operation(result, contenders)
    operations = list(result.table)
    syncs = bool(result.syncs)
    head = ["", "durability", *(["syncs a save"] if syncs else []), *operations]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for key in contenders:
        spec = result.specs[key]
        cells = [result.label(key), spec.durability]
        if syncs:
            counted = result.syncs.get("save", {}).get(key)
            cells.append("-" if counted is None else f"{counted:g}")
        cells += [_cell(result, operation, key) for operation in operations]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _by_operation(result: Result, contenders: list[str]) -> list[str]:
    lines = [
        "| | " + " | ".join(result.label(key) for key in contenders) + " |",
        "|" + "---|" * (len(contenders) + 1),
    ]
    for operation in result.table:
        cells = [_cell(result, operation, key) for key in contenders]
        lines.append(f"| {operation} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cell(result: Result, operation: str, key: str) -> str:
    series = result.table[operation].get(key)
    if series is None:
        return "-"
    if not series.rounds:
        return series.failure or "-"
    per_second = 1e3 if operation == "list" else result.unit[1]
    text = number(series.median * per_second)
    if len(series.rounds) > 1:
        low, high = series.spread
        text += f" ({number(low * per_second)}-{number(high * per_second)})"
    base = _base(result, operation, key)
    if base is not None and base is not series and (times := ratio(series, base)) is not None:
        text += f" [{times:.2f}]"
    if series.peak:
        text += f", peak {max(series.peak) / 2**20:.0f} MiB"
    return text


def _base(result: Result, operation: str, key: str) -> Series | None:
    floor = "pickle" if operation == "again" else result.floor(key)
    source = "save" if operation == "again" else operation
    return result.table.get(source, {}).get(floor)


def number(value: float) -> str:
    """Return three significant digits.

    >>> number(1234.5), number(12.345), number(0.012345)
    ('1,234', '12.3', '0.0123')
    """
    if value >= 1000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{digits}f}"
