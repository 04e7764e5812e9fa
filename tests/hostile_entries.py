"""Hostile streams in stores of every kind, looked at through every way of looking, under guard.

Run as a program with a directory to work in, and a number to take one stream in so many.
It puts each stream of `hostile_pickles` into a record of a
directory and a database of this library's own and of GC3Pie's, and then does everything but load. An audit hook
notes each import, call to the outside, and file opened for writing elsewhere; what raised anything
but an error of the tree is noted too. Prints what was found, as JSON.
"""

import contextlib
import io
import itertools
import json
import os
import sqlite3
import sys
import time
from pathlib import Path

from hostile_columns import columns
from hostile_pickles import large, small
from hostile_sharing import shared

#: Of the streams that take a while: those that attack by depth, sharing and size in different ways.
SLOW = (
    "lists in lists", "tuples in tuples", "dictionaries in dictionaries", "objects in objects", "calls in calls",
    "frozen sets in frozen sets", "persistent IDs in persistent IDs", "shared lists", "shared tuples",
    "shared tuples as a key", "shared dictionaries", "many states", "names", "objects with a shared state",
    "builtins.set of a shared list", "persistent IDs that are nested", "getattr of getattr",
    "builtins.frozenset in itself", "fields that overlap in fields", "indexes without end", "sparse array without end",
    "structures of Arrow in structures", "frozen set that is its own argument", "no opcode in the middle",
    "types in types", "records in records", "9 labels of labels", "1200 intervals of intervals",
    "dictionaries of Arrow in dictionaries", "a hundred thousand times one of the texts", "a series without end",
)  # fmt: skip
#: Streams that ask plain types for too much: the documentation says that only looking is bounded, not loading.
GREEDY = ("Fraction", "bytes", "bytearray", "list of range")
PATHS = ["size", "x", "execution.exitcode", "results.energy", "tasks[0].jobname", "job.outcome", "job.time.RUNNING",
         "job.parents", "job.children", "a['b'][0]"]  # fmt: skip
WATCHED = (
    "import", "exec", "compile", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
    "os.kill", "subprocess.Popen", "pty.spawn", "socket.connect", "socket.bind", "ctypes.dlopen", "pickle.find_class",
    "shutil.rmtree", "webbrowser.open", "urllib.Request", "code.__new__", "function.__new__", "builtins.input",
    "builtins.breakpoint", "sys.setprofile", "sys.settrace", "glob.glob", "signal.pthread_kill",
)  # fmt: skip


def streams(step=1):
    """Yield names and streams, one in `step`."""
    yield from itertools.islice(small(), 0, None, step)
    slow = (found for group in (large, shared, columns) for found in group() if found[0] in SLOW)
    yield from itertools.islice(slow, 0, None, step)


def fill(folder, step):
    """Make the stores; return their addresses, and the names of what is in them, by ID or number."""
    import gc3store
    from gc3store.pickling import Encoded, Encoder

    found = list(streams(step))
    foreign = folder / "gc3pie"
    foreign.mkdir(parents=True)
    for number, (_, stream) in enumerate(found, 1):
        (foreign / f"Evil.{number}").write_bytes(stream)
    with contextlib.closing(sqlite3.connect(folder / "jobs.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE store (id INTEGER NOT NULL PRIMARY KEY, data BLOB, state VARCHAR(128))"
        )
        rows = [(number, stream, "RUNNING") for number, (_, stream) in enumerate(found, 1)]
        connection.executemany("INSERT INTO store VALUES (?, ?, ?)", rows)
    original, addresses = Encoder.encode, [str(foreign), f"sqlite:///{folder}/jobs.db"]
    for address in (str(folder / "own"), f"sqlite:///{folder}/own.db"):
        addresses.append(address)
        with gc3store.make_store(address, durable=False) as store:
            for _, stream in found:
                # As somebody would who writes a store by hand, checksums and all.
                Encoder.encode = lambda *_, stream=stream: Encoded(stream, len(stream), [], [], False)
                store.save({"size": 1})
        Encoder.encode = original
    return addresses, [name for name, _ in found]


class Guard:
    """Notes what happens that should not."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.on = False
        self.trust = None  # what may be imported
        self.doing = ""
        self.found = []
        self.slow = []
        sys.addaudithook(self.hook)

    def hook(self, event, args):
        """See `sys.addaudithook`."""
        if not self.on:
            return
        if event == "import" and str(args[0]).partition(".")[0] in ("gc3store", "tqdm"):
            return  # our own, the first time that it is wanted
        if event == "open":
            path, mode, flags = args
            if isinstance(path, int):
                return  # a descriptor that is open already
            writes = (isinstance(mode, str) and mode[:1] in "wax") or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            )
            if not writes or str(path).startswith((self.folder, "/dev/null")):
                return
        elif event not in WATCHED:
            return
        if event == "pickle.find_class" and self.trust is not None and self.trust.allows(*args):
            return
        self.on = False
        self.found.append((self.doing, event, repr(args)[:200]))
        self.on = True

    def run(self, what, operation, *args, **options):
        """Do something under guard; return its value, `None` if it ended in an error of the tree."""
        from gc3store.errors import StoreError

        self.doing, self.on = what, True
        start = time.process_time()
        try:
            return operation(*args, **options)
        except (StoreError, NotImplementedError):
            return None
        except BaseException as error:
            self.on = False
            self.found.append((what, "raised", f"{type(error).__name__}: {error}"[:300]))
            return None
        finally:
            self.on = False
            self.slow.append((round(time.process_time() - start, 1), what))
            if len(sys.argv) > 3 and self.slow[-1][0] > 1:
                print(*self.slow[-1], file=sys.stderr, flush=True)


def look(guard, address, folder, names=()):
    """Do everything but load; return how many objects there were."""
    import gc3store
    from gc3store import cli, inspection
    from gc3store.jupyter.service import Service

    target = folder / f"copy {abs(hash(address))}"
    with gc3store.make_store(address, read_only=True) as store:
        kind = type(store).__name__
        do = lambda what, *args, **options: guard.run(f"{kind}: {what}", *args, **options)  # noqa: E731
        ids = do("list", store.list) or []
        assert len(ids) >= max(1, len(names)), f"{kind} lists {len(ids)}"
        do("records", lambda: list(store.records()))
        do("len and in", lambda: (len(store), ids[0] in store, list(store)))
        do("repr", lambda: (repr(store), store._repr_html_()))
        do("table", store.table)
        do("table with columns", store.table, columns=["cls", *PATHS])
        do("attributes", store.attributes)
        do("orphans", store.orphans)
        do("find", store.find, "sweep")
        service = Service(store, {})
        do("rows", service.answer, {"kind": "rows", "query": {}, "offset": 0, "limit": 200})
        do("facets", service.answer, {"kind": "facets", "query": {}, "fields": ["cls", "state"]})
        shown = None
        for id_ in ids:
            do(f"describe {id_}", store.describe, id_)
            value = do(f"inspect {id_}", store.inspect, id_)
            do(
                f"text {id_}",
                lambda value=value: (inspection.text(value), inspection.html(value), dir(value)),
            )
            do(f"compare {id_}", inspection.differences, value, shown, limit=20)
            do(f"imports {id_}", lambda id_=id_: list(map(str, store.imports(id_))))
            do(f"verify {id_}", store.verify, id_)
            do(f"references {id_}", lambda id_=id_: (store.references(id_), store.referrers(id_)))
            for request in ("detail", "inspect"):
                do(f"{request} {id_}", service.answer, {"kind": request, "id": id_})
            shown = value
        do("suggest", service.answer, {"kind": "suggest", "target": {"ids": ids[:1]}})
        do("total", service.answer, {"kind": "total", "target": {"ids": ids[:100]}})
        with gc3store.make_store(target, durable=False) as other:
            for id_ in ids[::5]:
                data = do(f"export {id_}", store.export, id_)
                if data is not None:
                    do(f"restore {id_}", other.restore, data)
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        for arguments in (["ls", address], ["ls", "--json", address], ["info", address], ["info", address, *ids[:50]],
                          ["verify", "--quiet", address],
                          ["export", "--quiet", "-o", str(folder / "out"), address, *ids[:50]],
                          ["copy", "--quiet", address, f"{target} 2"]):  # fmt: skip
            guard.run(f"{kind}: {arguments[0]}", cli.main, arguments)
    for trust in ("nothing", ["datetime.date"], ["collections", "datetime"]):
        with gc3store.make_store(address, read_only=True, trust=trust) as store:
            guard.trust = store.trust
            ids = [id_ for id_ in ids if trust == "nothing" or _name(id_, names) not in GREEDY + SLOW]
            for id_ in ids:
                guard.run(f"{kind}: load {id_} trusting {trust}", store.load, id_)
                if trust != "nothing":
                    guard.run(
                        f"{kind}: placeholder {id_} trusting {trust}", store.load, id_, missing="placeholder"
                    )
            guard.run(
                f"{kind}: load_many trusting {trust}", lambda store=store, ids=ids: list(store.load_many(ids))
            )
        guard.trust = None
    return len(ids)


def main(folder, step):
    import resource
    import warnings

    import pandas as pd
    from tqdm.auto import tqdm

    import gc3store
    import gc3store.pickling.explain  # what is not imported before something fails

    warnings.simplefilter("ignore")
    guard = Guard(folder)
    # Once with what is harmless, so that no import of our own is left to do; and a bar, which comes where it takes long.
    tqdm(total=1, file=io.StringIO()).close()
    calm = folder / "calm"
    with gc3store.make_store(calm) as store:
        store.save({"a": [1, 2.5, b"x"], "s": {1}})
        store.save(pd.DataFrame({"s": ["a", None], "p": pd.period_range("2026", periods=2, freq="D")}))
        store.save({"x": 1})
    look(guard, str(calm), folder)
    look(guard, f"{Path(__file__).parent}/data/gc3pie/fs", folder)
    look(guard, f"sqlite:///{Path(__file__).parent}/data/gc3pie/jobs.db", folder)
    with gc3store.make_store(f"sqlite:///{folder}/calm.db") as store:
        store.save({"x": 1})
    look(guard, f"sqlite:///{folder}/calm.db", folder)
    addresses, names = fill(folder, step)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    guard.found.clear()
    if step > 1:
        addresses = addresses[::3]  # a directory and a database, one of GC3Pie's and one of our own
    counts = [look(guard, address, folder, names) for address in addresses]
    found = [(what, event, said, _name(what, names)) for what, event, said in guard.found]
    slow = [(seconds, what, _name(what, names)) for seconds, what in sorted(guard.slow)[-10:]]
    json.dump({"counts": counts, "found": found, "slow": slow}, sys.stdout)


def _name(what, names):
    """Return the name of the stream in a record that something was done with."""
    digits = [word.rpartition(".")[2] for word in what.split() if word.rpartition(".")[2].isdigit()]
    return names[int(digits[0]) - 1] if digits and int(digits[0]) <= len(names) else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
