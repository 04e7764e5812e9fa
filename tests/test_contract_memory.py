"""The contract, kept by a backend in memory: the model for authors of backends."""

from __future__ import annotations

import inspect
import time
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from gc3store.testing import FreshProcess, Node, StoreContract
from tests import memory_backend

from .interrupting import interrupted
from .memory_backend import MemoryStore
from .memory_place import Place


@pytest.fixture
def open_memory():
    place = Place()
    yield partial(MemoryStore, place.url)
    place.close()


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self, open_memory):
        return open_memory


def test_the_model_is_short():
    assert len(inspect.getsource(memory_backend).splitlines()) <= 250


def stay_in_a_transaction(open_store, mark):
    store = open_store()
    with store.transaction():
        store.save("never committed")
        Path(mark).touch()
        time.sleep(600)


def test_what_a_killed_process_has_not_committed_is_gone(open_memory, tmp_path):
    """And others, which waited for it, go on; the number is not given again."""
    store, mark = open_memory(), tmp_path / "mark"
    first = store.save(1)
    process = FreshProcess(stay_in_a_transaction, open_memory, str(mark))
    try:
        while not mark.exists():
            time.sleep(0.01)
        assert store.list() == [first]
    finally:
        process.kill()
    second = store.save(3)
    assert store.list() == [first, second] == ["int.1", "int.3"]


def test_a_transaction_is_seen_by_others_when_it_is_committed(open_memory):
    store, other = open_memory(), open_memory()
    kept = store.save(Node("kept"))
    with store.transaction():
        id_ = store.save([1], name="new")
        store.replace(kept, Node("replaced"))
        assert (store.load(id_), store.load(kept, fresh=True).value) == ([1], "replaced")
        assert (other.list(), other.load(kept).value) == ([kept], "kept")
    assert (other.find("new"), other.load(kept).value) == ([id_], "replaced")


def test_wherever_an_interrupt_comes(open_memory):
    """A save is made or not, and the object knows which; the store goes on."""
    store, other = open_memory(), open_memory()
    for number in count(1):
        root = Node("root", Node("part"))
        before = other.list()
        was_interrupted = interrupted(("tests.memory_backend",), number, store.save, root)
        added = [id_ for id_ in other.list() if id_ not in before]
        known = [getattr(node, "persistent_id", None) for node in (root, root.links[0])]
        assert sorted(added) == sorted(id_ for id_ in known if id_), number
        assert len(added) in (0, 2)
        assert other.load(store.save(root)).links[0].value == "part"
        if not was_interrupted:
            break
    assert number > 30
