"""Objects whose classes are missing: saved again as the bytes that they were loaded from, or refused."""

import copy
import pickle
import sys
import types
import warnings

import numpy as np
import pytest

import gc3store
from gc3store import make_store
from gc3store.errors import UnpicklableError

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


class Present(gc3store.Persistable):
    """A class that is always there."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


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
    source = store.backend.read_one(id_).open()
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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "method"])
def test_a_change_is_refused_until_it_is_undone(kind, url, model, tmp_path):
    with make_store(url) as store:
        id_ = store.save(model.MADE[kind]())
        before = {i: store.export(i) for i in store.list()}
    with gone(), make_store(url) as store, make_store(tmp_path / "other") as other:
        found = store.load(id_, missing="placeholder")
        found.note = "new"
        for save in (store.save, other.save, lambda obj: store.replace(id_, obj)):
            with pytest.raises(UnpicklableError, match=r": obj is a placeholder for gone_kinds\.") as caught:
                save(found)
            assert caught.value.path == "obj"
            assert caught.value.missing.startswith("gone_kinds.")
        assert {i: store.export(i) for i in store.list()} == before
        assert other.list() == []
        del found.note
        assert store.save(found) == id_
        assert {i: store.export(i) for i in store.list()} == before


def test_a_change_of_what_a_placeholder_holds_is_refused(url, model):
    with make_store(url) as store:
        id_ = store.save(model.Record(items=[1], part=model.Plain(a={"b": 1}), more=model.AList([1])))
        before = store.export(id_)
    with gone(), make_store(url) as store:
        for change in (
            lambda obj: obj.items.append(2),
            lambda obj: obj.part.a.update(b=2),
            lambda obj: vars(obj.part).pop("a"),
            lambda obj: obj.more.append(2),
            lambda obj: setattr(obj, "part", None),
        ):
            found = store.load(id_, missing="placeholder")
            change(found)
            with pytest.raises(UnpicklableError, match=r"obj is a placeholder for gone_kinds\.Record"):
                store.save(found)
        assert store.export(id_) == before


def test_other_records_of_the_graph_are_saved(url, model):
    with make_store(url) as store:
        id_ = store.save(Present(part=model.Record(a=1), note="old"))
        part = store.load(id_).part.persistent_id
        before = store.export(part)
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        found.note = "new"
        assert store.save(found) == id_
        assert store.export(part) == before
        found.part.a = 2
        with pytest.raises(UnpicklableError, match=r"obj\.part is a placeholder for gone_kinds\.Record"):
            store.save(found)
    with make_store(url) as store:
        found = store.load(id_)
        assert (found.note, found.part.a) == ("new", 1)


def test_a_real_object_that_was_loaded_with_placeholders_is_not_saved_without(url, model):
    with make_store(url) as store:
        id_ = store.save(Present(parts=[model.Plain(a=1), model.function]))
        before = store.export(id_)
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        assert store.save(found) == id_
        found.note = "new"
        with pytest.raises(UnpicklableError, match=r"obj\.parts\[0\] is a placeholder for gone_kinds\.Plain"):
            store.save(found)
        found.parts = []
        with pytest.raises(
            UnpicklableError, match=r"obj was loaded with a placeholder for gone_kinds\.Plain"
        ):
            store.save(found)
        assert store.export(id_) == before


#: Objects that contain placeholders, none of which is a record, and the path of the first.
CONTAINERS = {
    "a list": (lambda m: [1, m.Plain(a=1)], "obj[1]", "Plain"),
    "a dict": (lambda m: {"one": [m.Data()]}, "obj['one'][0]", "Data"),
    "a key": (lambda m: {m.Point(1, 2): 1}, "obj.keys()[", "Point"),
    "a tuple": (lambda m: (m.Colour.RED,), "obj[0]", "Colour"),
    "a class": (lambda m: [m.Outer.Inner], "obj[0]", "Outer.Inner"),
    "a function": (lambda m: [m.function], "obj[0]", "function"),
    "a method": (lambda m: {"f": m.Outer().method}, "obj['f']", "Outer.method"),
    "no ascii": (lambda m: [m.Größe()], "obj[0]", "Größe"),
    "a large stream": (
        lambda m: [[str(i) * 1000 for i in range(4000)], m.Plain()],
        "obj[1]",
        "Plain",
    ),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_contains_a_placeholder_is_refused(kind, url, model):
    make, path, name = CONTAINERS[kind]
    with make_store(url) as store:
        id_ = store.save(make(model))
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        with pytest.raises(UnpicklableError, match="which is missing here") as caught:
            store.save(found)
        assert caught.value.path.startswith(path)
        assert caught.value.missing == f"gone_kinds.{name}"
        with pytest.raises(UnpicklableError) as caught:
            store.save(Present(found=found))
        assert caught.value.path.startswith(path.replace("obj", "obj.found"))
        with pytest.raises(UnpicklableError):
            store.save_many([1, found])
        assert store.list() == [id_]


def test_what_only_resembles_a_placeholder_is_saved(url, model):
    with make_store(url) as store:
        id_ = store.save(model.Plain(a=1))
    with gone(), make_store(url) as store:
        assert "placeholder" in repr(store.load(id_, missing="placeholder"))
        text = ["gc3store.persistable", "named", "_missing_attribute"]
        assert store.load(store.save([text, str(text)])) == [text, str(text)]
        records = [Present(), store.load(id_, missing="placeholder")]
        assert store.load(store.save(records[0])).persistent_id


def test_a_class_that_got_a_new_name_is_saved_with_changes(url, model, request):
    with make_store(url) as store:
        id_ = store.save(model.Plain(a=1))
    request.addfinalizer(lambda: gc3store.rename("gone_kinds.Plain", None))
    gc3store.rename("gone_kinds.Plain", f"{__name__}.Present")
    with gone(), make_store(url) as store:
        found = store.load(id_)
        assert type(found) is Present
        found.a = 2
        store.replace(id_, found)
        assert store.load(id_).a == 2


def test_copies_hold_the_same_and_are_refused(url, model):
    with make_store(url) as store:
        record = model.Record(a=[1], slots=model.slotted(model.Both, a=1, c=3), point=model.Point(1, 2))
        record.self = record
        id_ = store.save(record)
    with gone(), make_store(url) as store:
        found = store.load(id_, missing="placeholder")
        for clone in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
            assert repr(clone.slots) == repr(found.slots)
            assert (clone.a, clone.point[1]) == ([1], 2)
        for clone in (copy.copy(found), copy.deepcopy(found)):
            with pytest.raises(UnpicklableError, match=r"obj is a placeholder for gone_kinds\.Record"):
                store.save(clone)
        assert store.list() == [id_]


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
            assert store.save(found) == id_  # with its ID in an attribute, as GC3Pie wants it
            kept = (tmp_path / id_).read_bytes()
            with make_store(tmp_path / "other" / id_) as other:
                other.save(store.load(id_, missing="placeholder"))
            found.note = "new"
            with pytest.raises(UnpicklableError, match="obj is a placeholder"):
                store.save(found)
            assert (tmp_path / id_).read_bytes() == kept
    for kind in kinds:
        with make_store(tmp_path / "other" / f"{kind.replace(' ', '_')}.1") as other:
            assert content(other.load(other.list()[0])) == content(model.MADE[kind]())


def test_graphs_of_gc3pie_are_kept(model, monkeypatch, tmp_path):
    persistence = pytest.importorskip("gc3libs.persistence")
    for name in ("Parent", "Child"):
        base = persistence.serialization.Persistable
        monkeypatch.setattr(model, name, type(name, (base,), {"__module__": "gone_kinds"}), raising=False)
    child, parent = model.Child(), model.Parent()
    child.a, parent.child, parent.again = 1, child, child
    id_ = str(persistence.make_store(f"file://{tmp_path}/theirs").save(parent))
    before = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    with gone(), make_store(tmp_path / "theirs") as store, make_store(tmp_path / "other") as other:
        found = store.load(id_, missing="placeholder")
        assert store.save(found) == id_
        copied = other.save(store.load(id_, missing="placeholder"))
        found.child.a = 2
        with pytest.raises(UnpicklableError, match=r"obj\.child is a placeholder for gone_kinds\.Child"):
            store.save(found)
        assert {name: (tmp_path / "theirs" / name).read_bytes() for name in before} == before
    with make_store(tmp_path / "other") as other:
        found = other.load(copied)
        assert (type(found), type(found.child), found.child.a) == (model.Parent, model.Child, 1)
        assert found.again is found.child
        assert len(other.list()) == 2


def test_records_elsewhere_say_what_they_are(url, model, tmp_path):
    with make_store(url) as store:
        made = [model.Plain, model.Outer().method, model.Plain(a=1), model.Record()]
        ids = [store.save(obj) for obj in made]
        classes = [store.describe(id_).cls for id_ in ids]
    with gone(), make_store(url) as store, make_store(tmp_path / "other") as other:
        copies = [other.save(store.load(id_, missing="placeholder")) for id_ in ids]
        assert [other.describe(id_).cls for id_ in copies] == classes
        assert copies == ids


def test_what_refers_to_something_removed_cannot_be_saved(url, model):
    with make_store(url) as store:
        part = model.Record(a=1)
        ids = [store.save(model.Record(part=part)), store.save(Present(part=part))]
        with pytest.warns(gc3store.DanglingReferenceWarning):
            store.remove(part.persistent_id)
    with gone(), make_store(url) as store:
        for id_ in ids:
            found = store.load(id_, missing="placeholder")
            assert "no longer in the store" in repr(found.part)
            with pytest.raises(
                UnpicklableError, match=r"obj\.part refers to (Record\.)?2, which is no longer"
            ):
                store.save(found)
        found.part = None
        store.save(found)
        assert store.load(ids[1]).part is None


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
