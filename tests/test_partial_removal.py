"""Removing several records of a directory when that fails in the middle: what is gone is gone, the rest is as it was.

Each record is a step there, so that the failure of one cannot undo what came before. The audit
hooks of a process of its own (`sys.addaudithook`) are where something gets in between.
"""

from __future__ import annotations

import errno
import os
import sys

import pytest

from gc3store import ObjectNotFoundError, StoreError, make_store
from gc3store.testing import Node, in_fresh_process


@pytest.fixture
def path(tmp_path):
    return tmp_path / "objects"


def before_removing(id_, act):
    """Call `act` before the file of a record is removed, once; what it raises comes instead of that."""
    waiting = [act]

    def hook(event, arguments):
        if event == "os.remove" and waiting and os.path.basename(arguments[0]) == f"{id_}.gc3":
            waiting.pop()()

    sys.addaudithook(hook)


def interrupt():
    raise KeyboardInterrupt


def refuse():
    raise OSError(errno.EIO, "the disk is broken")


def check(path, store, nodes, ids, gone):
    """Check that objects know whether they are stored, and that all of them can be saved afterwards."""
    assert store.list() == make_store(path).list() == [id_ for id_ in ids if id_ not in gone]
    known = [getattr(node, "persistent_id", None) for node in nodes]
    assert known == [None if id_ in gone else id_ for id_ in ids]
    for node, id_ in zip(nodes, ids, strict=True):
        node.value = f"saved after {node.value}"
        again = store.save(node)
        assert again not in gone
        assert again == id_ or id_ in gone
        assert store.load(again) is node
        assert make_store(path).load(again).value == node.value
    assert len(store) == len(ids)


def remove_disturbed(path, act, errors, gone):
    """Remove four records, with a disturbance before the third one; those whose places are given are gone then."""
    with make_store(path, durable=False) as store:
        nodes = [Node(n) for n in range(4)]
        ids = store.save_many(nodes)
        before_removing(ids[2], act)
        with pytest.raises(errors):
            store.remove_many(ids)
        check(path, store, nodes, ids, {ids[n] for n in gone})


@pytest.mark.parametrize(
    ("act", "errors"),
    [(refuse, StoreError), (interrupt, KeyboardInterrupt)],
    ids=["an error", "an interrupt"],
)
def test_a_disturbance_in_the_middle(path, act, errors):
    in_fresh_process(remove_disturbed, path, act, errors, {0, 1})


def remove_with_another(path):
    with make_store(path, durable=False) as store:
        nodes = [Node(n) for n in range(4)]
        ids = store.save_many(nodes)
        before_removing(ids[0], lambda: make_store(path, durable=False).remove(ids[2]))
        with pytest.raises(ObjectNotFoundError) as caught:
            store.remove_many(ids)
        assert caught.value.id == ids[2]
        check(path, store, nodes, ids, set(ids[:3]))


def test_one_that_somebody_else_removes_in_the_middle(path):
    in_fresh_process(remove_with_another, path)


def test_one_that_is_missing_from_the_beginning_keeps_all_others(path):
    with make_store(path, durable=False) as store:
        nodes = [Node(n) for n in range(4)]
        ids = store.save_many(nodes)
        make_store(path).remove(ids[2])
        with pytest.raises(ObjectNotFoundError) as caught:
            store.remove_many(ids)
        assert caught.value.id == ids[2]
        assert store.list() == [ids[0], ids[1], ids[3]]
        for n in (0, 1, 3):
            assert nodes[n].persistent_id == ids[n]
            assert store.load(ids[n]) is nodes[n]
