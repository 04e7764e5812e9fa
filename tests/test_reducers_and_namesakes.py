"""How a class is pickled may change between two saves, and two classes may have one name."""

import copyreg
import subprocess
import sys
import types

import pytest

from gc3store.errors import SaveError

SOURCE = """
import gc3store

class Plain:
    def __init__(self, size):
        self.size = size

class Record(gc3store.Persistable):
    def __init__(self, size):
        self.size = size

class Text(str):
    pass

def rebuilt(cls, size):
    made = cls.__new__(cls)
    made.size, made.by = size, "reducer"
    return made
"""


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("reduced")
    exec(SOURCE, made.__dict__)
    monkeypatch.setitem(sys.modules, "reduced", made)
    return made


@pytest.fixture
def register(monkeypatch):
    """Register a reducer with `copyreg`, until the test ends."""

    def register(cls, reducer):
        monkeypatch.setitem(copyreg.dispatch_table, cls, reducer)

    return register


def reducer_of(module):
    return lambda obj: (module.rebuilt, (type(obj), obj.size))


def names(store, id_):
    return {entry.path for entry in store.imports(id_)}


@pytest.mark.parametrize("holder", ["alone", "in a list", "in a record"])
@pytest.mark.parametrize("cls", ["Plain", "Record"])
def test_a_reducer_that_is_registered_later_holds_from_then_on(
    store, module, register, monkeypatch, cls, holder
):
    made = getattr(module, cls)

    def save(size):
        obj = made(size)
        if holder == "in a list":
            store.save([obj, 1])
        elif holder == "in a record":
            outer = module.Record(0)
            outer.inner = obj
            store.save(outer)
        return obj, (store.save(obj) if holder == "alone" or cls == "Record" else store.list()[-1])

    def found(id_):
        loaded = store.load(id_, fresh=True)
        if cls == "Plain":
            loaded = loaded[0] if holder == "in a list" else getattr(loaded, "inner", loaded)
        return loaded.size, getattr(loaded, "by", "attributes")

    kept = [save(n) for n in (1, 2)]
    register(made, reducer_of(module))
    kept += [save(n) for n in (3, 4)]
    monkeypatch.delitem(copyreg.dispatch_table, made)
    kept.append(save(5))
    by = ["attributes", "attributes", "reducer", "reducer", "attributes"]
    assert [found(id_) for _, id_ in kept] == list(zip(range(1, 6), by, strict=True))
    assert ["reduced.rebuilt" in names(store, id_) for _, id_ in kept] == [b == "reducer" for b in by]


def test_an_object_that_was_saved_is_written_by_the_new_reducer(store, module, register):
    record, plain = module.Record(1), module.Plain(1)
    ids = [store.save(record), store.save(plain)]
    for cls in (module.Record, module.Plain):
        register(cls, reducer_of(module))
    record.size = plain.size = 2
    assert [store.save(record), store.save(plain)] == ids
    for id_ in ids:
        loaded = store.load(id_, fresh=True)
        assert (loaded.size, loaded.by) == (2, "reducer")
        assert "reduced.rebuilt" in names(store, id_)


def test_a_reducer_for_what_could_not_be_saved(store, module, register):
    class Handle:
        def __reduce_ex__(self, protocol):
            raise TypeError("a handle cannot be pickled")

    obj = module.Plain(Handle())
    with pytest.raises(SaveError):
        store.save(obj)
    register(Handle, lambda handle: (module.Text, ("handle",)))
    assert store.load(store.save(obj)).size == "handle"


# Two classes of one name.


def test_classes_of_one_name_in_two_modules(store, monkeypatch):
    made = {}
    for name in ("one_module", "other_module"):
        module = types.ModuleType(name)
        exec(SOURCE, module.__dict__)
        monkeypatch.setitem(sys.modules, name, module)
        made[name] = module
    ids = [store.save(made[name].Record(n)) for n, name in enumerate([*made, *made])]
    ids.append(store.save([made[name].Plain(n) for n, name in enumerate(made)]))
    assert [id_.partition(".")[0] for id_ in ids] == ["Record"] * 4 + ["list"]
    assert store.list(cls="Record") == ids[:4]
    assert store.list(cls="one_module.Record") == [ids[0], ids[2]]
    assert store.list(cls=made["other_module"].Record) == [ids[1], ids[3]]
    assert store.facets("cls") == {"one_module.Record": 2, "other_module.Record": 2, "builtins.list": 1}
    store.invalidate_cache()
    for id_, name in zip(ids, [*made, *made], strict=False):
        assert type(store.load(id_)) is made[name].Record
    assert [type(obj).__module__ for obj in store.load(ids[4])] == list(made)
    counted = store.attributes().groupby("cls", sort=False)["of"].first()
    assert counted[["one_module.Record", "other_module.Record"]].tolist() == [2, 2]
    assert store.table(columns=["cls", ".size"]).loc[ids[:4]].values.tolist() == [
        [f"{name}.Record", n] for n, name in enumerate([*made, *made])
    ]


@pytest.mark.parametrize("cls", ["Plain", "Record"])
def test_an_object_of_a_class_that_was_defined_anew_keeps_its_own(store, module, cls):
    before = getattr(module, cls)(1)
    first = store.save(before)
    exec(SOURCE, module.__dict__)  # as importlib.reload does
    after = getattr(module, cls)(2)
    second = store.save(after)
    # What was saved by name is of the class that has the name now.
    assert type(store.load(first, fresh=True)) is type(after)
    # The older class cannot be named any more; it is written out.
    before.size = 3
    assert store.save(before) == first
    pair = store.save([before.size, type(before), type(after)])
    found = store.load(first, fresh=True)
    assert (type(found), found.size) == (type(before), 3)
    found = store.load(second, fresh=True)
    assert (type(found), found.size) == (type(after), 2)
    assert store.load(pair) == [3, type(before), type(after)]
    assert store.list(cls=f"reduced.{cls}") == [first, second]
    assert store.table(columns=[".size"], cls=cls)[".size"].tolist() == [3, 2]


NOTEBOOK = """
import sys
from gc3store import Persistable, make_store

class Model:
    def tell(self):
        return "the first"

class Part(Persistable):
    def tell(self):
        return "the first part"

old, old_part = Model(), Part()

class Model:
    def tell(self):
        return "the second"

class Part(Persistable):
    def tell(self):
        return "the second part"

with make_store(sys.argv[1]) as store:
    old.size, old_part.size = 1, 3
    new, new_part = Model(), Part()
    new.size, new_part.size = 2, 4
    print(store.save([old, new, old]))
    print(store.save([old_part, new_part]))
    print(store.save(old))
    print(store.save(new))
"""

ANOTHER = """
import sys
from gc3store import make_store

def show():
    with make_store(sys.argv[1]) as store:
        pair, parts, old, new = [store.load(id_) for id_ in sys.argv[2:]]
    for obj in (*pair, *parts, old, new):
        print(obj.size, obj.tell())
    print(pair[0] is pair[2], pair[0].__class__ is pair[1].__class__)

show()

class Model:
    def tell(self):
        return "the live one"

show()
"""


def test_classes_that_a_notebook_defined_twice(place):
    def run(program, *arguments):
        command = [sys.executable, "-c", program, place.url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    ids = run(NOTEBOOK)
    told = run(ANOTHER, *ids)
    assert told[:8] == [
        "1 the first",
        "2 the second",
        "1 the first",
        "3 the first part",
        "4 the second part",
        "1 the first",
        "2 the second",
        "True False",
    ]
    # Where there is a live class, it is that of both.
    assert told[8:11] == ["1 the live one", "2 the live one", "1 the live one"]
    assert told[-1] == "True True"
    store = place.open()
    shown = store.inspect(ids[0])
    assert [obj.size for obj in shown] == [1, 2, 1]
    assert {record.cls for record in store.records(store.query(cls="Model"))} == {"__main__.Model"}
    assert store.table(columns=[".size"], cls="Model")[".size"].tolist() == [1, 2]
    assert store.table(columns=[".size"], cls="Part")[".size"].tolist() == [3, 4]
