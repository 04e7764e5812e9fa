"""States that are set in unusual ways, or hold unusual texts, are shown whole: in what is inspected, and in tables."""

import sys
import types

import pytest

from gc3store import inspection
from tests.raw_streams import KINDS, RawStore, called, named, short

SOURCE = """
import gc3store

calls = []

class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

class Record(gc3store.Persistable):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

def put(obj, state):
    calls.append(state)
    for name, value in (state.items() if isinstance(state, dict) else [("state", state)]):
        setattr(obj, name, value)

class BySetter(Plain):
    def __reduce__(self):
        return BySetter, (), dict(vars(self)), None, None, put

class WithSlots(Plain):
    __slots__ = ("slot",)

    def __reduce__(self):
        return WithSlots, (), (dict(vars(self)), {"slot": self.slot}), None, None, put_both

def put_both(obj, state):
    calls.append(state)
    obj.__dict__.update(state[0])
    obj.slot = state[1]["slot"]

class ListBySetter(list):
    def __reduce__(self):
        return ListBySetter, (), dict(vars(self)), iter(self), None, put
"""


@pytest.fixture
def states(monkeypatch):
    module = types.ModuleType("states")
    exec(SOURCE, module.__dict__)
    monkeypatch.setitem(sys.modules, "states", module)
    return module


@pytest.fixture(params=KINDS)
def raw(request, tmp_path):
    raw = RawStore(tmp_path, request.param)
    yield raw
    raw.close()


def paths(store, cls):
    """Return what `attributes` tells of a class: the types by path."""
    found = store.attributes()
    found = found[found["cls"] == f"states.{cls}"]
    return dict(zip(found["path"], found["types"], strict=True))


def test_what_a_function_sets_is_shown(store, states):
    inner = states.BySetter(energy=-1.5)
    ids = [store.save(states.BySetter(size=n, results={"n": n}, inner=inner)) for n in range(5)]
    states.calls.clear()
    shown = store.inspect(ids[3])
    assert (shown.size, shown.results["n"], shown.inner.energy) == (3, 3, -1.5)
    assert set(vars(shown)) == {"size", "results", "inner"}
    table = store.table(columns=[".size", "results.n", "inner.energy"])
    assert table.loc[ids].values.tolist() == [[n, n, -1.5] for n in range(5)]
    assert paths(store, "BySetter") == {
        "size": "int",
        "results": "dict",
        "results.n": "int",
        "inner": "states.BySetter",
        "inner.energy": "float",
    }
    assert "states.put" in {entry.path for entry in store.imports(ids[0])}
    for part in ("size=3", "energy=-1.5"):
        assert part in inspection.text(shown)
    assert not states.calls
    assert store.load(ids[3]).inner.energy == -1.5
    assert len(states.calls) == 2


def test_slots_and_items_beside_what_a_function_sets(store, states):
    slots = states.WithSlots(size=1)
    slots.slot = "s"
    listing = states.ListBySetter([1, 2])
    listing.size = 3
    id_ = store.save([slots, listing])
    states.calls.clear()
    shown = store.inspect(id_)
    assert (shown[0].size, shown[0].slot) == (1, "s")
    assert (list(shown[1]), shown[1].size) == ([1, 2], 3)
    assert store.table(columns=["[0].slot", "[1].size"]).loc[id_].tolist() == ["s", 3]
    assert not states.calls


def test_a_state_that_is_no_dictionary_is_shown(store, states):
    class_ = states.BySetter
    made = class_()
    made.__class__.__reduce__ = lambda self: (class_, (), ("a", 7), None, None, states.put)
    shown = store.inspect(store.save([made]))[0]
    assert inspection.parts(shown).state == ("a", 7)


def test_the_last_of_several_states_holds(raw):
    state = b"}(" + short("a") + b"K\x01" + short("b") + b"K\x02u"
    made = b"\x80\x04" + named("states", "Plain") + b")\x81\x94" + state + b"b"
    setter = called(named("states", "put"), b"h\x00", b"}" + short("b") + b"K\x03s") + b"0"
    shown = raw.inspect(made + setter + b"h\x00.")
    assert vars(shown) == {"a": 1, "b": 3}
    # A function that is given more than a state: all that it is given.
    setter = called(named("states", "put"), b"h\x00", b"K\x04", b"K\x05") + b"0"
    shown = raw.inspect(made + setter + b"h\x00.")
    assert vars(shown) == {"a": 1, "b": 2}
    assert inspection.parts(shown).states[-1][1:] == (4, 5)


# Lone surrogates: file names that are not UTF-8 have them, and texts of Python 2.

ODD = "\udcff", "a\ud800b", "\udfff\U0001f600"


def test_texts_of_lone_surrogates_in_states(store, states):
    ids = [
        store.save(states.Plain(**{f"x{odd}": n, "label": odd, "inner": {odd: [odd]}}))
        for n, odd in enumerate([*ODD, "plain"])
    ]
    for id_, odd in zip(ids, [*ODD, "plain"], strict=True):
        loaded, shown = store.load(id_), store.inspect(id_)
        for found in (loaded, shown):
            attributes = {k: v for k, v in vars(found).items() if k not in ("_id", "persistent_id")}
            assert attributes == {f"x{odd}": ids.index(id_), "label": odd, "inner": {odd: [odd]}}
        inspection.text(shown).encode("utf-8", "backslashreplace")
        store.verify(id_)
        assert store.restore(store.export(id_)) != id_
    for _ in range(2):  # the second time, as it is cached
        table = store.table(columns=["label"])
        assert table.loc[ids, "label"].tolist() == [*ODD, "plain"]
    found = set(paths(store, "Plain"))
    assert {"label", "inner", *(f'["x{odd}"]' for odd in ODD)} <= found


def test_attributes_are_counted_where_names_hold_surrogates(store, states):
    for n in range(3):
        store.save(states.Plain(**{"x\udcff": n, "size": n}))
    table = store.attributes().set_index("path")
    assert table["count"].to_dict() == {'["x\udcff"]': 3, "size": 3}
    assert table["of"].tolist() == [3, 3]


@pytest.mark.parametrize("where", ["state", "execution.state", "execution._state"])
@pytest.mark.parametrize("odd", ODD)
def test_states_of_jobs_with_surrogates(store, states, where, odd):
    first, _, name = where.rpartition(".")
    inner = {name: odd}
    task = states.Record(execution=states.Plain(**inner)) if first else states.Record(**inner)
    id_ = store.save(task)
    other = store.save(states.Record(state="NEW"))
    # Of the catalogue it is a text that can be shown, printed and searched for.
    state = store.describe(id_).state
    state.encode()
    assert state == odd.encode("utf-8", "backslashreplace").decode()
    assert store.list(state=state) == [id_]
    assert store.list(state="NEW") == [other]
    assert store.facets("state") == {state: 1, "NEW": 1}
    assert store.table(columns=["state"]).loc[id_, "state"] == state
    # In the object it is what it was.
    del task
    store.invalidate_cache()
    loaded = store.load(id_)
    holder = loaded.execution if first else loaded
    assert getattr(holder, name) == odd
    setattr(holder, name, "TERMINATED")
    store.save(loaded)
    assert store.describe(id_).state == "TERMINATED"
