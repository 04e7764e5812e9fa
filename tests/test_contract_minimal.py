"""The contract, as far as a store of just the four abstract methods can keep it."""

from __future__ import annotations

from functools import partial

import pytest

from gc3store import NotSupportedError, make_store, register
from gc3store.testing import CAPABILITIES, StoreContract

from .minimal import FourMethods, WithList

PLAIN = "it pickles each object by itself"


class TestFourMethods(StoreContract):
    lacks = {
        "by value": "it pickles by name",
        "identity": PLAIN,
        "graphs": PLAIN,
        "freshness": PLAIN,
        "threads": "it counts without a lock",
        "processes": "it counts without a lock",
        "damage": "it says what pickle says",
    }

    @pytest.fixture
    def open_store(self, tmp_path):
        return partial(FourMethods, f"minimal://{tmp_path}/objects")


class TestFourMethodsAndList(TestFourMethods):
    @pytest.fixture
    def open_store(self, tmp_path):
        return partial(WithList, f"minimal://{tmp_path}/objects")


def test_every_gap_is_one_that_can_be_declared():
    assert set(TestFourMethods.lacks) <= set(CAPABILITIES)


def test_what_is_missing_is_said_plainly(tmp_path):
    register("minimal", FourMethods)
    store = make_store(f"minimal://{tmp_path}/objects")
    id_ = store.save([1])
    for call in (
        store.list,
        store.table,
        store.transaction,
        store.records,
        lambda: store.describe(id_),
        lambda: store.find("x"),
        lambda: store.update(id_, name="x"),
        lambda: store.export(id_),
        lambda: store.restore(b""),
        lambda: store.verify(id_),
        lambda: store.references(id_),
        lambda: store.referrers(id_),
        lambda: len(store),
        lambda: id_ in store,
        lambda: iter(store),
    ):
        with pytest.raises(NotSupportedError, match=r"FourMethods store does not offer \w+\(\)") as caught:
            call()
        assert isinstance(caught.value, NotImplementedError)


def test_the_original_optional_methods_do_nothing(tmp_path):
    store = FourMethods(f"minimal://{tmp_path}/objects")
    assert store.invalidate_cache() is store.pre_fork() is store.post_fork() is store.close() is None
    with store as entered:
        assert entered is store


def test_batches_follow_from_single_calls(tmp_path):
    store = WithList(f"minimal://{tmp_path}/objects")
    ids = store.save_many([1, "two", [3]])
    assert list(store.load_many(ids[::-1])) == [[3], "two", 1]
    store.remove_many(ids[1:])
    assert store.list() == list(store) == ids[:1]


def test_items_can_be_set_where_nothing_can_be_listed(tmp_path):
    store = FourMethods(f"minimal://{tmp_path}/objects")
    id_ = store.save(1)
    store[id_] = 2
    assert store[id_] == 2
    del store[id_]
    with pytest.raises(KeyError):
        store[id_]
