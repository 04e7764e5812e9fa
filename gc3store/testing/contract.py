"""The tests of the contract; see `gc3store.testing`."""

from __future__ import annotations

import copy
import math
import os
import pickle
import re
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gc3store.errors import (
    ConflictError,
    InvalidIdError,
    LoadError,
    ObjectNotFoundError,
    StoreError,
    UnpicklableError,
)
from gc3store.ids import number_of
from gc3store.testing.columns import ColumnsContract
from gc3store.testing.objects import Bomb, Interrupted, Node, Point
from gc3store.testing.processes import FreshProcess, in_fresh_process

__all__ = ["CAPABILITIES", "StoreContract"]

OpenStore = Callable[[], Any]

#: What a store may declare in `StoreContract.lacks`.
CAPABILITIES = {
    "by value": "C1: objects of classes and functions that cannot be imported by name",
    "identity": "C3: objects know their ID, and saving them again writes to it",
    "graphs": "C4: a Persistable inside another object is a record of its own",
    "freshness": "C7: live instances, and conflicts between outdated ones",
    "inert": "C9: no operation but `load` runs what a payload names",
    "threads": "C11: one store object used from many threads",
    "processes": "C11: several processes at once, forks, pickling the store",
    "damage": "C10: listing and removing what cannot be loaded",
}


def _samples() -> dict[str, Any]:
    """Return objects that come from nothing but the standard library and `gc3store.testing`."""
    return {
        "None": None,
        "small int": 3,
        "huge int": 7**5000,
        "float": 0.1,
        "infinity": -math.inf,
        "complex": 1j,
        "text": "Zürich \N{SNOWMAN} \0 \n",
        "surrogate": "\udc80",
        "empty text": "",
        "bytes": bytes(range(256)),
        "bytearray": bytearray(b"abc"),
        "list": [1, [2, [3]]],
        "empty list": [],
        "dict": {1: "one", "two": 2, (3,): {4}},
        "empty dict": {},
        "set": {1, 2, 3},
        "frozenset": frozenset("abc"),
        "tuple": (1, (2, ())),
        "range": range(3),
        "slice": slice(1, 2),
        "Ellipsis": ...,
        "type": int,
        "function": math.sqrt,
        "datetime": datetime(2026, 11, 23, 14, 19, tzinfo=UTC),
        "Decimal": Decimal("1.10"),
        "Fraction": Fraction(1, 3),
        "path": Path("/tmp/x"),
        "namespace": types.SimpleNamespace(a=1),
        "pattern": re.compile("a+"),
        "plain object": Point(1, [2]),
    }


def _differing(open_store: OpenStore, ids: Mapping[str, str]) -> list[str]:
    store, expected = open_store(), _samples()
    found = {name: store.load(id_) for name, id_ in ids.items()}
    store.close()
    return [n for n in ids if found[n] != expected[n] or type(found[n]) is not type(expected[n])]


def _load(open_store: OpenStore, id_: str, look: Callable[[Any], Any] | None = None) -> Any:
    store = open_store()
    try:
        obj = store.load(id_)
        return obj if look is None else look(obj)
    finally:
        store.close()


def _use(store: Any, id_: str) -> Any:
    try:
        return store.load(id_)
    finally:
        store.close()


def _list(open_store: OpenStore) -> list[str]:
    store = open_store()
    try:
        return list(store.list())
    finally:
        store.close()


def _save(open_store: OpenStore, values: list[Any]) -> list[str]:
    store = open_store()
    try:
        return [store.save(value) for value in values]
    finally:
        store.close()


def _remove(open_store: OpenStore, ids: list[str]) -> None:
    store = open_store()
    for id_ in ids:
        store.remove(id_)
    store.close()


def _replace(open_store: OpenStore, id_: str, obj: Any) -> None:
    store = open_store()
    store.replace(id_, obj)
    store.close()


def _change(open_store: OpenStore, id_: str, value: Any) -> None:
    store = open_store()
    obj = store.load(id_)
    obj.value = value
    store.save(obj)
    store.close()


def _meet_unloadable(open_store: OpenStore, id_: str, other: str) -> tuple[bool, BaseException | None, Any]:
    store = open_store()
    listed = id_ in store.list()
    error: BaseException | None = None
    try:
        store.load(id_)
    except LoadError as raised:
        error = raised
    rest = store.load(other)
    if store.offers("describe"):
        store.describe(id_)
    if store.offers("export") and store.offers("restore"):
        data = store.export(id_)
        store.remove(id_)
        assert store.restore(data) == id_
    store.remove(id_)
    store.close()
    return listed, error, rest


def _shape(node: Node) -> Any:
    """Describe a graph: value and links of each node, in the order in which they are met."""
    order: dict[int, int] = {id(node): 0}
    queue = [node]
    for one in queue:
        for link in one.links:
            if id(link) not in order:
                order[id(link)] = len(order)
                queue.append(link)
    return [(n.value, [order[id(link)] for link in n.links]) for n in queue]


class StoreContract(ColumnsContract):
    """The contract, C1 to C14; see the module."""

    #: What the store does not keep, each with the reason; see `CAPABILITIES`.
    lacks: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Return a callable that opens the store; each test's at a place of its own."""
        raise NotImplementedError("A store's test class supplies the fixture open_store.")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Iterator[Any]:
        """Give the store, opened once."""
        store = open_store()
        yield store
        store.close()

    @pytest.fixture
    def another(self, open_store: OpenStore) -> Iterator[Any]:
        """Give a second store object on the same place."""
        store = open_store()
        yield store
        store.close()

    def needs(self, *capabilities: str) -> None:
        """Skip the test if the store lacks one of `CAPABILITIES`."""
        for capability in capabilities:
            assert capability in CAPABILITIES
            if capability in self.lacks:
                pytest.skip(f"lacks {capability!r}: {self.lacks[capability]}")

    # C1 Any object.

    def test_c1_standard_objects_load_equal_in_a_fresh_process(
        self, store: Any, open_store: OpenStore
    ) -> None:
        ids = {name: store.save(obj) for name, obj in _samples().items()}
        assert in_fresh_process(_differing, open_store, ids) == []

    def test_c1_an_empty_tuple_in_itself(self, store: Any) -> None:
        looped: list[Any] = []
        looped.append(looped)
        loaded = store.load(store.save(looped))
        assert loaded[0] is loaded
        assert len(loaded) == 1

    def test_c1_lambdas_and_closures_load_in_a_fresh_process(self, store: Any, open_store: OpenStore) -> None:
        self.needs("by value")
        n = 3
        id_ = store.save(lambda x: x + n)
        assert in_fresh_process(_load, open_store, id_, lambda f: f(4)) == 7

    def test_c1_local_classes_load_in_a_fresh_process(self, store: Any, open_store: OpenStore) -> None:
        self.needs("by value")

        class Local:
            def double(self) -> Any:
                return 2 * self.x

            x: int

        obj = Local()
        obj.x = 21
        id_ = store.save(obj)
        assert in_fresh_process(_load, open_store, id_, lambda o: (o.double(), type(o).__name__)) == (
            42,
            "Local",
        )

    # C2 IDs.

    def test_c2_ids_are_texts_with_the_class_name_and_a_growing_number(self, store: Any) -> None:
        ids = [store.save(obj) for obj in (Point(), {"a": 1}, 3, Point())]
        assert [type(id_) for id_ in ids] == [str] * 4
        assert [id_.rpartition(".")[0] for id_ in ids] == ["Point", "dict", "int", "Point"]
        numbers = [number_of(id_) for id_ in ids]
        assert numbers == sorted(set(numbers))

    def test_c2_ids_of_removed_objects_are_not_given_again(self, store: Any, open_store: OpenStore) -> None:
        ids = [store.save(i) for i in range(4)]
        store.remove(ids[-1])
        store.remove(ids[0])
        later = [store.save("later"), *in_fresh_process(_save, open_store, ["in another process"])]
        assert min(map(number_of, later)) > max(map(number_of, ids))
        for id_ in (*ids, *later):
            if id_ not in (ids[0], ids[-1]):
                store.remove(id_)
        assert number_of(in_fresh_process(_save, open_store, [1])[0]) > max(map(number_of, later))

    def test_c2_list_is_in_the_order_of_saving(self, store: Any, open_store: OpenStore) -> None:
        self.offered(store, "list")
        assert list(store.list()) == []
        ids = [store.save(obj) for obj in (Point(), 1, "x", [2], *range(12))]
        assert list(store.list()) == ids
        store.remove(ids.pop(1))
        assert list(store.list()) == ids == in_fresh_process(_list, open_store)

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            ".",
            "..",
            "../x.1",
            "/etc/passwd",
            "Point.1/../../x",
            "Point.1\0",
            "Point.1\n",
            " Point.1",
            "Point.-1",
            "Point.1; DROP TABLE gc3store",
            "' OR 1=1 --",
            "x" * 300,
            "x" * 298 + ".1",
            "Point." + "9" * 300,
            "Point",
            "Point.01",
            "Point.1.gc3",
            None,
            1,
            b"Point.1",
            ["Point.1"],
        ],
        ids=lambda bad: repr(bad)[:20],
    )
    def test_c2_what_cannot_be_an_id_is_refused(self, store: Any, bad: Any) -> None:
        kept = store.save(Point(1, 2))
        calls: tuple[Callable[[], Any], ...] = (
            lambda: store.load(bad),
            lambda: store.replace(bad, 2),
            lambda: store.remove(bad),
            *([lambda: store.describe(bad)] if store.offers("describe") else []),
        )
        for call in calls:
            with pytest.raises(InvalidIdError, match="is not an ID") as caught:
                call()
            assert len(str(caught.value)) < 200
        if store.offers("list") and isinstance(bad, str):
            assert bad not in store
        assert store.load(kept) == Point(1, 2)

    # C3 The object knows its ID.

    def test_c3_a_saved_object_knows_its_id(self, store: Any) -> None:
        self.needs("identity")
        obj: Any
        for obj in (Point(1), Node(1)):
            assert not hasattr(obj, "persistent_id")
            id_ = store.save(obj)
            assert (obj.persistent_id, obj._id) == (id_, id_)

    def test_c3_a_loaded_object_knows_its_id(self, store: Any, open_store: OpenStore) -> None:
        self.needs("identity")
        for obj in (Point(1), Node(1)):
            id_ = store.save(obj)
            found = in_fresh_process(_load, open_store, id_, lambda o: (o.persistent_id, o._id))
            assert found == (id_, id_)

    def test_c3_saving_again_writes_to_the_same_id(self, store: Any, open_store: OpenStore) -> None:
        self.needs("identity")
        obj: Any
        for obj in (Point(1), Node(1)):
            id_ = store.save(obj)
            assert store.save(obj) == id_
            obj.x = "changed"
            assert store.save(obj) == id_
            assert in_fresh_process(_load, open_store, id_, lambda o: o.x) == "changed"

    def test_c3_copies_are_new_records(self, store: Any) -> None:
        self.needs("identity")
        obj: Any
        for obj in (Point(1), Node(1)):
            id_ = store.save(obj)
            for twin in (copy.copy(obj), copy.deepcopy(obj)):
                assert store.save(twin) != id_
            assert obj.persistent_id == id_

    def test_c3_the_attributes_are_no_part_of_the_payload(self, store: Any) -> None:
        self.needs("identity")
        point = Point(1)
        store.save(point)
        inner = store.load(store.save([point]))[0]
        assert vars(inner) == {"x": 1, "y": 0}

    def test_c3_types_with_a_meaning_of_their_own_are_not_told(self, store: Any) -> None:
        self.needs("identity", "by value")

        class Recording:
            def __setattr__(self, name: str, value: Any) -> None:
                raise AssertionError("an attribute was set")

        def function() -> None: ...

        namespace = types.SimpleNamespace(a=1)
        for obj in (namespace, Recording(), Recording, function, datetime(2026, 1, 1, tzinfo=UTC)):
            store.load(store.save(obj))
            assert not hasattr(obj, "persistent_id")
            assert not hasattr(obj, "_id")

    def test_c3_ones_own_underscore_id_stays(self, store: Any) -> None:
        self.needs("identity")
        point = Point()
        point._id = "mine"  # type: ignore[attr-defined]
        id_ = store.save(point)
        assert (point._id, point.persistent_id) == ("mine", id_)  # type: ignore[attr-defined]
        assert store.load(id_)._id == "mine"

    # C4 Object graphs.

    def test_c4_a_persistable_inside_is_a_record_of_its_own(self, store: Any, open_store: OpenStore) -> None:
        self.needs("graphs")
        child = Node("child")
        root = store.save({"first": child, "again": [child]})
        assert store.load(child.persistent_id).value == "child"
        look = in_fresh_process(
            _load, open_store, root, lambda d: (d["first"] is d["again"][0], d["first"].persistent_id)
        )
        assert look == (True, child.persistent_id)

    @pytest.mark.parametrize("kind", ["pair", "self", "diamond", "shared between roots", "ring of 50"])
    def test_c4_graphs_keep_their_shape(self, store: Any, open_store: OpenStore, kind: str) -> None:
        self.needs("graphs")
        root = Node("root")
        if kind == "pair":
            root.links = [Node("other", root)]
        elif kind == "self":
            root.links = [root, root]
        elif kind == "diamond":
            bottom = Node("bottom")
            root.links = [Node("left", bottom), Node("right", bottom)]
        elif kind == "shared between roots":
            shared = Node("shared")
            store.save(Node("first", shared))
            root.links = [shared]
        else:
            last = root
            for i in range(50):
                last.links = [Node(i)]
                last = last.links[0]
            last.links = [root]
        id_ = store.save(root)
        assert in_fresh_process(_load, open_store, id_, _shape) == _shape(root)

    def test_c4_depth_is_not_bounded_by_the_recursion_limit(self, store: Any, open_store: OpenStore) -> None:
        self.needs("graphs")
        root: Node = Node(0)
        for i in range(1, 2 * sys.getrecursionlimit()):
            root = Node(i, root)
        id_ = store.save(root)
        assert in_fresh_process(_load, open_store, id_, lambda n: len(_shape(n))) == root.value + 1

    def test_c4_changed_parts_are_saved_with_the_root(self, store: Any, open_store: OpenStore) -> None:
        self.needs("graphs")
        leaf = Node([0])
        root = Node("root", Node("middle", leaf))
        id_ = store.save(root)
        leaf.value.append(1)
        store.save(root)
        assert in_fresh_process(_load, open_store, leaf.persistent_id, lambda n: n.value) == [0, 1]
        loaded = store.load(id_)
        loaded.links[0].links[0].value.append(2)
        store.save(loaded)
        assert in_fresh_process(_load, open_store, leaf.persistent_id, lambda n: n.value) == [0, 1, 2]

    # C5 Whole.

    def test_c5_batches_and_batches_of_nothing(self, store: Any) -> None:
        """Several at once are as one after the other; an empty call is not an error."""
        assert (store.save_many([]), list(store.load_many([])), store.remove_many([])) == ([], [], None)
        ids = store.save_many([[1], {2: 3}])
        assert list(store.load_many(ids)) == [[1], {2: 3}]
        assert (store.save_many([]), list(store.load_many([])), store.remove_many([])) == ([], [], None)
        store.remove_many(ids[:1])
        with pytest.raises(ObjectNotFoundError):
            store.load(ids[0])
        assert store.load(ids[1]) == {2: 3}

    @pytest.mark.parametrize("flaw", [(x for x in "abc"), Interrupted()], ids=["unpicklable", "Ctrl-C"])
    def test_c5_a_failed_save_or_replace_changes_nothing(
        self, store: Any, open_store: OpenStore, flaw: Any
    ) -> None:
        kept = store.save(Point(1, 2))
        expected: tuple[type[BaseException], ...] = (StoreError, KeyboardInterrupt)
        calls: tuple[Callable[[], Any], ...] = (
            lambda: store.save([Node("new"), flaw]),
            lambda: store.replace(kept, [Node("new"), flaw]),
        )
        for call in calls:
            with pytest.raises(expected):
                call()
        if store.offers("list"):
            assert list(store.list()) == [kept] == in_fresh_process(_list, open_store)
        assert in_fresh_process(_load, open_store, kept) == Point(1, 2)

    def test_c5_a_failed_graph_leaves_no_ids_in_memory(self, store: Any) -> None:
        self.needs("graphs")
        child, flawed = Node("child"), Node(x for x in "abc")
        root = Node("root", child, flawed)
        with pytest.raises(UnpicklableError):
            store.save(root)
        assert [hasattr(n, "persistent_id") for n in (root, child, flawed)] == [False] * 3
        if store.offers("list"):
            assert list(store.list()) == []
        flawed.value = None
        assert store.load(store.save(root)) is root

    # C7 Fresh.

    def test_c7_load_gives_the_live_instance_of_a_persistable(self, store: Any) -> None:
        self.needs("freshness")
        node = Node(1)
        id_ = store.save(node)
        assert store.load(id_) is node
        assert store.load(id_, fresh=True) is not node

    def test_c7_other_objects_are_copies_on_every_load(self, store: Any) -> None:
        value = [1]
        id_ = store.save(value)
        value.append(2)
        first = store.load(id_)
        first.append(3)
        assert store.load(id_) == [1]

    def test_c7_what_another_process_changed_is_seen(self, store: Any, open_store: OpenStore) -> None:
        self.needs("freshness")
        node = Node(1)
        id_ = store.save(node)
        in_fresh_process(_change, open_store, id_, 2)
        newer = store.load(id_)
        assert (newer.value, newer is node, node.value) == (2, False, 1)

    def test_c7_saving_an_outdated_instance_is_a_conflict(self, store: Any, another: Any) -> None:
        self.needs("freshness")
        node = Node(1)
        id_ = store.save(node)
        theirs = another.load(id_)
        theirs.value = "theirs"
        another.save(theirs)
        node.value = "ours"
        with pytest.raises(ConflictError, match="load it again") as caught:
            store.save(node)
        assert (caught.value.id, caught.value.expected, caught.value.found) == (id_, 1, 2)
        assert store.load(id_).value == "theirs"

    def test_c7_replacing_and_removing_elsewhere_is_seen(self, store: Any, open_store: OpenStore) -> None:
        id_ = store.save([1])
        in_fresh_process(_replace, open_store, id_, [2])
        assert store.load(id_) == [2]
        in_fresh_process(_remove, open_store, [id_])
        with pytest.raises(ObjectNotFoundError):
            store.load(id_)

    # C8 One error tree.

    def test_c8_a_missing_id_is_the_same_error_everywhere(self, store: Any) -> None:
        gone = store.save(1)
        store.remove(gone)
        never = "Point.987654321"
        for id_ in (gone, never):
            calls: tuple[Callable[[str], Any], ...] = (
                lambda i: store.load(i),
                lambda i: store.replace(i, 2),
                lambda i: store.remove(i),
                lambda i: store[i],
                lambda i: store.__delitem__(i),
                *([lambda i: store.__setitem__(i, 2)] if store.offers("list") else []),
                *([lambda i: store.describe(i)] if store.offers("describe") else []),
            )
            for call in calls:
                with pytest.raises(ObjectNotFoundError) as caught:
                    call(id_)
                assert isinstance(caught.value, KeyError)
                assert caught.value.id == id_
                assert id_ in str(caught.value)
        if store.offers("list"):
            assert list(store.list()) == []

    def test_c8_what_cannot_be_pickled_is_named_with_its_path(self, store: Any) -> None:
        with pytest.raises(UnpicklableError, match=r"obj\['raw'\]\[1\]\.x\b.*generator") as caught:
            store.save({"raw": [0, Point(x for x in "abc")]})
        assert isinstance(caught.value, TypeError)
        assert caught.value.path == "obj['raw'][1].x"
        assert caught.value.cause is not None

    # C9 Looking is free of side effects, C10 Unloadable is not lost.

    def test_c9_only_load_runs_what_a_payload_names(self, store: Any, another: Any, tmp_path: Path) -> None:
        self.needs("inert")
        mark = tmp_path / "exploded"
        id_ = store.save(Bomb(str(mark)))
        for looking in (store, another):
            repr(looking), looking._repr_html_()
            if looking.offers("list"):
                len(looking), id_ in looking, list(looking)
            for method in ("describe", "verify", "references", "referrers"):
                if looking.offers(method):
                    getattr(looking, method)(id_)
            for method in ("list", "table"):
                if looking.offers(method):
                    getattr(looking, method)()
            if looking.offers("records"):
                list(looking.records())
        assert not mark.exists()
        store.load(id_)
        assert mark.exists()

    def test_c10_an_object_without_its_class_hinders_nothing(
        self, store: Any, open_store: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.needs("damage")
        self.offered(store, "list")
        (tmp_path / "vanishing_module.py").write_text("class Vanishing:\n    pass\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path)
            import vanishing_module  # type: ignore[import-not-found]

            id_ = store.save(vanishing_module.Vanishing())
        monkeypatch.delitem(sys.modules, "vanishing_module")
        other = store.save("other")
        listed, error, rest = in_fresh_process(_meet_unloadable, open_store, id_, other)
        assert (listed, rest) == (True, "other")
        assert isinstance(error, LoadError)
        assert (error.id, id_ in str(error), "vanishing_module" in str(error)) == (id_, True, True)
        assert list(store.list()) == [other]

    # C11 Threads, forks, processes.

    def test_c11_many_threads_use_one_store(self, store: Any) -> None:
        self.needs("threads")
        barrier = threading.Barrier(8)

        def work(i: int) -> list[str]:
            barrier.wait()
            ids = [store.save([i, j]) for j in range(5)]
            assert [store.load(id_) for id_ in ids] == [[i, j] for j in range(5)]
            store.replace(ids[0], [i, "replaced"])
            store.remove(ids[1])
            return ids

        with ThreadPoolExecutor(8) as pool:
            given = list(pool.map(work, range(8)))
        assert len({id_ for ids in given for id_ in ids}) == 40
        for i, ids in enumerate(given):
            assert store.load(ids[0]) == [i, "replaced"]
        if store.offers("list"):
            assert set(store.list()) == {id_ for ids in given for id_ in (ids[0], *ids[2:])}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
    def test_c11_a_store_survives_a_fork(self, store: Any) -> None:
        self.needs("processes")
        before = store.save("before")
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that this process has threads
            pid = os.fork()
        if pid == 0:
            try:
                id_ = store.save("child")
                os.write(writing, f"{id_} {store.load(before)}".encode())
            finally:
                os._exit(0)
        os.close(writing)
        mine = store.save("parent")
        with os.fdopen(reading) as pipe:
            theirs, loaded = pipe.read().split()
        os.waitpid(pid, 0)
        assert loaded == "before"
        assert len({before, mine, theirs}) == 3
        assert [store.load(id_) for id_ in (mine, theirs)] == ["parent", "child"]

    def test_c11_several_processes_write_at_once(self, open_store: OpenStore) -> None:
        self.needs("processes")
        workers = [FreshProcess(_save, open_store, [[w, i] for i in range(10)]) for w in range(3)]
        given = [worker.result() for worker in workers]
        assert len({id_ for ids in given for id_ in ids}) == 30
        with open_store() as store:
            for w, ids in enumerate(given):
                assert [store.load(id_) for id_ in ids] == [[w, i] for i in range(10)]

    def test_c11_a_store_pickles_to_another_process(self, store: Any) -> None:
        self.needs("processes")
        id_ = store.save("here")
        again = pickle.loads(pickle.dumps(store))
        assert again.load(id_) == "here"
        again.close()
        assert in_fresh_process(_use, store, id_) == "here"

    # C12 Secrets stay secret: what has a password is tested where the URL can have one.

    # C13 Size.

    @pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**20 - 1, 2**20 + 1, 9 * 2**20])
    def test_c13_sizes_around_every_limit_of_ours(self, store: Any, open_store: OpenStore, size: int) -> None:
        data = os.urandom(1024) * (size // 1024 + 1)
        obj = {"bytes": data[:size], "array": bytearray(data[:size]), "text": "x" * size}
        id_ = store.save(obj)
        assert store.load(id_) == obj
        store.replace(id_, "small")
        assert store.load(id_) == "small"
        store.replace(id_, obj)
        assert in_fresh_process(_load, open_store, id_) == obj

    # C14 No silent options.

    def test_c14_misspelt_keywords_are_errors(self, store: Any) -> None:
        id_ = store.save(1)
        calls: tuple[Callable[[], Any], ...] = (
            lambda: store.save(2, nmae="x"),
            lambda: store.load(id_, frehs=True),
            lambda: store.replace(id_, 2, nmae="x"),
            lambda: store.remove(id_, recursiv=True),
            *([lambda: store.list(stat="NEW")] if store.offers("list") else []),
        )
        for call in calls:
            with pytest.raises((TypeError, StoreError)) as caught:
                call()
            assert re.search("nmae|frehs|recursiv|stat", str(caught.value))
        assert store.load(id_) == 1
        if store.offers("list"):
            assert list(store.list()) == [id_]

    # The decisions of section 2a that hold for any store.

    def test_2a_an_empty_store_is_true(self, store: Any) -> None:
        assert bool(store) is True

    def test_2a_replace_stores_a_copy(self, store: Any) -> None:
        id_ = store.save([1])
        value = [2]
        store.replace(id_, value)
        value.append(3)
        assert store.load(id_) == [2]

    def test_2a_replace_takes_any_other_type(self, store: Any, open_store: OpenStore) -> None:
        id_ = store.save(Point(1))
        for obj in ({"a": 1}, None, Point(2), "text"):
            store.replace(id_, obj)
            assert store.load(id_) == obj
        assert in_fresh_process(_load, open_store, id_) == "text"

    def test_2a_the_mapping_protocol(self, store: Any) -> None:
        self.offered(store, "list")
        id_ = store.save("a")
        store[id_] = "b"
        assert (store[id_], len(store), list(store), id_ in store) == ("b", 1, [id_], True)
        del store[id_]
        assert (len(store), list(store), id_ in store) == (0, [], False)

    def test_2a_labels_change_nothing_else(self, store: Any) -> None:
        self.offered(store, "update", "describe", "find")
        first, second = store.save([1], name="sweep"), store.save([2], name="sweep", tags=["a"])
        assert store.find("sweep") == [second, first]
        before = store.describe(first)
        store.update(first, name="other", tags=["x", "y"])
        after = store.describe(first)
        assert (after.name, after.tags, after.revision, after.modified) == (
            "other",
            ("x", "y"),
            before.revision,
            before.modified,
        )
        assert store.find("sweep") == [second]
        assert store.load(first) == [1]
