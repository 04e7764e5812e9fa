"""The command line: ``gc3store ls|info|export|verify|copy URL``.

For login nodes and scripts. Nothing here unpickles an object, and nothing but ``copy``
writes to a store. Exit codes: 0 all is well, 1 something is damaged, missing or
unreachable, 2 the command itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from itertools import chain
from typing import Any

import gc3store
from gc3store.copying import copy
from gc3store.engine.record_store import RecordStore
from gc3store.errors import (
    NotSupportedError,
    ObjectNotFoundError,
    StoreError,
    StoreUnavailableError,
    UsageError,
)
from gc3store.format import unpack_head
from gc3store.query import Query
from gc3store.record import Record, human_size
from gc3store.registry import make_store
from gc3store.support.progress import progress, without_bars
from gc3store.support.redaction import redact
from gc3store.support.text import clean

__all__ = ["main"]

_LISTED = ("id", "cls", "state", "name", "size", "modified")

_EXAMPLES = {
    "ls": """\
  gc3store ls results/                            everything, the oldest first
  gc3store ls jobs.db class:IsingRun 'size:>1MB'  as in the search field of the browser
  gc3store ls jobs.db --order modified --reverse --limit 20
  gc3store ls jobs.db state:FAILED --json | jq -r '.[].id'""",
    "info": """\
  gc3store info jobs.db                    how many objects of which classes and states
  gc3store info jobs.db IsingRun.26 sweep  two objects: by ID (or its number), and by name""",
    "export": """\
  gc3store export jobs.db IsingRun.26 -o saved/
  gc3store export jobs.db 26 -o - | ssh host 'cat > run.gc3export'

What is written goes back in with Python: make_store(URL).restore(Path("run.gc3export").read_bytes())""",
    "verify": """\
  gc3store verify results/ && echo all is well
  gc3store verify jobs.db -q 'saved:<1d' --json""",
    "copy": """\
  gc3store copy my-session/ sqlite:///jobs.db    a GC3Pie session into a database
  gc3store copy jobs.db backup/ -q class:IsingRun

After an interruption, or with new objects in the first store, the same command copies what is missing.""",
}

_Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.
    """
    options = _parser().parse_args(arguments)
    command: _Command = options.command
    bars = nullcontext() if _wants_progress(options) else without_bars()
    with bars, warnings.catch_warnings():
        warnings.simplefilter("always", gc3store.errors.StoreWarning)
        warnings.showwarning = lambda message, *_: _say(f"warning: {message}")
        try:
            code = command(options)
            sys.stdout.flush()
            return code
        except UsageError as error:
            _say(str(error))
            return 2
        except (StoreError, OSError) as error:
            if isinstance(error, BrokenPipeError):  # as in `gc3store ls URL | head`
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 141
            _say(str(error))
            return 1
        except KeyboardInterrupt:
            _say(
                "interrupted; the same command goes on where it stopped"
                if command is _copy
                else "interrupted"
            )
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gc3store", description="Look into stores of Python objects, check them and copy them."
    )
    parser.add_argument("--version", action="version", version=f"gc3store {gc3store.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: _Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog="examples:\n" + _EXAMPLES[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument("url", metavar="URL", help="a directory, an SQLite file, a GC3Pie session, or a URL")
        sub.add_argument("--table", metavar="NAME", help="name of the table, where a database has several")
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(command=command)
        return sub

    ls = add("ls", _ls, "list objects")
    ls.add_argument(
        "query", nargs="*", metavar="QUERY", help="as in: class:IsingRun state:TERMINATED size:>1MB"
    )
    ls.add_argument("--order", metavar="FIELD", help="sort by a field")
    ls.add_argument("--reverse", action="store_true", help="sort in descending order")
    ls.add_argument("--limit", type=int, metavar="N", help="how many at most")
    ls.add_argument("--offset", type=int, default=0, metavar="N", help="how many to leave out first")
    ls.add_argument("--columns", metavar="A,B,...", help=f"what to show; by default {','.join(_LISTED)}")

    info = add("info", _info, "show what is known of a store, or of single objects")
    info.add_argument("ids", nargs="*", metavar="ID")

    export = add("export", _export, "write objects to files, whole and not unpickled")
    export.add_argument("ids", nargs="*", metavar="ID")
    export.add_argument("-o", "--output", default=".", metavar="DIR", help="where to; - for standard output")

    verify = add("verify", _verify, "read objects and compare their checksums")
    verify.add_argument("ids", nargs="*", metavar="ID")

    copy_ = add("copy", _copy, "copy objects, and what they refer to, to another store")
    copy_.add_argument("target", metavar="TARGET", help="the other store; made if there is none")
    copy_.add_argument("ids", nargs="*", metavar="ID")
    copy_.add_argument("--target-table", metavar="NAME", help="name of the table in the target")
    for sub in (export, verify, copy_):
        sub.add_argument("--query", "-q", metavar="QUERY", help="which objects, in place of IDs; as for ls")
        sub.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


# Commands.


def _ls(options: argparse.Namespace) -> int:
    store = _open(options)
    names = [name.strip() for name in options.columns.split(",")] if options.columns else [*_LISTED]
    for name in names:
        Query.build({name: None}, columns=store.columns)  # is there such a field?
    if options.reverse and not options.order:
        raise UsageError("--reverse needs --order: by which field?")
    query = Query.build(
        query=" ".join(options.query),
        columns=store.columns,
        order=f"-{options.order}" if options.reverse else options.order,
        limit=options.limit,
        offset=options.offset,
    )
    records = store.records(query)
    if options.json:
        _print_json_list(_as_json(record) for record in records)
        return 0
    rows = [[_cell(name, _value(record, name)) for name in names] for record in records]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    right = [name in ("size", "number", "revision") for name in names]
    for row in [names, *rows] if rows else []:
        cells = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        print("  ".join(cells).rstrip())
    return 0


def _info(options: argparse.Namespace) -> int:
    store = _open(options)
    if options.ids:
        records = [_as_json(store.describe(_resolve(store, text)), whole=True) for text in options.ids]
        if options.json:
            _print_json_list(records)
        else:
            print("\n\n".join(_paragraph(record) for record in records))
        return 0
    sizes: dict[str, list[int]] = {}
    damaged = 0
    for record in store.records():
        entry = sizes.setdefault(record.cls or "?", [0, 0])
        entry[0] += 1
        entry[1] += record.size
        damaged += record.error is not None
    about: dict[str, Any] = {
        "url": store.url,
        "kind": type(store).__name__,
        "uuid": store.uuid,
        "objects": sum(count for count, _ in sizes.values()),
        "size": sum(size for _, size in sizes.values()),
        "damaged": damaged,
        "states": {str(state): count for state, count in store.facets("state").items()},
        "classes": {cls: {"objects": n, "size": size} for cls, (n, size) in sorted(sizes.items())},
        "columns": list(store.columns),
    }
    if store.session is not None:
        about["session"] = {"path": store.session.path, "task_ids": list(store.session.task_ids)}
    if options.json:
        print(json.dumps(about, indent=2))
        return 0
    about["size"] = human_size(sum(size for _, size in sizes.values()))
    about["classes"] = {cls: f"{count}, {human_size(size)}" for cls, (count, size) in sorted(sizes.items())}
    print(_paragraph(about))
    return 0


def _export(options: argparse.Namespace) -> int:
    store = _open(options)
    ids = _selected(store, options)
    if not ids:
        raise UsageError("Name the objects to export, by ID or with --query.")
    if options.output == "-":
        if len(ids) > 1:
            raise UsageError("Only one object fits into standard output; name a directory with -o.")
        pieces, reason = _exported(store, ids[0])
        sys.stdout.buffer.writelines(pieces)
        return _damaged([reason] if reason else [])
    os.makedirs(options.output, exist_ok=True)
    written, reasons = [], []
    for id_ in progress(ids, "exporting"):
        path = os.path.join(options.output, f"{id_}.gc3export")
        with open(path, "xb") as file:  # never over a file that is there
            try:
                pieces, reason = _exported(store, id_)
                file.writelines(pieces)
            except BaseException:
                os.unlink(path)  # half of an object is worse than none
                raise
            size = file.tell()
        reasons += [reason] if reason else []
        written.append({"id": id_, "file": path, "size": size})
    if options.json:
        _print_json_list(written)
    else:
        print("\n".join(str(entry["file"]) for entry in written))
    return _damaged(reasons)


def _exported(store: RecordStore, id_: str) -> tuple[Iterator[bytes | memoryview], str | None]:
    """Return an exported record, and why it is damaged if it is."""
    pieces = store.export_pieces(id_)
    head = next(pieces)
    error = unpack_head(head).entry().get("error")
    return chain([head], pieces), error and f"{id_} was exported as it is ({error})"


def _damaged(reasons: Sequence[str]) -> int:
    if reasons:
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        _say(f"{reasons[0]}{more}")
    return 1 if reasons else 0


def _verify(options: argparse.Namespace) -> int:
    store = _open(options)
    ids = _selected(store, options) if options.ids or options.query else store.list()
    damaged = {}
    for id_ in progress(ids, "verifying"):
        try:
            store.verify(id_)
        except ObjectNotFoundError:
            continue  # removed meanwhile
        except StoreError as error:
            damaged[id_] = str(error)
    if options.json:
        print(json.dumps({"verified": len(ids), "damaged": damaged}, indent=2))
    else:
        for reason in damaged.values():
            print(clean(reason, None))
        print(f"{len(ids)} verified, {len(damaged)} damaged")
    return 1 if damaged else 0


def _copy(options: argparse.Namespace) -> int:
    source = _open(options)
    extra = {"table_name": options.target_table} if options.target_table else {}
    target = make_store(options.target, **extra)
    ids = _selected(source, options) if options.ids or options.query else None
    result = copy(source, target, ids)
    if options.json:
        print(json.dumps({"copied": result.new, "ids": result.ids, "failed": result.failed}, indent=2))
    else:
        print(f"{result.new} copied, {len(result.ids) - result.new} were there, {len(result.failed)} failed")
    return 1 if result.failed else 0


# Stores and objects.


def _open(options: argparse.Namespace) -> RecordStore:
    extra = {"table_name": options.table} if options.table else {}
    store = make_store(options.url, read_only=True, **extra)
    if not isinstance(store, RecordStore):
        raise NotSupportedError(f"{store!r} keeps no catalogue to look at.")
    if store.uuid is None:
        raise StoreUnavailableError(f"There is no store at {store.url}.")
    return store


def _resolve(store: RecordStore, text: str) -> str:
    """Return the ID that a person means by an ID, its number, or a name."""
    if text in store:
        return text
    found = store.list(number=int(text)) if text.isdecimal() else store.find(text)
    if not found:
        raise ObjectNotFoundError(
            f"There is no object {text!r} in {store.url}; ls shows what there is.", id=text
        )
    return found[0]


def _selected(store: RecordStore, options: argparse.Namespace) -> list[str]:
    if options.query and options.ids:
        raise UsageError("Give either IDs or --query.")
    if options.query:
        return store.list(query=options.query)
    return [_resolve(store, text) for text in options.ids]


# Output.


def _value(record: Record, name: str) -> Any:
    name = {"class": "cls", "tag": "tags", "saved": "modified"}.get(name, name)
    return record.columns[name] if name in record.columns else record[name]


def _cell(name: str, value: Any) -> str:
    if value is None or value == ():
        return ""
    if name == "size":
        return human_size(value)
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return clean(", ".join(value) if isinstance(value, tuple) else str(value), None)


def _as_json(record: Record, *, whole: bool = False) -> dict[str, Any]:
    names = ["id", "name", "cls", "state", "tags", "size", "created", "modified", "revision", "error"]
    names += ["preview", "references", "origin", "checksum"] if whole else []
    found = {name: getattr(record, name) for name in names}
    found = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in found.items()}
    return {**found, "columns": dict(record.columns)}


def _print_json_list(items: Iterable[Any]) -> None:
    """Print a JSON array, one item to a line, without collecting the items."""
    before = "["
    for item in items:
        print(before)
        print(json.dumps(item, default=str), end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def _paragraph(entries: dict[str, Any]) -> str:
    return "\n".join(_lines(entries, ""))


def _lines(entries: dict[str, Any], indent: str) -> Iterator[str]:
    for name, value in entries.items():
        if isinstance(value, dict):
            if value:
                yield f"{indent}{clean(name, None)}:"
                yield from _lines(value, indent + "  ")
        elif value not in (None, (), [], ""):
            shown = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
            yield f"{indent}{clean(name, None)}: {clean(shown, None)}"


def _say(text: str) -> None:
    print(f"gc3store: {clean(redact(text), None)}", file=sys.stderr)


def _wants_progress(options: argparse.Namespace) -> bool:
    return not getattr(options, "quiet", False) and sys.stderr.isatty()


if __name__ == "__main__":
    sys.exit(main())
