"""Ctrl-C at lines of this package that a save, a replacement, a removal or a load comes by; at every one under soak."""

from __future__ import annotations

import warnings
from contextlib import suppress
from itertools import count, product

import pytest

from gc3store.filesystem.staging import DETACH
from gc3store.testing import Node

from .interrupting import interrupted

# An interrupt that comes while an object is collected is printed, and goes no further.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def graph(value, data=b""):
    root = Node(value, Node(value))
    root.data = root.links[0].data = data
    return root


def values(store, id_):
    node = store.load(id_, fresh=True)
    return node.value, node.links[0].value


def known(objects):
    return [id_ for obj in objects if (id_ := getattr(obj, "persistent_id", None)) is not None]


#: In which modules, and at every how manieth line there. Where steps begin and end each line is tried;
#: the other stride is a prime, so that no loop is met at the same lines only.
STEPS = (
    "gc3store.engine.transaction",
    "gc3store.engine.record_store",
    "gc3store.engine.writer",
    "gc3store.engine.identity",
    "gc3store.sql.backend",
    "gc3store.sql.session",
    "gc3store.filesystem.backend",
    "gc3store.filesystem.staging",
    "gc3store.support.files",
)
EVERYWHERE = ("gc3store.",)


@pytest.mark.parametrize(
    ("modules", "stride"),
    [
        pytest.param(STEPS, 1, id="steps"),
        pytest.param(EVERYWHERE, 13, id="everywhere"),
        pytest.param(EVERYWHERE, 1, id="every line", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
@pytest.mark.parametrize(
    ("action", "data"),
    [
        *product(["save", "save again", "save version", "save many", "transaction"], [b""]),
        *product(["replace", "replace it", "remove", "load"], [b""]),
        pytest.param("save again", bytes(DETACH), id="save again, large"),
    ],
)
def test_wherever_it_comes(place, action, data, modules, stride):
    """What others see is the state before or the state after, and both stores go on as if nothing had been."""
    options = {"durable": False} | ({"timeout": 2} if place.kind == "sqlite" else {})
    store, other = place.open(**options), place.open(**options)
    kept = graph("kept")
    kept_id = store.save(kept)
    root = graph(0, data)
    id_ = store.save(root)
    root_ids = set(store.list())
    changes_root = action in ("save again", "save version", "save many", "replace it", "transaction")
    whole = place.kind == "sqlite" or not changes_root

    def transaction():
        with store.transaction():
            store.save(root)
            store.save(new)

    for number in count(1, stride):
        new, removed = graph(number, data), set()
        old = values(other, id_)
        match action:
            case "save":
                going_on = interrupted(modules, number, store.save, new)
            case "replace":
                going_on = interrupted(modules, number, store.replace, kept_id, new)
            case "remove":
                removed = {store.save(new)}
                going_on = interrupted(modules, number, store.remove, *removed)
            case "load":
                store.invalidate_cache()
                going_on = interrupted(modules, number, store.load, id_)
                root = store.load(id_)
            case _:
                root.value = root.links[0].value = number
                call = {
                    "save again": (store.save, root),
                    "save version": (store.save_version, root),
                    "save many": (store.save_many, [root, new]),
                    "replace it": (store.replace, id_, root),
                    "transaction": (transaction,),
                }[action]
                options = {"name": "version"} if action == "save version" else {}
                going_on = interrupted(modules, number, *call, **options)
        # What another process sees.
        ids = set(other.list())
        for each in sorted(ids - root_ids):
            other.load(each, fresh=True)
        assert set(known([new, new.links[0]])) <= ids | removed
        if place.kind == "sqlite" and action in ("save", "save many", "transaction"):  # nor is it saved twice
            assert set(known([new, new.links[0]])) == ids - root_ids - {kept_id}
        with warnings.catch_warnings(action="ignore"):  # a part goes before the whole
            other.remove_many(sorted(ids - root_ids))
        seen = values(other, id_)
        assert set(seen) <= {old[0], number}
        if whole:
            assert len(set(seen)) == 1, (number, seen)
        # Nobody is kept waiting, and the interrupted store is fit for use.
        other.remove(other.save("others can write"))
        assert values(store, id_) == seen
        if place.kind == "sqlite":  # a step is still one
            with suppress(ZeroDivisionError), store.transaction():
                store.remove(kept_id)
                1 / 0
            assert kept_id in other
        assert store.load(id_) is root  # which was told what it is
        root.value = root.links[0].value = f"{number} again"
        assert store.save(root) == id_  # and this is no conflict
        assert values(other, id_) == (f"{number} again",) * 2
        if not going_on:
            break
    assert number > 20 or place.kind != "sqlite"
