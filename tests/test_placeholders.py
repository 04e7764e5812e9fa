"""Objects whose classes are missing: saved again as they were, with their changes, and never quietly without."""

import io
import pickle
import sys
import types
import warnings

import numpy as np
import pytest

import gc3store
from gc3store import make_store
from gc3store.errors import SaveError

SOURCE = """
import collections, dataclasses, enum
import gc3store
import numpy as np

Point = collections.namedtuple("Point", "x y")

class Colour(enum.Enum):
    RED = 1
    BLUE = "b"

class Right(enum.Flag):
    READ = 1
    WRITE = 2

class Mode(enum.IntFlag):
    A = 1
    B = 2

class ADict(dict): pass
class AList(list): pass
class ASet(set): pass
class AFrozenSet(frozenset): pass
class AnInt(int): pass
class AText(str): pass
class ATuple(tuple): pass
class SomeBytes(bytes): pass
class Empty: pass

class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

class Record(gc3store.Persistable):
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

class RecordList(gc3store.Persistable, list):
    pass

@dataclasses.dataclass
class Data:
    a: int = 1
    b: str = "x"

@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    a: int = 1
    b: str = "x"

class Slots:
    __slots__ = ("a", "b")

class Both(Slots):
    pass

class Trouble(Exception):
    pass

class Stated:
    def __init__(self, state):
        self.state = state
    def __getstate__(self):
        return self.state
    def __setstate__(self, state):
        self.state = state

class Outer:
    class Inner:
        def __init__(self, **attributes):
            self.__dict__.update(attributes)
    def method(self):
        return 7

class Größe:
    pass

class AnArray(np.ndarray):
    pass

def function():
    pass

def slotted(cls, **values):
    made = cls()
    for name, value in values.items():
        setattr(made, name, value)
    return made

def raised():
    trouble = Trouble("bad", 3)
    trouble.code = 7
    return trouble

def odd():
    made = Plain()
    vars(made).update({1: "one", "a": 2})
    return made

MADE = {
    "namedtuple": lambda: Point(1, 2),
    "enum": lambda: Colour.BLUE,
    "flag": lambda: Right.READ | Right.WRITE,
    "int flag": lambda: Mode.A | Mode.B,
    "dict": lambda: ADict(k=1),
    "dict with attributes": lambda: slotted(ADict, a=1),
    "list": lambda: AList([1, 2]),
    "empty list": lambda: AList(),
    "set": lambda: ASet([1, 2]),
    "frozenset": lambda: AFrozenSet([1, 2]),
    "int": lambda: AnInt(3),
    "text": lambda: AText("q"),
    "tuple": lambda: ATuple([1, 2]),
    "bytes": lambda: SomeBytes(b"q"),
    "empty": lambda: Empty(),
    "plain": lambda: Plain(a=1),
    "an _id of its own": lambda: Plain(_id="mine"),
    "a persistent_id of its own": lambda: Plain(persistent_id="mine", _id="mine", a=1),
    "odd keys": lambda: odd(),
    "nested": lambda: Outer.Inner(a=1),
    "no ascii": lambda: Größe(),
    "record": lambda: Record(a=1),
    "empty record": lambda: Record(),
    "method": lambda: Outer().method,
    "with methods": lambda: Plain(f=Outer().method, g=Outer.method, h=Outer.Inner),
    "array": lambda: np.arange(3).view(AnArray),
    "records": lambda: Record(a=Record(b=Point(1, 2)), c=Empty()),
    "record that is a list": lambda: RecordList([1, 2]),
    "data": lambda: Data(2, "q"),
    "frozen": lambda: Frozen(2, "q"),
    "slots": lambda: slotted(Slots, a=1),
    "slots and attributes": lambda: slotted(Both, a=1, c=3),
    "exception": lambda: raised(),
    **{f"the state {state!r}": (lambda state=state: Stated(state)) for state in (
        0, "", b"", (), [], {}, False, 7, (1, 2), ({"a": 1}, 2), (None, None), ({"a": 1}, {"a": 2}), {1: 2, "a": 3},
    )},
}
"""

model_of = types.ModuleType("gone_kinds")
exec(SOURCE, model_of.__dict__)
KINDS = list(model_of.MADE)
#: What keeps its state in a form that nothing but its class can change.
OPAQUE = {
    "frozen",
    "array",
    *(
        f"the state {state!r}"
        for state in (0, "", b"", (), [], False, 7, (1, 2), ({"a": 1}, 2), (None, None), ({"a": 1}, {"a": 2}))
    ),
}
#: What cannot have attributes at all, or not more than it has, even where its class is known.
FIXED = {"namedtuple", "slots", "method"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["directory", "database"])
def url(request, tmp_path):
    return str(tmp_path / "store") if request.param == "directory" else f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def model(monkeypatch):
    """A module with classes of many kinds, which can be taken away."""
    monkeypatch.setitem(sys.modules, "gone_kinds", model_of)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield model_of


class gone:
    """For as long as it is entered, the module cannot be imported."""

    def __enter__(self):
        self.module = sys.modules.pop("gone_kinds")

    def __exit__(self, *_):
        sys.modules["gone_kinds"] = self.module


def content(obj):
    """Return what can be compared of an object of one of the kinds."""
    known = {k: v for k, v in getattr(obj, "__dict__", {}).items() if k != "_gc3store_identity"}
    if not isinstance(obj, gc3store.Persistable):
        persistent = known.pop("persistent_id", None)
        if known.get("_id") == persistent:
            known.pop("_id", None)
    slots = {k: getattr(obj, k) for k in ("a", "b") if k not in known and hasattr(obj, k)}
    if callable(obj):
        return type(obj), obj.__qualname__
    inner = (
        repr(obj) if isinstance(obj, (tuple, list, set, frozenset, dict, str, bytes, np.ndarray)) else None
    )
    value = int(obj) if isinstance(obj, int) else getattr(obj, "args", None)
    known = {
        k: content(v) if callable(v) or type(v).__module__ == "gone_kinds" else repr(v)
        for k, v in known.items()
    }
    return type(obj), known, slots, inner, value, getattr(obj, "value", None)


def payload(store, id_):
    source = store._fetch(id_).open()
    return bytes(source.stream.read() if hasattr(source.stream, "read") else source.stream)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_unchanged_is_written_as_it_was(kind, url, model, tmp_path):
    with make_store(url) as store:
        id_ = store.save(model.MADE[kind]())
        ids = store.list()
        before = {i: (store.export(i), store.describe(i).revision, payload(store, i)) for i in ids}
        expected = content(store.load(id_, fresh=True))
    with gone(), make_store(url) as store:
        for _ in range(2):  # as often as one likes
            found = store.load(id_, missing="placeholder")
            assert store.save(found) == id_
            assert store.save(found) == id_
        assert store.list() == ids
        assert {i: (store.export(i), store.describe(i).revision, payload(store, i)) for i in ids} == before
        with make_store(tmp_path / "other") as other:
            copy = other.save(store.load(id_, missing="placeholder"))
            assert payload(other, copy) == before[id_][2]
            assert sorted(payload(other, i) for i in other.list()) == sorted(b for _, _, b in before.values())
    for url_, i in ((url, id_), (tmp_path / "other", copy)):
        with make_store(url_) as store:
            assert content(store.load(i)) == expected


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FIXED])
def test_a_change_is_written_or_refused(kind, url, model):
    with make_store(url) as store:
        id_ = store.save(model.MADE[kind]())
        before = {i: store.export(i) for i in store.list()}
        expected = content(store.load(id_, fresh=True))
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        found.note = "new"
        if kind in OPAQUE:
            with pytest.raises(SaveError, match="change of note cannot be saved"):
                store.save(found)
            assert {i: store.export(i) for i in store.list()} == before
            del found.note
            assert store.save(found) == id_
            assert {i: store.export(i) for i in store.list()} == before
            return
        assert store.save(found) == id_
        assert store.load(id_, missing="placeholder").note == "new"
        assert store.describe(id_).revision == 2
        assert "gc3store.pickling.placeholders" not in {entry.module for entry in store.imports(id_)}
    with make_store(url) as store:
        found = store.load(id_)
        if kind.startswith("the state"):
            assert found.state == {**model.MADE[kind]().state, "note": "new"}
            return
        assert found.note == "new"
        del found.note
        if kind != "a persistent_id of its own":  # it was told that of the store
            assert content(found) == expected


def test_a_changed_attribute_is_where_it_was(url, model):
    with make_store(url) as store:
        ids = [
            store.save(model.MADE[kind]()) for kind in ("slots", "slots and attributes", "odd keys", "data")
        ]
    with gone(), make_store(url) as store:
        for id_ in ids:
            found = store.load(id_, missing="placeholder")
            found.a = 99
            if id_ == ids[1]:
                del found.c
            store.save(found)
    with make_store(url) as store:
        slots, both, odd, data = map(store.load, ids)
        assert slots.a == both.a == odd.a == data.a == 99
        assert not hasattr(both, "c")
        assert vars(odd)[1] == "one"
        assert data == model.Data(99, "q")


def test_all_attributes_can_be_taken_away(url, model):
    with make_store(url) as store:
        plain, stated, record = (
            store.save(obj) for obj in (model.Plain(a=1), model.Stated({"a": 1}), model.Record(a=1))
        )
    with gone(), make_store(url) as store:
        for id_ in (plain, stated, record):
            found = store.load(id_, missing="placeholder")
            del found.a
            store.save(found)
    with make_store(url) as store:
        assert not hasattr(store.load(plain), "a")
        assert not hasattr(store.load(record), "a")
        assert store.load(stated).state == {}


# In containers, which are new records.

CONTAINERS = {
    "a list": lambda m: [m.Plain(a=1), m.Plain],
    "several": lambda m: [
        m.Plain(a=1),
        m.Point(1, 2),
        m.Plain(a=2),
        m.Point,
        m.function,
        {"named": 1},
    ],
    "a dict": lambda m: {"one": m.Plain(a=1), "named": m.function, "two": [m.Data(), m.Frozen()]},
    "a tuple": lambda m: (m.Colour.RED, m.Right.READ, m.AList([m.Empty()])),
    "a set": lambda m: {m.Point(1, 2)},
    "nested": lambda m: [m.Outer.Inner(a=1), m.Outer, m.Outer.Inner],
    "no ascii": lambda m: [m.Größe, m.Größe()],
    "records": lambda m: [m.Record(a=1), m.Record(b=m.Plain())],
    "many": lambda m: [m.Plain(**{f"a{i}": [i]}) for i in range(300)],
    "in the middle": lambda m: [
        b"gc3store.pickling.placeholders",
        m.Plain(a="in gc3store.pickling.placeholders", named="x"),
    ],
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_are_written_as_they_were(kind, url, model):
    with make_store(url) as store:
        id_ = store.save(CONTAINERS[kind](model))
        before = payload(store, id_)
    with gone(), make_store(url) as store:
        copy = store.save(store.load(id_, missing="placeholder"))
        assert (copy == id_) == (kind == "a set")  # which can be told from an equal one
        assert payload(store, copy) == before
        if kind == "records":
            assert store.describe(copy).references == store.describe(id_).references
    with make_store(url) as store:
        assert repr(list(map(type, store.load(copy)))) == repr(list(map(type, CONTAINERS[kind](model))))


def test_plain_unpicklers_read_what_is_written(url, model):
    with make_store(url) as store:
        id_ = store.save([model.Plain(a=1), model.Plain, model.Outer.Inner(a=1), model.Größe])
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        found[0].b = found[2]
        changed = payload(store, store.save(found))
    plain, cls, inner, name = pickle.Unpickler(io.BytesIO(changed)).load()
    assert (cls, type(inner), name) == (model.Plain, model.Outer.Inner, model.Größe)
    assert plain.b is inner
    assert vars(inner) == {"a": 1}


def test_a_changed_record_still_refers_to_others(url, model):
    with make_store(url) as store:
        part = model.Record(a=1)
        id_ = store.save(
            model.Record(parts=[part, {"again": part}], empty=model.Record(), rest=model.Empty())
        )
        ids = store.list()
        references = store.describe(id_).references
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        assert found.parts[0].persistent_id in ids
        found.b = 2
        found.parts[0].a = 7
        assert store.save(found) == id_
        assert store.list() == ids
        assert store.describe(id_).references == references
    with make_store(url) as store:
        found = store.load(id_)
        assert found.b == 2
        assert found.parts[0].a == 7
        assert found.parts[1]["again"] is found.parts[0]
        assert type(found.empty) is model.Record


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read_and_kept(protocol, model, tmp_path):
    pytest.importorskip("gc3libs")
    kinds = ("plain", "empty", "nested", "with methods", "dict with attributes", "exception", "data")
    for kind in kinds:
        obj = model.MADE[kind]()
        (tmp_path / f"{kind.replace(' ', '_')}.1").write_bytes(pickle.dumps(obj, protocol))
    (tmp_path / "int.1").write_bytes(pickle.dumps(3, 2))  # by which it is known as GC3Pie's
    with gone(), make_store(tmp_path) as store:
        assert type(store).__module__ == "gc3store.gc3pie.directory"
        for id_ in set(store.list()) - {"int.1"}:
            found = store.load(id_, missing="placeholder")
            assert store.save(found) == id_
            found.note = "new"
            assert store.save(found) == id_
    for kind in kinds:
        found = pickle.loads((tmp_path / f"{kind.replace(' ', '_')}.1").read_bytes())
        assert found.note == "new"
        del found.note, found.persistent_id
        assert content(found)[2:] == content(model.MADE[kind]())[2:]
        assert vars(found).keys() == vars(model.MADE[kind]()).keys()
        if kind == "with methods":
            assert (found.f(), found.g, found.h) == (7, model.Outer.method, model.Outer.Inner)


def test_records_elsewhere_say_what_they_are(url, model, tmp_path):
    with make_store(url) as store:
        made = [model.Plain, model.Outer().method, model.Plain(a=1), model.Record()]
        ids = [store.save(obj) for obj in made]
        classes = [store.describe(id_).cls for id_ in ids]
    with gone(), make_store(url) as store, make_store(tmp_path / "other") as other:
        copies = [other.save(store.load(id_, missing="placeholder")) for id_ in ids]
        assert [other.describe(id_).cls for id_ in copies] == classes
        assert copies == ids


@pytest.mark.parametrize("size", [0, 1, 60_000, 65_500, 65_520, 65_535, 65_536, 70_000, 200_000])
def test_large_containers_are_written_as_they_were(size, model, tmp_path):
    made = [
        model.Plain(text="x" * size, data=b"y" * (size // 3), mutable=bytearray(size // 2)),
        *[
            model.Plain(n=n, point=model.Point(n, {n: (n, "t", n, n), -n: frozenset([n])}))
            for n in range(900)
        ],
        [[str(n)] for n in range(9000)],
        model.Plain(array=np.arange(size), last=model.ASet(range(1000)), texts=tuple(map(str, range(9000)))),
        {n: model.Empty() for n in range(900)},
    ]
    with make_store(tmp_path / "store") as store:
        # Once loaded: then texts that are equal in the type of an array are objects of their own.
        id_ = store.save(store.load(store.save(made)))
        before = payload(store, id_)
        assert before.count(b"\x95") > 2
        with gone():
            copy = store.save(store.load(id_, missing="placeholder"))
        assert payload(store, copy) == before


def test_large_streams_name_the_classes_too(url, model):
    with make_store(url) as store:
        id_ = store.save(model.Plain(texts=[str(i) * 1000 for i in range(4000)]))
        assert len(payload(store, id_)) > gc3store.pickling.SPOOL
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        found.texts[7] = "changed"
        store.save(found)
        assert [entry.path for entry in store.imports(id_)] == ["gone_kinds.Plain"]
    with make_store(url) as store:
        found = store.load(id_)
        assert type(found) is model.Plain
        assert found.texts[7] == "changed"


# What cannot be written can still be looked at.


def test_what_cannot_be_saved_can_be_loaded(url, model):
    with make_store(url) as store:
        part = model.Record(a=1)
        id_ = store.save(model.Record(part=part, rest=model.Empty()))
        with pytest.warns(gc3store.DanglingReferenceWarning):
            store.remove(part.persistent_id)
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        assert "no longer in the store" in repr(found.part)
        with pytest.raises(SaveError, match="which is gone"):
            store.save(found)
        found.part = None
        store.save(found)
    with make_store(url) as store:
        assert store.load(id_).part is None


# What is shown.


def test_circles_are_shown_in_bounded_time(url, model):
    with make_store(url) as store:
        nodes = [model.Plain() for _ in range(6)]
        for node in nodes:
            node.others = list(nodes)
            node.by_name = {f"n{i}": other for i, other in enumerate(nodes)}
            node.record = model.Record(back=node)
        id_ = store.save(nodes[0])
        shared = model.Plain()
        for _ in range(60):
            shared = model.Plain(left=shared, right=[shared, (shared,)])
        dag = store.save(shared)
        record, other = model.Record(n=1), model.Record()
        record.me, record.other, other.record = record, other, record
        circle = store.save(record)
    with gone(), make_store(url) as store:
        for i in (id_, dag, circle):
            found = store.load(i, missing="placeholder")
            assert len(repr(found)) < 1000
            assert len(repr([found] * 3)) < 3000
        assert repr(found) == (
            "<placeholder for gone_kinds.Record: {'n': 1, 'me': <placeholder for gone_kinds.Record ...>, "
            "'other': <placeholder for gone_kinds.Record ...>}>"
        )
        assert repr(found) == repr(found)


def test_what_is_shown_is_what_was_stored(url, model):
    with make_store(url) as store:
        ids = {
            kind: store.save(model.MADE[kind]()) for kind in ("namedtuple", "frozen", "list", "dict", "plain")
        }
    with gone(), make_store(url) as store:
        shown = {kind: repr(store.load(id_, missing="placeholder")) for kind, id_ in ids.items()}
    assert shown == {
        "namedtuple": "<placeholder for gone_kinds.Point: {'(args)': (1, 2)}>",
        "frozen": "<placeholder for gone_kinds.Frozen: {'(state)': [2, 'q']}>",
        "list": "<placeholder for gone_kinds.AList: {'(items)': [1, 2]}>",
        "dict": "<placeholder for gone_kinds.ADict: {'(pairs)': [('k', 1)]}>",
        "plain": "<placeholder for gone_kinds.Plain: {'a': 1}>",
    }


def test_displays_of_notebooks_and_tables_end(url, model):
    import pandas as pd
    from IPython.core.formatters import DisplayFormatter
    from IPython.lib.pretty import pretty

    with make_store(url) as store:
        first, second = model.Plain(), model.Plain()
        first.x = first.y = second.x = second.y = [first, second]
        id_ = store.save(first)
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        assert len(pretty([found, found.x])) < 2000
        data, _ = DisplayFormatter().format(found)
        assert list(data) == ["text/plain"]
        frame = pd.DataFrame({"object": [found, found.x[1]]})
        assert "placeholder" in frame.to_html()
        assert "placeholder" in repr(frame)
