"""What a store that trusts only some names refuses: every known way round such a list."""

import contextlib
import copyreg
import os
import pickle
import sqlite3
import sys
import types

import cloudpickle
import pytest

import gc3store
from gc3store import make_store
from gc3store.errors import LoadError, MissingClassError, OptionError, UntrustedError
from gc3store.pickling.placeholders import Placeholder

SOURCE = """
import os
import subprocess
from collections import OrderedDict

calls = []

class Data:
    def __init__(self, *args):
        self.args = args

class Keen:
    def __setstate__(self, state):
        calls.append(state)

class Meta(type):
    def __call__(cls, *args):
        calls.append(args)
        return super().__call__()

class Outer:
    class Inner(Data):
        pass

    @staticmethod
    def act(*args):
        calls.append(args)

    def method(self, *args):
        calls.append(args)

def act(*args):
    calls.append(args)

instance = Outer()
alias = os.system
"""


@pytest.fixture
def victim(monkeypatch):
    """Return a module that is trusted, with what is not implied by that."""
    module = types.ModuleType("victim")
    exec(SOURCE, module.__dict__)
    monkeypatch.setitem(sys.modules, "victim", module)
    return module


@pytest.fixture
def place(tmp_path):
    """Return a table as GC3Pie has them: whatever bytes are in a row are a record."""
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE store (id INTEGER NOT NULL PRIMARY KEY, data BLOB, state VARCHAR(128))"
        )
    return tmp_path / "jobs.db"


def put(place, stream):
    with contextlib.closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO store VALUES (1, ?, 'NEW')", [stream])


def load(place, stream, trust=("victim",), **options):
    put(place, stream)
    with make_store(
        f"sqlite:///{place}", read_only=True, trust=list(trust) if trust != "nothing" else trust
    ) as store:
        return store.load("1", **options)


def named(module, name, protocol=4):
    """Return the opcodes that look up a name."""
    if protocol < 4:
        return f"c{module}\n{name}\n".encode()
    texts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return b"".join(texts) + b"\x93"


def call(function, *args):
    return function + b"(" + b"".join(args) + b"tR"


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


DATA, GETATTR = named("victim", "Data"), named("builtins", "getattr")
START = b"\x80\x04"
REFUSED = {
    "a function of the module": call(named("victim", "act")),
    "an alias in the module": call(named("victim", "alias"), text("true")),
    "a module in the module, dotted": call(named("victim", "os.system"), text("true")),
    "a class of a module in it, dotted": call(named("victim", "subprocess.Popen"), text("true")),
    "a class that it imports": call(named("victim", "OrderedDict")),
    "a static method, dotted": call(named("victim", "Outer.act")),
    "a method, dotted": call(named("victim", "Outer.method"), b"N"),
    "a method of an instance, dotted": call(named("victim", "instance.method")),
    "an instance": named("victim", "instance"),
    "what leads out of a class": call(named("victim", "Data.__init__.__globals__"), b"N"),
    "bases": named("victim", "Data.__mro__"),
    "subclasses": call(named("victim", "Data.__subclasses__")),
    "the class of a class": call(named("victim", "Data.__class__"), text("X"), b")", b"}"),
    "object by way of a class": named("victim", "Data.__base__"),
    "names of the module": named("victim", "__dict__"),
    "a submodule": named("victim.sub", "Data"),
    "a parent": named("vic", "tim.Data"),
    "an empty module": named("", "victim.Data"),
    "getattr": call(GETATTR, DATA, text("__init__")),
    "getattr of getattr": call(GETATTR, call(GETATTR, DATA, text("__init__")), text("__globals__")),
    "getattr thrown away": call(GETATTR, DATA, text("__init__")) + b"0N",
    "setattr": call(named("builtins", "setattr"), DATA, text("x"), b"N"),
    "partial": call(named("functools", "partial"), DATA),
    "reduce": call(named("functools", "reduce"), DATA, b"]"),
    "attrgetter": call(named("operator", "attrgetter"), text("__class__")),
    "methodcaller": call(named("operator", "methodcaller"), text("__subclasses__")),
    "itemgetter": call(named("operator", "itemgetter"), text("eval")),
    "map": call(named("builtins", "map"), DATA, b"]"),
    "type": call(named("builtins", "type"), text("X"), b")", b"}"),
    "eval": call(named("builtins", "eval"), text("1")),
    "import": call(named("builtins", "__import__"), text("os")),
    "a module by name": call(named("importlib", "import_module"), text("os")),
    "an unbound method of str": call(named("builtins", "str.format"), text("{0.__class__}"), DATA),
    "a method of a plain type": call(named("builtins", "dict.fromkeys"), b"]"),
    "a class method of a date": call(named("datetime", "datetime.now")),
    "copyreg's own": call(named("copyreg", "pickle"), DATA, DATA),
    "an extension": call(named("copyreg", "add_extension"), text("os"), text("system"), b"K\x01"),
    "a constructor": call(named("copyreg", "constructor"), DATA),
    "cloudpickle's functions": call(named("cloudpickle.cloudpickle", "_make_function"), b"N"),
    "cloudpickle's imports": call(named("cloudpickle.cloudpickle", "subimport"), text("antigravity")),
    "cloudpickle's types": call(named("cloudpickle.cloudpickle", "_builtin_type"), text("CodeType")),
    "cloudpickle's classes": call(named("cloudpickle.cloudpickle", "_make_skeleton_class"), b"N"),
    "a code object": call(named("types", "CodeType")),
    "a function object": call(named("types", "FunctionType")),
    "a store": call(named("gc3store", "make_store"), text("x")),
    "a placeholder": call(named("gc3store.pickling.placeholders", "named"), text("os"), text("system")),
    "by INST": b"(ios\nsystem\n",
    "by OBJ": b"(" + named("os", "system", 0) + text("true") + b"o",
    "by NEWOBJ": named("os", "_wrap_close") + b")\x81",
    "by NEWOBJ_EX": named("os", "_wrap_close") + b")}\x92",
    "never called": named("os", "system"),
    "never kept": named("os", "system") + b"0N",
    "put together on the stack": text("o") + b"0" + text("os") + text("system") + b"\x93",
    "from the memo": text("system") + b"\x94" + text("os") + b"h\x00\x93",
    "as a state": DATA + b")\x81}" + text("x") + named("os", "system") + b"sb",
    "as a setstate": DATA + b")\x81}" + text("__setstate__") + named("os", "system") + b"sb" + text("true") + b"b",
    "as a class": DATA + b")\x81}" + text("__class__") + named("os", "_wrap_close") + b"sb",
    "as a key": b"}" + named("os", "system") + b"Ns",
    "in a persistent ID": named("os", "system") + b"Q",
    "after the end of a frame": b"\x95\x01\0\0\0\0\0\0\0N0" + named("os", "system"),
    "reconstructed": call(
        named("copyreg", "_reconstructor"), named("os", "_wrap_close"), named("builtins", "object"), b"N"
    ),
    "made by a base": call(named("copyreg", "_reconstructor"), DATA, named("os", "_wrap_close"), b"N"),
    "made anew": call(named("copyreg", "__newobj__"), named("os", "_wrap_close")),
    "changing a class": DATA + b"N}" + text("args") + b"Ns\x86b",
    "changing a class, thrown away": DATA + b"N}" + text("args") + b"Ns\x86b0N",
    "changing a class from the memo": DATA + b"\x940]h\x00N}" + text("args") + b"Ns\x86ba",
    "changing a class within a class": GETATTR + b"0" + named("victim", "Outer.Inner") + b"N}" + text("x") + b"Ns\x86b",
    "changing a plain class": named("fractions", "Fraction") + b"N}" + text("__str__") + DATA + b"s\x86b",
    "changing a function": named("gc3store.persistable", "new") + b"N}" + text("__kwdefaults__") + b"}s\x86b",
    "changing another object": call(named("gc3store.persistable", "reference"), b"K\x00") + b"}" + text("x") + b"Nsb",
    "changing an object by its persistent ID": text("1") + b"Q}" + text("x") + b"Nsb",
}  # fmt: skip


@pytest.mark.parametrize("missing", [None, "placeholder"])
@pytest.mark.parametrize("name", REFUSED)
def test_ways_round_a_list_of_names(place, victim, name, missing):
    options = {"missing": missing} if missing else {}
    with pytest.raises(LoadError) as caught:
        load(place, START + REFUSED[name] + b".", **options)
    assert isinstance(caught.value, UntrustedError), caught.value
    assert not victim.calls
    assert not hasattr(victim.Data, "args")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", ["__builtins__.eval", "__loader__.load_module", "", "Data.nothing"])
def test_names_that_lead_nowhere(place, victim, name):
    stream = START + call(named("victim", name), text("1")) + b"."
    with pytest.raises(LoadError):
        load(place, stream)
    assert isinstance(load(place, stream, missing="placeholder"), Placeholder)
    assert not victim.calls


def test_placeholders_for_what_is_trusted_and_gone(place, victim):
    stream = pickle.dumps(victim.Data(1))
    del sys.modules["victim"]
    with pytest.raises(MissingClassError):
        load(place, stream)
    assert load(place, stream, missing="placeholder").args == (1,)
    with pytest.raises(UntrustedError):
        load(place, stream, ["other"], missing="placeholder")


@pytest.mark.parametrize("protocol", range(6))
def test_what_is_trusted_is_loaded(place, victim, protocol):
    obj = victim.Data({1, 2}, b"bytes", bytearray(b"x"), 1.5, frozenset([3]), range(3), 2j)
    obj.inner = victim.Outer.Inner() if protocol > 3 else None
    found = load(place, pickle.dumps(obj, protocol))
    assert type(found) is victim.Data
    assert found.args == obj.args
    # Nothing but the exact name, where that is what is trusted.
    assert type(load(place, pickle.dumps(victim.Data(), protocol), ["victim.Data"])) is victim.Data
    with pytest.raises(UntrustedError, match=r"victim\.Keen"):
        load(place, pickle.dumps(victim.Keen(), protocol), ["victim.Data"])


def test_extension_codes_are_no_way_round(place, victim):
    stream = START + b"\x83\xbc\x0a" + text("true") + b"\x85R."
    with pytest.raises(UntrustedError):
        load(place, stream)
    copyreg.add_extension("os", "system", 0xABC)
    copyreg._extension_cache[0xABC] = os.system  # as it is once anything has used it
    try:
        with pytest.raises(UntrustedError, match=r"os\.system|posix\.system"):
            load(place, stream)
    finally:
        copyreg.remove_extension("os", "system", 0xABC)


def test_codecs_are_no_way_round(place, victim):
    for codec in ("rot13", "zlib_codec", "antigravity"):
        with pytest.raises(LoadError):
            load(place, START + call(named("_codecs", "encode"), text("x"), text(codec)) + b".")
    assert load(place, b"c_codecs\nencode\n(Vx\nVlatin1\ntR.") == b"x"


def test_a_name_is_trusted_as_it_is_after_renaming(place, victim):
    gc3store.rename("victim.Data", "os.system")
    try:
        with pytest.raises(UntrustedError, match=r"os\.system"):
            load(place, START + DATA + b".", ["victim.Data"])
    finally:
        gc3store.rename("victim.Data", None)


def test_attributes_of_what_a_record_makes_are_set(place, victim):
    # Their own, with those in slots set one by one, also where a setter function does it.
    obj = victim.Data(1)
    obj.next = victim.Data(2)
    assert load(place, pickle.dumps(obj)).next.args == (2,)
    stream = START + DATA + b")\x81N}" + text("args") + b"K\x07s\x86b."
    assert load(place, stream).args == 7
    set_ = DATA + b")\x81\x94" + named("victim", "act") + b"h\x00K\x01\x86R0."
    assert type(load(place, START + set_, ["victim", "victim.act"])) is victim.Data
    assert victim.calls == [(victim.calls[0][0], 1)]


def test_methods_of_trusted_classes_run_as_the_documentation_says(place, victim):
    load(place, START + named("victim", "Keen") + b")\x81" + text("told") + b"b.")
    assert victim.calls == ["told"]


def test_what_a_notebook_defined_is_not_trusted_by_its_name(place):
    namespace = {"__name__": "__main__"}
    exec("class Model:\n    pass", namespace)
    stream = cloudpickle.dumps(namespace["Model"]())
    put(place, stream)
    with make_store(f"sqlite:///{place}", read_only=True, trust=["__main__.Model", "__main__"]) as store:
        with pytest.raises(UntrustedError, match=r"builtins\.type|cloudpickle"):
            store.load("1")
        assert "__main__.Model" in repr(store.inspect("1"))


def test_nothing_is_loaded_even_without_names(place, victim):
    for stream in (b"N.", pickle.dumps([1]), START + DATA + b"."):
        with pytest.raises(UntrustedError, match="trust='nothing'"):
            load(place, stream, "nothing")


@pytest.mark.parametrize(
    "trust", ["nothin", "os.system", 3, [3], ["a-b"], [""], ["a..b"], [None], {"x": 1}.keys() - {"x"} or 7]
)
def test_what_is_no_setting(tmp_path, trust):
    with pytest.raises(OptionError):
        make_store(tmp_path / "x", trust=trust)
