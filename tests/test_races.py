"""Many processes on one store, killed at random: no object is lost, doubled or torn, no ID given twice.

Each process notes every operation before it begins and after it ended, with the time. All that they
saw, and what is in the store in the end, must be explained by some order of the operations
(`tests.intervals`). That the model finds what it is there for is tested on stores that were broken on purpose.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import signal
import time
import traceback
import warnings
from collections import Counter

import pytest

from gc3store import ConflictError, DanglingReferenceError, ObjectNotFoundError, make_store
from gc3store.ids import number_of
from gc3store.testing import Node
from tests.conftest import place_in
from tests.intervals import GONE, Operation, explained
from tests.servers import KINDS, database

PROCESSES = 4
SHARED = 4  # records that everybody changes, of which half are replaced, half compared and swapped
WRONG = "came back in pieces"


class Whole(dict):
    """An object that shows whether it is of one piece: every part of it names the write."""


def whole(token):
    rng = random.Random(str(token))
    size = rng.choice([3, 30, 300, 150_000])  # of the last kind are payloads in files or chunks of their own
    return Whole(token=token, fill=[token] * min(size, 300), pad=(json.dumps(token) * size)[:1_200_000])


def token_of(obj):
    token = obj.value if isinstance(obj, Node) else obj["token"]
    if isinstance(obj, Node):
        return token
    size = random.Random(str(token)).choice([3, 30, 300, 150_000])
    assert obj["fill"] == [token] * min(size, 300), WRONG
    assert obj["pad"] == (json.dumps(token) * size)[:1_200_000], WRONG
    return token


class Worker:
    """One process: does things at random, and notes them."""

    def __init__(self, url, shared, log, seed, stop, sabotage):
        self.seed, self.shared, self.stop = seed, shared, stop
        self.rng = random.Random(seed)
        self.notes = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.store = make_store(url, durable=False)
        self.n = 0
        if sabotage:
            sabotage(self.store, self.rng)

    def note(self, **facts):
        os.write(self.notes, json.dumps(facts).encode() + b"\n")

    def token(self):
        self.n += 1
        return [self.seed, self.n]

    def do(self, kind, call, **facts):
        """Do one thing, and note when and with what outcome."""
        key = f"{self.seed}-{self.n}-{self.rng.random()}"
        self.note(key=key, kind=kind, start=time.monotonic(), **facts)
        result = None
        try:
            result, outcome = call(), "done"
        except ConflictError:
            outcome = "conflict"
        except (ObjectNotFoundError, DanglingReferenceError):
            outcome = "missing"
        self.note(key=key, end=time.monotonic(), outcome=outcome, result=result)
        return result

    def run(self):
        store, rng = self.store, self.rng
        ids = []
        while not os.path.exists(self.stop):
            token = self.token()
            target = rng.choice(ids) if ids and rng.random() < 0.4 else rng.choice(self.shared)
            plain = not target.startswith("Node")
            match rng.randrange(8):
                case 0:
                    self.do("save", lambda t=token: [store.save(whole(t))], tokens=[token])
                case 1:
                    tokens = [token, self.token()]
                    self.do(
                        "save", lambda t=tokens: store.save_many([whole(one) for one in t]), tokens=tokens
                    )
                case 2 if plain:
                    self.do(
                        "replace",
                        lambda i=target, t=token: store.replace(i, whole(t)),
                        target=target,
                        token=token,
                    )
                case 3 | 4:
                    self.change(token)
                case 5 if target not in self.shared:
                    self.do("remove", lambda i=target: store.remove(i), target=target)
                case 6:
                    ids = self.do("list", store.list)
                case _ if plain:
                    self.do("load", lambda i=target: token_of(store.load(i)), target=target)

    def change(self, token):
        """Compare and swap: the object is saved only if nobody else saved it since it was loaded."""
        id_ = self.rng.choice([i for i in self.shared if i.startswith("Node")])
        node = self.store.load(id_)
        before, node.value = node.value, token
        self.do("change", lambda: self.store.save(node) and None, target=id_, token=token, expected=before)
        if node.value is not token or self.store.load(id_) is not node:
            self.store.invalidate_cache()


def work(*args):
    warnings.simplefilter("ignore")
    try:
        Worker(*args).run()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def race(url, folder, seconds, *, sabotage=None, kill=True):
    """Let processes loose on a store for a while; return what they noted, and what holds in the end."""
    store = make_store(url, durable=False)
    shared = [store.save(whole([0, i])) for i in range(SHARED // 2)]
    shared += [store.save(Node([0, SHARED + i])) for i in range(SHARED // 2)]
    fork = multiprocessing.get_context("fork")
    logs, workers, codes = [], [], []
    stop = str(folder / "stop")
    rng = random.Random(1)

    def start():
        logs.append(str(folder / f"log{len(logs)}"))
        worker = fork.Process(target=work, args=(url, shared, logs[-1], len(logs), stop, sabotage))
        worker.start()
        workers.append(worker)

    for _ in range(PROCESSES):
        start()
    end = time.monotonic() + seconds
    while (
        time.monotonic() < end or sum(os.path.getsize(log) > 4000 for log in logs if os.path.exists(log)) < 2
    ):
        time.sleep(rng.uniform(0.2, 0.6))
        if any(worker.exitcode for worker in workers) or time.monotonic() > end + 60:
            break
        if kill:
            victim = workers.pop(rng.randrange(len(workers)))
            os.kill(victim.pid, signal.SIGKILL)
            victim.join()
            start()
    with open(stop, "w"):
        pass
    for worker in workers:
        worker.join()
        codes.append(worker.exitcode)
    store.invalidate_cache()
    return store, shared, read(logs), codes


def read(logs):
    found = {}
    for log in logs:
        if not os.path.exists(log):
            continue
        with open(log) as notes:
            for line in notes:
                try:
                    note = json.loads(line)
                except ValueError:
                    continue  # its writer was killed in the middle of it
                found.setdefault(note["key"], {"outcome": "unknown", "end": math.inf}).update(note)
    return list(found.values())


def makers_of(history, final, written, lists, cut_off):
    """Return by which save that was cut off each record of `history` was made: its token, and when it began."""
    makers, unseen = {}, []
    for id_, operations in history.items():
        # Of the tokens that were in it the first one is its making's.
        values = [op.value for op in operations if op.kind == "load" and op.value]
        values.append(final.get(id_))
        tokens = [str(v) for v in values if v is not None and str(v) not in written]
        token = next((t for t in tokens if t in cut_off), None)
        if token is not None:
            makers[id_] = token, cut_off.pop(token)
        elif not tokens:  # it was gone, or replaced, before anybody saw what was in it
            ends = [op.end for op in operations if op.outcome == "done"]
            ends += [end for _, end, ids in lists if id_ in ids]
            unseen.append((min(ends, default=math.inf), id_))
    for seen, id_ in sorted(unseen):
        token = next((t for t, start in cut_off.items() if start <= seen), None)
        if token is not None:
            makers[id_] = token, cut_off.pop(token)
    return makers


def check(store, shared, notes):
    """Raise if no order of what was done explains what was seen; return how much was done."""
    saves = [n for n in notes if n["kind"] == "save"]
    given = Counter(id_ for n in saves if n["outcome"] == "done" for id_ in n["result"])
    assert all(count == 1 for count in given.values()), "an ID was given twice"
    numbers = [number_of(id_) for id_ in (*given, *shared)]
    assert len(set(numbers)) == len(numbers), "a number was given twice"

    final = {}
    for id_ in store.list():
        store.verify(id_)
        final[id_] = token_of(store.load(id_))
    created = {
        id_: Operation("create", n["start"], n["end"], "done", token)
        for n in saves
        if n["outcome"] == "done"
        for id_, token in zip(n["result"], n["tokens"], strict=True)
    }
    # Who was killed while saving may have made a record, but not two of one object.
    cut_off = {str(token): n["start"] for n in saves if n["outcome"] == "unknown" for token in n["tokens"]}
    history = {id_: [] for id_ in (*created, *shared, *final)}
    for note in notes:
        if note["kind"] in ("replace", "change", "remove", "load"):
            value = (
                note["result"] if note["kind"] == "load" and note["outcome"] == "done" else note.get("token")
            )
            if note["kind"] == "load" and note["outcome"] == "unknown":
                continue
            history.setdefault(note["target"], []).append(
                Operation(
                    note["kind"], note["start"], note["end"], note["outcome"], value, note.get("expected")
                )
            )
        elif note["kind"] == "list" and note["outcome"] == "done":
            for id_ in note["result"]:
                history.setdefault(id_, [])
    lists = [
        (n["start"], n["end"], set(n["result"])) for n in notes if n["kind"] == "list" and n.get("result")
    ]
    written = {str(op.value) for ops in history.values() for op in ops if op.kind in ("replace", "change")}
    makers = makers_of({i: ops for i, ops in history.items() if i not in created and i not in shared},
                       final, written, lists, cut_off)  # fmt: skip
    for id_, operations in history.items():
        before = GONE
        if id_ in created:
            operations.append(created[id_])
        elif id_ in shared:
            place = shared.index(id_)
            before = [0, place if place < SHARED // 2 else SHARED // 2 + place]
        else:
            assert id_ in makers, f"{id_} came out of nothing, or an object was saved twice"
            token, start = makers[id_]
            operations.append(Operation("create", start, math.inf, "unknown", json.loads(token)))
        last = max((op.end for op in operations if op.end < math.inf), default=0)
        first = min(op.start for op in operations) if operations else 0
        open_ends = any(op.end == math.inf for op in operations)
        for begun, ended, ids in lists:
            # Before the first operation and after the last nothing can be news, unless it is wrong.
            if ended < first and id_ not in ids and before is GONE:
                continue
            if begun <= last or open_ends or (id_ in ids) != (id_ in final):
                operations.append(Operation("list", begun, ended, "done", id_ in ids))
        assert explained(operations, final.get(id_), before), (
            f"no order explains {id_}, which holds {final.get(id_)} in the end: {operations}"
        )
    return Counter((n["kind"], n["outcome"]) for n in notes)


def place_of(kind, folder, stack):
    return stack.enter_context(database(kind)) if kind in KINDS else place_in(folder, kind).url


SECONDS = float(os.environ.get("GC3STORE_RACE_SECONDS", "4"))


@pytest.mark.parametrize(
    "kind", ["directory", "sqlite", *(pytest.param(kind, marks=pytest.mark.server) for kind in KINDS)]
)
@pytest.mark.parametrize(
    "seconds", [SECONDS, pytest.param(120, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_some_order_explains_it(kind, seconds, tmp_path, capsys):
    from contextlib import ExitStack

    with ExitStack() as stack:
        store, shared, notes, codes = race(place_of(kind, tmp_path, stack), tmp_path, seconds)
        stack.callback(store.close)
        assert set(codes) == {0}
        counts = check(store, shared, notes)
        with capsys.disabled():
            if seconds > 60:
                print(kind, dict(counts))
        assert counts["save", "done"] > 5
        assert counts["change", "done"] > 2


# The model finds what it is there for.


def loses(store, rng):
    staging = store.backend.staging
    publish = staging.publish
    staging.publish = lambda staged: None if rng.random() < 0.1 else publish(staged)


def doubles(store, rng):
    save = store.save
    store.save = lambda obj: (
        save(type(obj)(obj)) if rng.random() < 0.2 and type(obj) is Whole else 0,
        save(obj),
    )[1]


def forgets_what_was_expected(store, rng):
    from gc3store.filesystem import backend

    backend.check_revision = lambda id_, expected, found: None


def removes_nothing(store, rng):
    store.backend.delete = lambda ids: None


def shows_what_was(store, rng):
    load, seen = store.load, {}
    store.load = lambda id_: seen.setdefault(id_, load(id_)) if rng.random() < 0.3 else load(id_)


def lists_too_little(store, rng):
    list_ = store.list
    store.list = lambda: list_()[: -1 if rng.random() < 0.3 else None]


def gives_numbers_twice(store, rng):
    store.backend.numbers.allocate = lambda count: rng.randrange(10, 40)


def tears(store, rng):
    """Writes in place, one half after the other."""

    def publish(staged):
        for stage in staged:
            with open(stage.head, "rb") as file:
                data = file.read()
            with open(stage.target, "r+b" if os.path.exists(stage.target) else "wb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                time.sleep(0.002)
                file.write(data[len(data) // 2 :])
                file.truncate()
            os.unlink(stage.head)
            stage.published = True
            if stage.data is not None:
                os.rename(stage.data, stage.data_target)

    store.backend.staging.publish = publish


@pytest.mark.parametrize(
    "sabotage",
    [
        loses,
        doubles,
        forgets_what_was_expected,
        removes_nothing,
        shows_what_was,
        lists_too_little,
        gives_numbers_twice,
        tears,
    ],
)
def test_a_broken_store_is_found_out(sabotage, tmp_path, capfd):
    """Each way of breaking it is seen, by the model or by the processes themselves."""
    found = False
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        store, shared, notes, codes = race(
            place_in(folder, "directory").url, folder, 1.5, sabotage=sabotage, kill=False
        )
        try:
            check(store, shared, notes)
            found = set(codes) != {0}
        except Exception:
            found = True
        if found:
            return
    pytest.fail("nobody noticed")


def test_the_model_by_hand():
    write = [Operation("create", 0, 1, "done", 1), Operation("replace", 2, 5, "done", 2)]
    assert explained([*write, Operation("load", 3, 4, "done", 1)], 2)
    assert explained([*write, Operation("load", 3, 4, "done", 2)], 2)
    assert not explained([*write, Operation("load", 6, 7, "done", 1)], 2)  # seen after it was replaced
    assert not explained(write, 1)  # lost
    read = [Operation("load", 3, 3.5, "done", 2), Operation("load", 4, 4.5, "done", 1)]
    assert not explained([*write, *read], 2)  # went back
    assert explained([write[0], Operation("replace", 2, value=2)], 1)  # cut off: never,
    assert explained([write[0], Operation("replace", 2, value=2)], 2)  # or at last
    swaps = [Operation("change", 2, 5, "done", n, expected=1) for n in (2, 3)]
    assert not explained([write[0], *swaps], 3)  # an update was lost
    assert explained([write[0], swaps[0], Operation("change", 2, 5, "conflict", 3, expected=1)], 2)
    gone = Operation("remove", 2, 3, "done")
    assert not explained([write[0], gone, Operation("list", 4, 5, "done", True)], GONE)  # came back
    assert not explained([write[0], gone, gone], GONE)  # removed twice
