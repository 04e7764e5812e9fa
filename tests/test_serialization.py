"""Any object (C1): what a notebook defines, what is hard to pickle, and objects of other packages."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import functools
import pathlib
import subprocess
import sys
import textwrap
import warnings
import weakref

import pytest

from gc3store import LoadError, Persistable, UnloadableWarning, UnpicklableError, make_store
from gc3store.persistable import IDENTITY
from gc3store.pickling import encode, give_back, take_encoder
from gc3store.pickling.reducers import reduce_leaf
from gc3store.testing import Point, in_fresh_process

from . import samples
from .samples import Misfit


def script(code, *arguments):
    """Run a script of its own, whose definitions are in `__main__` as a notebook's are."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


DEFINE = """
    import sys
    from dataclasses import dataclass
    from enum import Enum
    from gc3store import Persistable, make_store
    store = make_store(sys.argv[1])
    class Color(Enum):
        RED = 1
    @dataclass
    class Run(Persistable):
        temperature: float
        color: object = None
        def describe(self):
            return f"first version at {self.temperature}"
    class Plain:
        def describe(self):
            return helper(self.x)
    def helper(x):
        return f"helped {x}"
"""


class TestNotebookClasses:
    def test_load_in_a_fresh_kernel(self, place):
        ids = script(
            DEFINE
            + """
    plain = Plain(); plain.x = 3; plain.run = Run(2.5, Color.RED)
    print(store.save(plain), plain.run.persistent_id, store.save(helper), store.save(Plain), store.save(lambda x: x + 1))
    assert store.load(plain.run.persistent_id) is plain.run
    fresh = store.load(plain.persistent_id, fresh=True)
    assert type(fresh) is Plain and type(fresh.run) is Run and fresh.run.color is Color.RED
            """,
            place.url,
        )
        out = script(
            """
    import sys
    from gc3store import make_store, Persistable
    store = make_store(sys.argv[1])
    plain, run, helper, Plain, add = [store.load(i) for i in sys.argv[2:]]
    assert plain.describe() == "helped 3" and helper(1) == "helped 1" and add(1) == 2
    assert plain.run is run and run.describe() == "first version at 2.5" and run.color.name == "RED"
    assert isinstance(run, Persistable) and run.persistent_id == sys.argv[3]
    assert Plain.__name__ == "Plain"
    run.temperature = 3.0
    assert store.save(run) == sys.argv[3]
    print(store.describe(sys.argv[3]).revision, store.load(sys.argv[3], fresh=True).temperature)
            """,
            place.url,
            *ids,
        )
        assert out == ["2", "3.0"]

    def test_the_live_class_of_the_same_name_wins(self, place):
        ids = script(DEFINE + "    print(store.save(Run(2.5)), store.save(Plain()))\n", place.url)
        script(
            """
    import sys
    from gc3store import Persistable, make_store
    store = make_store(sys.argv[1])
    class Run(Persistable):
        def describe(self):
            return f"edited at {self.temperature}"
    class Plain:
        edited = True
    run, plain = store.load(sys.argv[2]), store.load(sys.argv[3])
    assert type(run) is Run and run.describe() == "edited at 2.5"
    assert type(plain) is Plain and plain.edited
            """,
            place.url,
            *ids,
        )

    def test_a_method_edited_in_the_same_kernel_takes_effect(self, place):
        script(
            DEFINE
            + """
    id_ = store.save(Run(2.5))
    class Run(Persistable):
        def describe(self):
            return "edited"
    assert store.load(id_, fresh=True).describe() == "edited"
            """,
            place.url,
        )


class TestWhatWouldNotLoad:
    def test_is_warned_of_when_it_is_saved(self, store):
        with pytest.warns(UnloadableWarning, match="Misfit will probably not load"):
            id_ = store.save({"error": Misfit(3, "reason")})
        assert id_ in store

    def test_can_be_made_an_error(self, store):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnloadableWarning)
            with pytest.raises(UnloadableWarning):
                store.save(Misfit(3, "reason"))
        assert store.list() == []

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda: samples.NeedsArguments(1), "its constructor needs arguments"),
            (lambda: samples.SetOfOneKind({1, 2}, "integers"), "its constructor needs arguments"),
            (lambda: samples.Delegating(Point(1)), "its __getattr__ fails"),
            (lambda: samples.Unchangeable(1), "its __setattr__ does not take"),
            (lambda: samples.Counting([1, 2]), "its items are put in before"),
            (lambda: samples.Filtering({"a": 1}), "its items are put in before"),
            (lambda: samples.PersistableDelegating(Point(1)), "its __getattr__ fails"),
        ],
    )
    @pytest.mark.parametrize("wrap", [lambda obj: obj, lambda obj: [obj], lambda obj: (lambda: 1, obj)])
    def test_is_found_whatever_the_reason(self, store, make, reason, wrap):
        with pytest.warns(UnloadableWarning, match=reason):
            id_ = store.save(wrap(make()))
        with pytest.raises(LoadError):
            store.load(id_, fresh=True)

    @pytest.mark.parametrize(
        "obj",
        [
            samples.DelegatingWell(Point(1)),
            samples.ListLike([1, 2]),
            samples.DictLike(a=1),
            samples.OwnSetattr(),
            collections.Counter("abca"),
            pathlib.PurePosixPath("/a"),
            dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
            decimal.Decimal("1.5"),
        ],
        ids=lambda obj: type(obj).__name__,
    )
    def test_does_not_concern_what_does_load(self, store, obj):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnloadableWarning)
            id_ = store.save(obj)
        assert type(store.load(id_, fresh=True)) is type(obj)

    def test_does_not_concern_ordinary_exceptions(self, store):
        for error in (
            ValueError("x"),
            KeyError("a"),
            OSError(2, "x", "file"),
            UnicodeDecodeError("a", b"b", 0, 1, "c"),
        ):
            loaded = store.load(store.save(error))
            assert (type(loaded), loaded.args) == (type(error), error.args)


class TestWhatIsHardToPickle:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: functools.partial(int, base=2),
            lambda: type("Made", (), {"x": 1}),
            lambda: property(lambda self: 1),
            lambda: [lambda: 1, lambda: 2],
            lambda: {"nested": {"f": lambda x: x * 2}},
            lambda: Point(lambda: 3),
        ],
    )
    def test_is_written_by_value(self, store, make):
        assert store.load(store.save(make())) is not None

    def test_recursive_functions_and_globals(self, place):
        def factorial(n):
            return 1 if n < 2 else n * factorial(n - 1)

        with place.open() as store:
            id_ = store.save(factorial)
        assert in_fresh_process(_call, place.url, id_, 5) == 120

    def test_shared_and_recursive_structures(self, store):
        shared = [1]
        value = {"a": shared, "b": shared, "t": (shared,)}
        value["self"] = value
        loaded = store.load(store.save(value))
        assert loaded["a"] is loaded["b"] is loaded["t"][0]
        assert loaded["self"] is loaded

    def test_an_error_within_getstate_is_not_hidden(self, store):
        class Fails:
            def __reduce_ex__(self, protocol):
                raise ZeroDivisionError("no state")

        with pytest.raises(UnpicklableError, match="no state"):
            store.save([Fails()])

    def test_saving_within_getstate(self, store):
        class Nested:
            def __getstate__(self):
                store.save("from within")
                return {}

        id_ = store.save(Nested())
        assert store.load(id_) is not None
        assert "from within" in store.load_many(store.list())


def _call(url, id_, *args):
    with make_store(url) as store:
        return store.load(id_)(*args)


def test_the_objects_of_pythons_own_pickle_tests(store):
    """Each object that CPython's tests of pickle build by hand, through both stores."""
    pickletester = pytest.importorskip("test.pickletester")
    reference = pickletester.create_data()
    loaded = store.load(store.save(reference))
    assert loaded == reference
    assert [type(x) for x in loaded] == [type(x) for x in reference]
    tried = 0
    for name, value in sorted(vars(pickletester).items()):
        if (
            not isinstance(value, type)
            or value.__module__ != "test.pickletester"
            or name.startswith("Abstract")
        ):
            continue
        try:
            obj = value()
            import pickle

            expected = pickle.loads(pickle.dumps(obj, 5))
        except Exception:
            continue
        loaded = store.load(store.save(obj))
        assert type(loaded) is type(expected), name
        assert getattr(loaded, "__dict__", None) is None or {
            k: v for k, v in vars(loaded).items() if k not in ("persistent_id", "_id")
        }.keys() == vars(expected).keys() - {"persistent_id", "_id"}, name
        tried += 1
    assert tried >= 20


class TestOtherPackages:
    def test_numpy(self, store):
        np = pytest.importorskip("numpy")
        arrays = {
            "small": np.arange(3),
            "large": np.random.default_rng(1).random((600, 300)),
            "fortran": np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
            "strided": np.arange(200_000)[::2],
            "empty": np.empty((0, 3)),
            "scalar": np.float32(1.5),
            "text": np.array(["a", "bc"]),
            "record": np.zeros(20_000, dtype=[("x", "i4"), ("y", "f8")]),
            "object": np.array([1, "a", None], dtype=object),
            "datetime": np.arange("2026-01", "2026-03", dtype="M8[D]"),
            "read-only": np.arange(50_000),
        }
        arrays["read-only"].flags.writeable = False
        id_ = store.save(arrays)
        loaded = store.load(id_)
        for name, array in arrays.items():
            assert np.array_equal(loaded[name], array), name
            assert loaded[name].dtype == array.dtype, name
        loaded["large"][0, 0] = 5  # arrays are writable where they were
        assert store.load(id_)["large"][0, 0] != 5
        shared = [arrays["large"], arrays["large"]]
        twice = store.load(store.save(shared))
        assert twice[0] is twice[1]

    def test_arrays_map_into_memory(self, tmp_path):
        np = pytest.importorskip("numpy")
        with make_store(tmp_path / "objects") as store:
            id_ = store.save({"a": np.arange(400_000)})
            mapped = store.load(id_, mapped="r")["a"]
            assert mapped.sum() == np.arange(400_000).sum()
            with pytest.raises(ValueError, match="read-only"):
                mapped[0] = 1
            writable = store.load(id_, mapped="c")["a"]
            writable[0] = 7
            assert store.load(id_)["a"][0] == 0
            store.replace(id_, "other")
            assert mapped[-1] == 399_999
            del mapped, writable

    def test_pandas(self, store):
        pd = pytest.importorskip("pandas")
        np = pytest.importorskip("numpy")
        frame = pd.DataFrame(
            {
                "i": range(1000),
                "f": np.linspace(0, 1, 1000),
                "s": [f"text {i}" for i in range(1000)],
                "t": pd.date_range("2026-01-01", periods=1000, tz="UTC"),
                "c": pd.Categorical(["a", "b"] * 500),
            },
            index=pd.MultiIndex.from_product([range(10), range(100)], names=["x", "y"]),
        )
        for obj in (frame, frame["f"], frame.index, frame.groupby("c", observed=True)["f"].mean()):
            loaded = store.load(store.save(obj))
            assert loaded.equals(obj)
            assert type(loaded) is type(obj)
        frame.attrs["unit"] = "K"
        assert store.load(store.save(frame)).attrs == {"unit": "K"}

    def test_networkx(self, store):
        nx = pytest.importorskip("networkx")
        graph = nx.karate_club_graph()
        graph.add_edge("self", "self", weight=0.5)
        loaded = store.load(store.save(graph))
        assert nx.utils.graphs_equal(loaded, graph)
        assert store.describe(graph.persistent_id).cls == "networkx.classes.graph.Graph"


def test_what_is_encoded_has_buffers_of_its_own():
    """An object without buffers does not get those of the next one, nor its references."""
    numpy = pytest.importorskip("numpy")
    from gc3store.pickling import encode

    plain, large, other = [encode(obj) for obj in ({"a": 1}, numpy.arange(100_000), [Point(1, 2)])]
    assert (plain.buffers, plain.targets, other.buffers) == ([], [], [])
    assert [view.nbytes for view in large.buffers] == [800_000]


class Attributes(Persistable):
    """Nothing but attributes: what most classes of users are."""


class Derived(Attributes):
    pass


class Slotted(Persistable):
    __slots__ = ("slot",)


class Listing(list, Persistable):
    pass


class Stateful(Persistable):
    def __getstate__(self):
        return {"of": "its own"}


class Argued(Persistable):
    def __new__(cls, number=0):
        made = super().__new__(cls)
        made.number = number
        return made

    def __getnewargs__(self):
        return (self.number,)


class Reduced(Persistable):
    def __reduce__(self):
        return Reduced, (), {"reduced": True}


class Failing(Persistable, Exception):
    pass


class Argument(Persistable):
    def __new__(cls, x):
        made = super().__new__(cls)
        made.x = x
        return made

    def __init__(self, x):
        pass


class Undecided:
    def __getstate__(self):
        return self.value

    def __setstate__(self, value):
        self.value = value


class UndecidedRecord(Undecided, Persistable):
    pass


KINDS = (Attributes, Derived, Slotted, Listing, Stateful, Argued, Reduced, Failing)


class TestReducingPersistables:
    """As pickle would, and in the same bytes whether or not the object was given an ID."""

    @pytest.mark.parametrize("cls", KINDS)
    def test_as_pickle_would(self, cls, store):
        obj = cls()
        for value in ({}, {"x": 1, "y": [2]}):
            obj = cls()
            obj.__dict__.update(value)
            plain = obj.__reduce_ex__(5)
            function, args, state = (*reduce_leaf(obj), None)[:3]
            given = plain[2] if len(plain) > 2 else None
            assert (function, args, state) == (*plain[:2], given or None)
            before = encode(obj).stream
            id_ = store.save(obj)
            assert encode(obj).stream == before
            assert store.save(obj) == id_
            assert store.describe(id_).revision == 1
            loaded = store.load(id_, fresh=True)
            assert type(loaded) is cls
            assert encode(loaded).stream == before

    @pytest.mark.parametrize("name", ["__getstate__", "__reduce__", "__reduce_ex__"])
    def test_a_class_that_says_so_later(self, store, monkeypatch, name):
        obj = Attributes()
        obj.x = 1
        id_ = store.save(obj)
        methods = {
            "__getstate__": lambda self: {"x": "another"},
            "__reduce__": lambda self: (Attributes, (), {"x": "another"}),
            "__reduce_ex__": lambda self, protocol: (Attributes, (), {"x": "another"}),
        }
        monkeypatch.setattr(Attributes, name, methods[name], raising=False)
        assert store.save(obj) == id_
        assert store.load(id_, fresh=True).x == "another"

    def test_arguments_that_it_has_later(self, store, monkeypatch):
        with pytest.warns(UnloadableWarning, match="arguments"):
            store.save(Argument(5))
        monkeypatch.setattr(Argument, "__getnewargs__", lambda self: (self.x,), raising=False)
        assert store.load(store.save(Argument(6)), fresh=True).x == 6

    def test_an_object_that_says_so_itself(self, store):
        obj = Attributes()
        obj.x = 1
        obj.__getstate__ = lambda: {"x": "another"}
        assert store.load(store.save(obj), fresh=True).x == "another"

    @pytest.mark.parametrize("base", [object, Persistable])
    def test_a_state_that_is_neither_true_nor_false(self, store, base):
        numpy = pytest.importorskip("numpy")
        obj = {object: Undecided, Persistable: UndecidedRecord}[base]()
        ids = set()
        for value in (numpy.arange(3.0), numpy.arange(4.0), numpy.zeros(0), numpy.arange(4.0)):
            obj.value = value
            ids.add(store.save(obj))
            assert list(store.load(obj.persistent_id, fresh=True).value) == list(value)
        assert len(ids) == 1

    def test_without_what_the_library_put_there(self, store):
        obj = Attributes()
        obj.x = 1
        before = encode(obj).stream
        store.save(obj)
        assert encode(obj).stream == before
        assert obj.persistent_id
        assert vars(store.load(obj.persistent_id, fresh=True)).keys() - {IDENTITY} == {"x"}


def test_a_large_stream_leaves_nothing_behind(store):
    """What an encoder remembers of an object goes with it, however much that was."""
    encoder = take_encoder()
    obj = Attributes()
    obj.parts = [Point(number) for number in range(5000)]
    gone = weakref.ref(obj.parts[0])
    assert encoder.encode(obj).stream_size > 50_000
    del obj
    assert gone() is None
    first = encoder.encode([1, 2]).stream
    assert first == encode([1, 2]).stream
    give_back(encoder)


def test_a_text_that_only_mentions_main_is_pickled_by_name(store):
    encoded = encode([Point("__main__."), "in __main__ or elsewhere", b"__main__"])
    assert not encoded.cloudpickled
