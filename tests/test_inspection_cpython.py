"""CPython's own tests of pickle: what each of them loads, inspection shows."""

import collections
import contextlib
import datetime as dt
import importlib
import pickle
import struct
import types
import unittest

import pytest
import test.pickletester as pickletester

from gc3store.errors import LoadError
from gc3store.inspection import Array, Inert, Name, Pairs, Reference, class_path, html, parts, read, text
from gc3store.inspection.globals import globals_of
from gc3store.inspection.summary import summary

pytestmark = pytest.mark.filterwarnings("ignore")

PLAIN = (
    str,
    bytes,
    bytearray,
    int,
    float,
    complex,
    bool,
    type(None),
    range,
    slice,
    dt.date,
    dt.timedelta,
    type(...),
)
NAMED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.MethodWrapperType,
)
CONTAINERS = (list, tuple, dict, set, frozenset)


class Agreement:
    """Whether what is shown is what was loaded; counts the comparisons."""

    def __init__(self):
        self.compared = collections.Counter()

    def check(self, value, shown):
        seen = {}
        todo = [(value, shown, "value")]
        while todo:
            value, shown, path = todo.pop()
            if id(value) in seen:
                # What is one object there is one here, where it can be told.
                if type(value) in (list, dict) and isinstance(shown, (list, dict)):
                    assert seen[id(value)][1] is shown, f"{path} is shared"
                continue
            seen[id(value)] = value, shown
            todo += self._same(value, shown, path)

    def _same(self, value, shown, path):
        kind = type(value)
        self.compared[kind.__qualname__] += 1
        if isinstance(value, NAMED):
            self._names(shown, value, path)
            return []
        if kind in (memoryview, pickle.PickleBuffer):
            assert bytes(value) == bytes(shown), path
            return []
        if value is ... or value is NotImplemented:
            assert isinstance(shown, Name), path
            return []
        if kind in PLAIN:
            if isinstance(shown, Inert):  # too large to be made: its digits, or the call
                assert class_path(shown) == f"builtins.{kind.__name__}", path
                return []
            assert shown == value or (value != value and shown != shown), (
                f"{path}: {shown!r:.80} is not {value!r:.80}"
            )
            assert isinstance(shown, kind), path
            return []
        if kind in CONTAINERS:
            return self._contents(value, shown, path)
        return self._instance(value, shown, path)

    def _contents(self, value, shown, path):
        if isinstance(value, (dict, set)) and not all(type(key) in PLAIN for key in value):
            assert len(value) <= len(shown), path  # keys may be equal by a method of their class
            return []
        assert len(value) == len(shown), path
        if isinstance(value, dict):
            keys = list(shown.keys())
            if all(isinstance(key, str) for key in value):
                assert list(value) == keys, path
            pairs = zip(value.items(), shown.items(), strict=True)
            return [
                found
                for (key, inner), (other, its) in pairs
                for found in ((key, other, f"{path} key"), (inner, its, f"{path}[{key!r:.30}]"))
            ]
        if isinstance(value, (set, frozenset)):
            if all(type(element) in PLAIN for element in value):
                assert set(shown) == value, path
            return []
        return [(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(value, shown, strict=True))]

    def _instance(self, value, shown, path):
        cls = type(value)
        if cls.__module__ in ("builtins", "collections", "array", "datetime") and not isinstance(
            shown, Inert
        ):
            assert shown == value or isinstance(shown, Pairs), path
            return []
        if isinstance(shown, Array):
            assert shown.tolist() == value.tolist(), path
            return []
        if isinstance(shown, (Name, Reference)):  # a member of an enumeration, a singleton by name
            return []
        assert isinstance(shown, Inert), f"{path}: {shown!r:.80} for a {cls.__qualname__}"
        known = parts(shown)
        if not known.function:
            found = resolved(class_path(shown))
            assert not isinstance(found, type) or issubclass(cls, found), f"{path}: {class_path(shown)}"
        todo = []
        if not hasattr(cls, "__setstate__") and not known.function:
            told = dir(shown) if not isinstance(known.state, tuple) else None
            for name, inner in getattr(value, "__dict__", {}).items():
                if not (name.startswith("__") and name.endswith("__")) and (told is None or name in told):
                    todo.append((inner, getattr(shown, name), f"{path}.{name}"))
            if told is not None and not known.args and not known.kwargs:
                assert {n for n in getattr(value, "__dict__", {}) if n.isidentifier()} >= set(told), path
        if isinstance(value, dict) and known.pairs:
            todo += [(value[k], v, f"{path}[{k!r}]") for k, v in known.pairs if type(k) in (str, int)]
        if isinstance(value, list) and known.items:
            assert len(value) == len(known.items), path
            todo += [(a, b, f"{path}[]") for a, b in zip(value, known.items, strict=True)]
        for base in (int, float, complex, str, bytes, bytearray):
            if isinstance(value, base) and known.args and type(known.args[0]) is base and not known.function:
                assert base(value) == known.args[-1] or len(known.args) > 1, path
        return todo

    def _names(self, shown, value, path):
        if isinstance(shown, Inert):
            return  # by way of a call, such as getattr of an object
        assert isinstance(shown, Name), f"{path}: {shown!r:.80}"
        found = resolved(shown.path)
        assert found is None or found == value or found is value, f"{path}: {shown.path}"


def resolved(path):
    """Return what a dotted name means here, `None` if that cannot be told."""
    module, _, name = path.rpartition(".")
    names = [name]
    while module:
        try:
            found = importlib.import_module(module)
        except ImportError:
            module, _, name = module.rpartition(".")
            names.insert(0, name)
            continue
        for name in names:
            found = getattr(found, name, None)
        return found
    return None


class _Compared:
    """Loads for real, and compares with what inspection shows of it."""

    agreement: Agreement
    outcomes: collections.Counter

    def loads(self, stream, *, buffers=None, **kwargs):
        buffers = None if buffers is None else list(buffers)
        try:
            value = pickle.loads(stream, buffers=buffers, **kwargs)
        except Exception:
            self.outcomes["refused"] += 1
            with contextlib.suppress(LoadError):
                shown = read(stream, buffers=buffers)
                text(shown), html(shown)
            raise
        self.outcomes["loaded"] += 1
        shown = read(stream, buffers=buffers)
        text(shown), html(shown), summary(stream, buffers), globals_of(stream, buffers)
        if "encoding" not in kwargs and "errors" not in kwargs:
            self.agreement.check(value, shown)
        return value


class Pickling(_Compared, pickletester.AbstractPickleTests, unittest.TestCase):
    """What CPython writes and reads again, in all protocols."""

    __test__ = False  # run below
    pickler = pickle.Pickler

    def dumps(self, arg, proto=None, **kwargs):
        return pickle.dumps(arg, proto, **kwargs)


class Unpickling(_Compared, pickletester.AbstractUnpickleTests, unittest.TestCase):
    """What CPython only reads: old, hand-made and broken streams."""

    __test__ = False
    unpickler = pickle.Unpickler
    bad_stack_errors = (pickle.UnpicklingError, IndexError)
    truncated_errors = (
        pickle.UnpicklingError, EOFError, AttributeError, ValueError, struct.error, IndexError, ImportError,
    )  # fmt: skip


@pytest.mark.usefixtures("pickletester")
@pytest.mark.parametrize(("tests", "streams", "values"), [(Pickling, 5000, 200_000), (Unpickling, 100, 150)])
def test_what_cpython_loads_is_shown(tests, streams, values):
    tests.agreement, tests.outcomes = Agreement(), collections.Counter()
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(tests).run(result)
    assert [trace for _, trace in (*result.failures, *result.errors)] == []
    assert tests.outcomes["loaded"] >= streams, tests.outcomes
    assert tests.agreement.compared.total() >= values, tests.agreement.compared
