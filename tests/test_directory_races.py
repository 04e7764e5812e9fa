"""Threads and processes that change one directory at the same moment, each stopped where it matters most.

What a process does to files it tells its audit hooks before it does it (`sys.addaudithook`):
there a test lets it wait, fork or die.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gc3store import ConflictError, make_store
from gc3store.testing import FreshProcess, Node, Point, in_fresh_process

LARGE = bytes(range(256)) * 5000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "objects"


def before_naming(suffix, act):
    """Call `act` in this process before a file or directory gets a name that ends so, once."""
    waiting = [act]

    def hook(event, arguments):
        if event in ("os.rename", "os.link") and waiting and os.fspath(arguments[1]).endswith(suffix):
            waiting.pop()()

    sys.addaudithook(hook)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the other process did not get there"
        time.sleep(0.002)


class Gate:
    """Where a process waits until another one lets it go on."""

    def __init__(self, place):
        self.reached, self.opened = Path(f"{place}.reached"), Path(f"{place}.opened")

    def wait(self):
        self.reached.touch()
        wait_for(self.opened.exists)


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


def save_at_gate(path, gate, suffix, obj):
    """Save an object, and wait at the gate before the file with that suffix gets its name."""
    before_naming(suffix, gate.wait)
    with make_store(path) as store:
        return store.save(obj), str(store.uuid)


def save_and_die(path):
    before_naming(".gc3", lambda: os.kill(os.getpid(), signal.SIGKILL))
    make_store(path, durable=False).save(Point(LARGE))


def save_here(path, obj):
    with make_store(path, durable=False) as store:
        return store.save(obj), str(store.uuid)


def temporary_files(path):
    return sorted((path / ".gc3store" / "tmp").iterdir())


def payload_files(path):
    return sorted((path / ".gc3store" / "data").iterdir())


class TestCreation:
    def test_of_one_store_by_two_processes(self, path, gate):
        """The one that comes second joins the store of the first, with what it was about to save."""
        slow = FreshProcess(save_at_gate, path, gate, ".gc3store", Point("slow"))
        wait_for(gate.reached.exists)
        fast, uuid = in_fresh_process(save_here, path, Point("fast"))
        gate.opened.touch()
        late, same = slow.result()
        assert same == uuid
        assert late != fast
        with make_store(path) as store:
            assert str(store.uuid) == uuid
            assert {id_: store.load(id_).x for id_ in store.list()} == {fast: "fast", late: "slow"}
        assert {file.name for file in path.iterdir()} == {".gc3store", f"{fast}.gc3", f"{late}.gc3"}

    def test_of_one_store_by_many_processes(self, path):
        savers = [FreshProcess(save_here, path, Point(n)) for n in range(6)]
        given = [saver.result() for saver in savers]
        assert len({uuid for _, uuid in given}) == 1
        with make_store(path) as store:
            assert sorted(store.list()) == sorted(id_ for id_, _ in given)
            assert [store.load(id_).x for id_, _ in given] == list(range(6))
        assert [file.name for file in path.iterdir() if not file.name.endswith(".gc3")] == [".gc3store"]


class TestAbandonedFiles:
    def test_the_payload_of_a_save_in_progress_is_not_tidied_away(self, path, gate):
        """It has its place already, while its record has not, just like what a killed process left."""
        save_here(path, "first")
        slow = FreshProcess(save_at_gate, path, gate, ".gc3", Point(LARGE))
        wait_for(gate.reached.exists)
        in_progress = temporary_files(path)
        with pytest.raises(AssertionError, match="died"):
            in_fresh_process(save_and_die, path)
        assert len(payload_files(path)) == len(temporary_files(path)) == 2
        in_fresh_process(save_here, path, "another")  # the first save of a process tidies
        assert temporary_files(path) == in_progress
        gate.opened.touch()
        id_, _ = slow.result()
        with make_store(path) as store:
            store.verify(id_)
            assert store.load(id_).x == LARGE

    def test_what_was_left_long_ago_is(self, path):
        """The other side of it: both files of a save that was killed are gone after a while."""
        kept, _ = save_here(path, Point(LARGE))
        with pytest.raises(AssertionError, match="died"):
            in_fresh_process(save_and_die, path)
        assert len(payload_files(path)) == 2
        for file in payload_files(path):
            os.utime(file, (time.time() - 7200,) * 2)
        in_fresh_process(save_here, path, "another")
        assert temporary_files(path) == []
        (file,) = payload_files(path)
        assert file.name.startswith(f"{kept}-")
        with make_store(path) as store:
            store.verify(kept)


def save_interrupted(path):
    def interrupt():
        raise KeyboardInterrupt

    with make_store(path, durable=False) as store:
        before_naming(".gc3", interrupt)
        node = Node(LARGE)
        with pytest.raises(KeyboardInterrupt):
            store.save(node)
        assert (store.list(), getattr(node, "persistent_id", None)) == ([], None)
        assert temporary_files(path) == payload_files(path) == []
        assert store.load(store.save(node)) is node
        assert len(payload_files(path)) == 1


def test_an_interrupt_between_payload_and_record_leaves_neither(path):
    save_here(path, "first")
    with make_store(path, durable=False) as store:
        store.remove_many(store.list())
    in_fresh_process(save_interrupted, path)


def replace_and_fork(path, id_, note):
    """Fork while a record is being replaced; note the child, which lives on, and does nothing."""
    children = []

    def fork():
        children.append(os.fork())
        if not children[-1]:
            time.sleep(600)
            os._exit(0)

    before_naming(".gc3", fork)
    with make_store(path, durable=False) as store:
        store.replace(id_, Point("by the parent"))
    note.with_suffix(".new").write_text(str(children[0]))
    note.with_suffix(".new").rename(note)


def replace_here(path, id_, value):
    with make_store(path, durable=False) as store:
        store.replace(id_, Point(value))


def test_a_child_that_is_forked_during_a_change_keeps_no_lock(path, tmp_path):
    id_, _ = save_here(path, Point("old"))
    note = tmp_path / "child"
    parent = FreshProcess(replace_and_fork, path, id_, note)
    wait_for(note.exists)
    other = FreshProcess(replace_here, path, id_, "by another")
    try:
        other.result(timeout=30)
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)
        parent.kill()
        other.kill()
    with make_store(path) as store:
        assert (store.load(id_).x, store.describe(id_).revision) == ("by another", 3)


def together(*calls):
    """Make calls at the same time, each in a thread; raise what one of them raises."""
    errors = []
    barrier = threading.Barrier(len(calls))

    def work(call):
        barrier.wait()
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("content", [b"", LARGE], ids=["small", "large"])
def test_labels_and_content_that_are_changed_at_once_are_both_kept(path, content):
    """An update never brings back content that was replaced meanwhile, nor the other way round."""
    times = 150 if not content else 40
    with make_store(path, durable=False) as one, make_store(path, durable=False) as other:
        id_ = one.save(Point(content, 0))

        def replace():
            for number in range(1, times + 1):
                one.replace(id_, Point(content, number))

        def update():
            for number in range(1, times + 1):
                other.update(id_, name=f"label {number}")

        together(replace, update)
        record = other.describe(id_)
        assert (record.name, record.revision) == (f"label {times}", times + 1)
        assert other.load(id_) == Point(content, times)
        other.verify(id_)
        assert len(payload_files(path)) == bool(content)
        assert temporary_files(path) == []


def change_both(path, ids, times):
    """Change two records as one batch, in the order given, again and again."""
    done = 0
    with make_store(path, durable=False) as store:
        while done < times:
            nodes = [store.load(id_) for id_ in ids]
            for node in nodes:
                node.value += 1
            try:
                store.save_many(nodes)
                done += 1
            except ConflictError:
                store.invalidate_cache()


def test_batches_in_opposite_orders_do_not_wait_for_each_other_forever(path):
    times = 150
    with make_store(path, durable=False) as store:
        ids = store.save_many([Node(0), Node(0)])
    changers = [FreshProcess(change_both, path, order, times) for order in (ids, ids[::-1])]
    try:
        for changer in changers:
            changer.result(timeout=60)
    finally:
        for changer in changers:
            changer.kill()
    with make_store(path) as store:
        assert [node.value for node in store.load_many(ids)] == [2 * times] * 2


def load_while_replaced(path, id_, nth, many):
    """Load an object that is replaced before this process opens its n-th file of the store; return what was loaded."""
    opened = []

    def hook(event, arguments):
        if event == "open" and str(arguments[0]).startswith(f"{path}{os.sep}"):
            opened.append(arguments[0])
            if len(opened) == nth:
                replacing.replace(id_, new)
                opened.extend(
                    [None] * 1000
                )  # what the replacement opened, and what comes now, is not counted

    with make_store(path, durable=False) as replacing, make_store(path, read_only=True) as store:
        new = np.full(400_000, 1)
        sys.addaudithook(hook)
        [array] = store.load_many([id_]) if many else [store.load(id_)]
        return set(array), len(opened) >= nth


@pytest.mark.parametrize("many", [False, True])
def test_a_large_object_is_read_whole_at_whichever_file_it_is_replaced(path, many):
    states = []
    for nth in range(1, 20):
        with make_store(path, durable=False) as store:
            id_ = store.save(np.full(400_000, 0))  # not in one piece with its record
        values, replaced = in_fresh_process(load_while_replaced, path, id_, nth, many)
        assert values in ({0}, {1})
        if not replaced:
            break
        states.append(values)
    assert len(states) > 1, "record and payload were to be opened one after the other"
    assert {1} in states
    assert not replaced
