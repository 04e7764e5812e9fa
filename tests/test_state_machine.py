"""Random histories of both stores against a plain model: dictionaries in memory.

The model knows, for each ID, what a load must give: the value, and for records that are
Persistables the IDs of what they refer to. Reopening, second store objects on the same
place and fresh copies are steps like any other.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from gc3store import ConflictError, DanglingReferenceError, ObjectNotFoundError, UnpicklableError
from gc3store.ids import number_of
from gc3store.testing import Node, Point

from .conftest import place_in

values = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
names = st.none() | st.sampled_from(["sweep", "Zürich", "a b"])


class StoreMachine(RuleBasedStateMachine):
    """Two store objects on one place; `kind` says which."""

    kind = "directory"

    ids = Bundle("ids")
    nodes = Bundle("nodes")

    def make_place(self):
        self.folder = Path(tempfile.mkdtemp(prefix="gc3store-machine-"))
        return place_in(self.folder, self.kind)

    @initialize()
    def open(self):
        self.place = self.make_place()
        self.stores = [self.place.open(durable=False), self.place.open(durable=False)]
        # By ID: a value, or (value, IDs of links) of a Node; labels; revision of nodes.
        self.plain: dict[str, object] = {}
        self.graph: dict[str, tuple[object, list[str]]] = {}
        self.labels: dict[str, tuple[str | None, tuple[str, ...]]] = {}
        self.highest = 0
        self.live: list[Node] = []

    def teardown(self):
        if hasattr(self, "place"):
            for store in self.place.opened:
                store.close()
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def exists(self, id_):
        return id_ in self.plain or id_ in self.graph

    def given(self, id_):
        assert number_of(id_) > self.highest, "an ID was given twice, or out of order"
        self.highest = number_of(id_)
        self.labels[id_] = (None, ())

    def store(self, second):
        return self.stores[bool(second)]

    # Plain objects.

    @rule(target=ids, value=values, name=names, second=st.booleans(), wrap=st.booleans())
    def save(self, value, name, second, wrap):
        obj = Point(value) if wrap else value
        id_ = self.store(second).save(obj, name=name)
        self.given(id_)
        self.plain[id_] = copy.deepcopy(obj)
        self.labels[id_] = (name, ())
        return id_

    @rule(target=ids, data=st.lists(values, max_size=4), second=st.booleans())
    def save_many(self, data, second):
        ids = self.store(second).save_many(data)
        for id_, value in zip(ids, data, strict=True):
            self.given(id_)
            self.plain[id_] = value
        return multiple(*ids)

    @rule(id_=ids, value=values, second=st.booleans())
    def replace(self, id_, value, second):
        if self.exists(id_):
            self.store(second).replace(id_, value)
            self.plain[id_] = value
            self.graph.pop(id_, None)
            self.live = [n for n in self.live if getattr(n, "persistent_id", None) != id_]
        else:
            with pytest.raises(ObjectNotFoundError):
                self.store(second).replace(id_, value)

    @rule(id_=ids, value=values, second=st.booleans())
    def change_a_loaded_object_and_save_it(self, id_, value, second):
        if isinstance(self.plain.get(id_), Point):
            obj = self.store(second).load(id_)
            obj.y = value
            assert self.store(second).save(obj) == id_
            self.plain[id_] = Point(self.plain[id_].x, value)

    @rule(id_=consumes(ids), second=st.booleans())
    def remove(self, id_, second):
        if self.exists(id_):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.store(second).remove(id_)
            self.plain.pop(id_, None)
            self.graph.pop(id_, None)
            self.labels.pop(id_)
        else:
            with pytest.raises(ObjectNotFoundError):
                self.store(second).remove(id_)

    @rule(id_=ids, name=names, tags=st.sets(st.sampled_from("abc")), second=st.booleans())
    def label(self, id_, name, tags, second):
        if self.exists(id_):
            self.store(second).update(id_, name=name, tags=sorted(tags))
            self.labels[id_] = (name, tuple(sorted(tags)))
        else:
            with pytest.raises(ObjectNotFoundError):
                self.store(second).update(id_, name=name)

    @rule(value=values, second=st.booleans(), id_=ids)
    def fail_to_save(self, value, second, id_):
        for call in (
            lambda: self.store(second).save([value, Node(value), (x for x in "abc")]),
            lambda: self.store(second).save(Node(value, Node(x for x in "abc"))),
            lambda: self.store(second).save_many([value, (x for x in "abc")]),
        ):
            with pytest.raises(UnpicklableError):
                call()
        # Of a batch, a directory may keep what comes before the object that cannot be saved.
        for kept in set(self.store(second).list()) - set(self.plain) - set(self.graph):
            assert not self.store(second).backend.atomic
            self.highest = max(self.highest, number_of(kept))
            self.store(second).remove(kept)

    # Graphs.

    def keep(self, node):
        """Note in the model what saving `node` has saved."""
        queue, seen = [node], {id(node)}
        for one in queue:
            if one.persistent_id not in self.graph and one.persistent_id not in self.plain:
                self.labels[one.persistent_id] = (None, ())
                self.highest = max(self.highest, number_of(one.persistent_id))
            self.plain.pop(one.persistent_id, None)
            self.graph[one.persistent_id] = (
                copy.deepcopy(one.value),
                [link.persistent_id for link in one.links],
            )
            for link in one.links:
                if id(link) not in seen:
                    seen.add(id(link))
                    queue.append(link)

    @rule(
        target=ids,
        data=st.lists(st.tuples(values, st.lists(st.integers(0, 4), max_size=3)), min_size=1, max_size=5),
    )
    def save_graph(self, data):
        nodes = [Node(value) for value, _ in data]
        for node, (_, links) in zip(nodes, data, strict=True):
            node.links = [nodes[i] for i in links if i < len(nodes)]
        id_ = self.stores[0].save(nodes[0])
        assert number_of(id_) > self.highest
        self.keep(nodes[0])
        self.live.append(nodes[0])
        return id_

    @precondition(lambda self: self.live)
    @rule(target=ids, pick=st.integers(0, 9), value=values, other=st.integers(0, 9), new=st.booleans())
    def change_a_graph_and_save_it(self, pick, value, other, new):
        root = self.live[pick % len(self.live)]
        link = Node("new") if new else self.live[other % len(self.live)]
        if not self.current(root) or (not new and not self.current(link)):
            return multiple()
        reached = _reached(root)
        reached[pick % len(reached)].value = value
        reached[other % len(reached)].links.append(link)
        self.stores[0].save(root)
        self.keep(root)
        return link.persistent_id

    def current(self, root):
        """Whether all that `root` reaches is as the model has it, so that it may be saved."""
        return all(
            getattr(n, "persistent_id", None) in self.graph
            and (n.value, [link.persistent_id for link in n.links]) == self.graph[n.persistent_id]
            and self.stores[0].load(n.persistent_id) is n
            for n in _reached(root)
            if self.complete(getattr(n, "persistent_id", None))
        ) and all(self.complete(getattr(n, "persistent_id", None)) for n in _reached(root))

    def complete(self, id_):
        """Whether everything that the record reaches is there, and still of Nodes."""
        queue, seen = [id_], {id_}
        for one in queue:
            if one not in self.graph:
                return False
            for link in self.graph[one][1]:
                if link not in seen:
                    seen.add(link)
                    queue.append(link)
        return True

    @rule(id_=ids, value=values)
    def outdated_instances_are_refused(self, id_, value):
        if not self.complete(id_):
            return
        mine = self.stores[0].load(id_)
        theirs = self.stores[1].load(id_)
        theirs.value = changed = [value, "theirs", theirs.value]  # never what it was before
        self.stores[1].save(theirs)
        mine.value = [value, "mine"]
        with pytest.raises(ConflictError):
            self.stores[0].save(mine)
        self.graph[id_] = (changed, self.graph[id_][1])
        assert self.stores[0].load(id_).value == changed

    # Looking.

    @rule(id_=ids, second=st.booleans(), fresh=st.booleans())
    def load(self, id_, second, fresh):
        store = self.store(second)
        if id_ in self.plain:
            assert store.load(id_, fresh=fresh) == self.plain[id_]
        elif id_ in self.graph:
            if not self.complete(id_):
                if self.dangles(id_):
                    with pytest.raises(DanglingReferenceError):
                        store.load(id_, fresh=fresh)
                return
            loaded = store.load(id_, fresh=fresh)
            assert fresh or store.load(id_) is loaded
            for node in _reached(loaded):
                assert (node.value, [n.persistent_id for n in node.links]) == self.graph[node.persistent_id]
        else:
            with pytest.raises(ObjectNotFoundError):
                store.load(id_)

    def dangles(self, id_):
        queue, seen = [id_], {id_}
        for one in queue:
            if not self.exists(one):
                return True
            for link in self.graph.get(one, (None, []))[1]:
                if link not in seen:
                    seen.add(link)
                    queue.append(link)
        return False

    @rule()
    def reopen(self):
        for store in self.stores:
            store.close()
        self.stores = [self.place.open(durable=False), self.place.open(durable=False)]
        self.live = []

    @rule(second=st.booleans())
    def invalidate(self, second):
        self.store(second).invalidate_cache()
        if not second:
            self.live = []

    @invariant()
    def the_ids_are_those_of_the_model(self):
        if not hasattr(self, "stores"):
            return
        expected = sorted([*self.plain, *self.graph], key=number_of)
        for store in self.stores:
            assert store.list() == expected
            assert len(store) == len(expected)
        found = {r.id: (r.name, tuple(r.tags)) for r in self.stores[0].records()}
        assert found == self.labels


def _reached(root):
    queue, seen = [root], {id(root)}
    for node in queue:
        for link in node.links:
            if id(link) not in seen:
                seen.add(id(link))
                queue.append(link)
    return queue


class SqliteMachine(StoreMachine):
    kind = "sqlite"


QUICK = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
LONG = settings(QUICK, max_examples=1000, stateful_step_count=60)

TestDirectory = StoreMachine.TestCase
TestDirectory.settings = QUICK
TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = QUICK


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [StoreMachine, SqliteMachine])
def test_long_histories(machine):
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(machine, settings=LONG)
