"""Objects of other libraries and of CPython's own pickle tests: saved, loaded by another process, compared there.

What a library's objects are is not known here, so they are compared as pickle takes them
apart, and estimators by what they predict as well.
"""

from __future__ import annotations

import contextlib
import copyreg
import functools
import pickle
import types
import unittest
import warnings

import pytest

from gc3store import make_store
from gc3store.testing import in_fresh_process

pytestmark = pytest.mark.filterwarnings("ignore")

ATOMS = (str, bytes, int, float, complex, bool, type(None), type(...), type(NotImplemented), range)
NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, functools.partial)


def alike(one, other):
    """Check that two objects have the same parts, put together and shared in the same way."""
    there = {}
    held = []  # so that no `id` is used again
    todo = [(one, other, "")]
    while todo:
        a, b, path = todo.pop()
        assert type(a) is type(b), f"{path}: {type(a)} and {type(b)}"
        kind = type(a)
        if kind in ATOMS:
            assert a == b or (a != a and b != b), f"{path}: {a!r:.60} and {b!r:.60}"
            continue
        if isinstance(a, NAMED) and kind is not functools.partial:
            assert a is b or a.__qualname__ == b.__qualname__, f"{path}: {a!r} {b!r}"
            continue
        if id(a) in there:
            assert there[id(a)] == id(b), f"{path} is shared differently"
            continue
        if kind is not tuple:
            there[id(a)] = id(b)
        held.append((a, b))
        todo += _parts(a, b, path)


def _parts(a, b, path):
    kind = type(a)
    if kind in (list, tuple):
        assert len(a) == len(b), path
        return [(x, y, f"{path}[{i}]") for i, (x, y) in enumerate(zip(a, b, strict=True))]
    if kind is dict:
        assert len(a) == len(b), path
        pairs = zip(a.items(), b.items(), strict=True)
        return [
            part
            for (k, x), (other, y) in pairs
            for part in ((k, other, f"{path} key"), (x, y, f"{path}[{k!r:.20}]"))
        ]
    if kind in (set, frozenset):
        assert len(a) == len(b), path
        if all(type(element) in ATOMS for element in a):
            assert a == b, path
        return []
    if kind is bytearray:
        assert a == b, path
        return []
    return [(x, y, f"{path} {kind.__name__}") for x, y in zip(_taken_apart(a), _taken_apart(b), strict=True)]


def _taken_apart(obj):
    reduce = copyreg.dispatch_table.get(type(obj))
    found = reduce(obj) if reduce is not None else obj.__reduce_ex__(4)
    if isinstance(found, str):
        return [found]
    function, args, state, items, pairs = (*found, None, None, None, None)[:5]
    if isinstance(state, tuple) and len(state) == 2:  # attributes and slots
        state = (_without_ids(state[0]), state[1])
    return [function, tuple(args), _without_ids(state), list(items or ()), list(pairs or ())]


def _without_ids(state):
    """Leave out what the store told an object, and what pandas keeps in its types once it was asked for it."""
    if not isinstance(state, dict):
        return state
    return {
        key: value for key, value in state.items() if key not in ("persistent_id", "_id", "_cache")
    } or None


def make(builder):
    """Return what a function of this module makes, by name."""
    with warnings.catch_warnings(action="ignore"):
        return globals()[builder]()


def plainly(obj):
    """Return what pickle itself makes of an object; some differ from themselves in what they have computed."""
    return pickle.loads(pickle.dumps(obj, 5))


def look(url, ids, builder):
    """Compare what is loaded with what is made here, in a process that made neither before."""
    expected = make(builder)
    with make_store(url) as store:
        for name, id_ in ids.items():
            loaded = store.load(id_)
            try:
                alike(plainly(expected[name]), loaded)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None
    return len(ids)


def through_another_process(place, builder):
    objects = make(builder)
    with place.open(durable=False) as store:
        ids = {name: store.save(obj, name=name) for name, obj in objects.items()}
        together = store.save(objects)
    assert in_fresh_process(look, place.url, ids, builder) == len(objects)
    assert in_fresh_process(look_together, place.url, together, builder)


def look_together(url, id_, builder):
    with make_store(url) as store:
        alike(plainly(make(builder)), store.load(id_))
    return True


def numpy_objects():
    import numpy as np

    rng = np.random.default_rng(1)
    objects = {
        "large": rng.random((600, 300)),
        "fortran": np.asfortranarray(rng.random((300, 300))),
        "strided": rng.random((400, 400))[::2, ::3],
        "reversed": np.arange(100_000)[::-1],
        "empty": np.empty((0, 3)),
        "no dimensions": np.array(3.5),
        "big endian": np.arange(50, dtype=">i4"),
        "half": rng.random(50).astype("f2"),
        "complex": rng.random(10) + 1j,
        "text": np.array(["a", "bcd", "ä"]),
        "bytes": np.array([b"a", b"bcd"]),
        "record": np.array([(1, 2.5, "x")], dtype=[("i", "i4"), ("f", "f8"), ("s", "U3")]),
        "aligned": np.zeros(3, dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        "objects": np.array([1, "a", None, [1, 2]], dtype=object),
        "datetime": np.arange("2026-01", "2026-03", dtype="M8[D]"),
        "timedelta": np.array([1, 2], dtype="m8[ms]"),
        "not a number": np.array([np.nan, np.inf, -0.0]),
        "masked": np.ma.masked_greater(rng.random(20), 0.5),
        "record array": np.rec.array([(1, "a")], dtype=[("n", "i8"), ("t", "U2")]),
        "matrix": np.matrix([[1, 2], [3, 4]]),
        "scalar": np.float32(1.5),
        "dtype": np.dtype("f8,i4"),
        "polynomial": np.polynomial.Chebyshev([1, 2, 3], domain=[0, 2]),
        "generator": rng,
        "legacy generator": np.random.RandomState(3),
        "ufunc": np.add,
    }
    shared = np.arange(20_000)
    objects["shared"] = [shared, shared, shared[:10].copy()]
    return objects


def pandas_objects():
    import numpy as np
    import pandas as pd

    count = 200
    frame = pd.DataFrame(
        {
            "i": range(count),
            "f": np.linspace(0, 1, count),
            "s": [f"text {i % 7}" for i in range(count)],
            "t": pd.date_range("2026-01-01", periods=count, tz="Europe/Zurich"),
            "d": pd.to_timedelta(range(count), unit="h"),
            "c": pd.Categorical(["a", "b"] * (count // 2), categories=["b", "a", "z"], ordered=True),
            "n": pd.array([1, None] * (count // 2), dtype="Int64"),
            "b": pd.array([True, None] * (count // 2), dtype="boolean"),
            "p": pd.period_range("2026-01", periods=count, freq="M"),
            "v": pd.interval_range(0, count),
            "o": [{"k": i} for i in range(count)],
            "sparse": pd.arrays.SparseArray([0, 0, 1, 0] * (count // 4)),
        },
        index=pd.MultiIndex.from_product([range(10), range(count // 10)], names=["x", "y"]),
    )
    frame.attrs["unit"] = "K"
    large = pd.DataFrame(np.random.default_rng(2).random((20_000, 8)), columns=list("abcdefgh"))
    objects = {
        "frame": frame,
        "large": large,
        "empty": pd.DataFrame(),
        "transposed": large.head(20).T,
        "pivoted": frame.reset_index().pivot_table(index="x", columns="c", values="f", observed=True),
        "range": pd.RangeIndex(3, 30, 3),
        "dates": pd.DatetimeIndex(["2026-01-01", None]),
        "grouped": frame.groupby("c", observed=True)["f"].agg(["mean", "max"]),
        "timestamp": pd.Timestamp("2026-01-01 12:00", tz="UTC"),
        "interval": pd.Interval(0, 1, closed="left"),
        "period": pd.Period("2026-03", freq="M"),
        "missing": [pd.NA, pd.NaT],
        "offset": pd.offsets.BusinessDay(3),
    }
    return objects | {f"column {name}": frame[name] for name in frame}


def networkx_objects():
    import networkx as nx

    weighted = nx.karate_club_graph()
    weighted.add_edge("self", "self", weight=0.5)
    tree = nx.balanced_tree(2, 9, create_using=nx.DiGraph)
    several = nx.MultiDiGraph([(1, 2, {"kind": "road"}), (1, 2, {"kind": "rail"}), (2, 3)])
    tuples = nx.grid_2d_graph(20, 20)
    nx.set_node_attributes(tuples, {node: {"place": node} for node in tuples})
    lists = nx.path_graph(5)
    lists.graph["history"] = history = [1, 2]
    lists.nodes[0]["history"] = history
    return {
        "weighted": weighted,
        "tree": tree,
        "several": several,
        "tuples": tuples,
        "several undirected": nx.MultiGraph(several),
        "frozen": nx.freeze(nx.cycle_graph(6)),
        "embedding": nx.check_planarity(nx.cubical_graph())[1],
        "shared": lists,
        "random": nx.gnp_random_graph(300, 0.05, seed=4),
        "graphs of graphs": nx.Graph([(nx.Graph([(1, 2)]).__class__, "class")]),
        "copied part": weighted.subgraph([0, 1, 2]).copy(),
    }


@pytest.mark.parametrize("builder", ["numpy_objects", "pandas_objects", "networkx_objects"])
def test_objects_of_other_libraries(place, builder):
    pytest.importorskip(builder.partition("_")[0])
    through_another_process(place, builder)


def fitted():
    """Return each estimator of scikit-learn that can be fitted to a little data of the usual kind, by name."""
    import numpy as np
    from sklearn.utils import all_estimators

    rng = np.random.default_rng(5)
    features = rng.random((60, 4))
    kinds = {
        "regressor": features @ [1.0, 2.0, 3.0, 4.0],
        "classifier": (features.sum(axis=1) > 2).astype(int),
        "cluster": None,
        "transformer": (features.sum(axis=1) > 2).astype(int),
    }
    found = {}
    for kind, target in kinds.items():
        for name, cls in all_estimators(kind):
            with contextlib.suppress(Exception):  # it asks for arguments or data of another kind
                estimator = cls()
                if "random_state" in estimator.get_params():
                    estimator.set_params(random_state=0)
                found[name] = estimator.fit(features, target), features
    return found


def answers(estimator, features):
    """Return what an estimator says of data, method by method."""
    found = {}
    for method in ("predict", "predict_proba", "decision_function", "transform", "get_feature_names_out"):
        with contextlib.suppress(Exception):
            arguments = () if method == "get_feature_names_out" else (features,)
            found[method] = getattr(estimator, method)(*arguments)
    return found


def predict(url, ids, told):
    """Compare what loaded estimators say with what those that were saved said."""
    import numpy as np
    import scipy.sparse as sp

    compared = 0
    with make_store(url) as store, warnings.catch_warnings(action="ignore"):
        expected = store.load(told)
        for name, id_ in ids.items():
            estimator, features = store.load(id_)
            assert type(estimator).__name__ == name
            said = answers(estimator, features)
            assert said.keys() == expected[name].keys(), name
            for method, value in said.items():
                one, other = [v.toarray() if sp.issparse(v) else v for v in (value, expected[name][method])]
                assert np.array_equal(one, other) or np.allclose(one, other, rtol=1e-12), (name, method)
                compared += 1
    return compared


@pytest.fixture(scope="module")
def estimators():
    pytest.importorskip("sklearn")
    return make("fitted")


def test_estimators_of_scikit_learn(place, estimators, record_property):
    """All that can be fitted: in another process they say the same."""
    with warnings.catch_warnings(action="ignore"), place.open(durable=False) as store:
        said = {name: answers(*pair) for name, pair in estimators.items()}
        ids = {name: store.save(pair, name=name) for name, pair in estimators.items()}
        told = store.save(said)
    compared = in_fresh_process(predict, place.url, ids, told, timeout=280)
    record_property(f"estimators, {place.kind}", f"{len(ids)} with {compared} methods")
    assert len(ids) >= 120
    assert compared >= 200


def collected(pickletester):
    """Run CPython's tests of pickle; return what they pickle and can load again, as the standard library writes it."""
    streams = {}

    class Collecting(pickletester.AbstractPickleTests, unittest.TestCase):
        pickler = pickle.Pickler

        def dumps(self, arg, proto=None, **kwargs):
            if "buffer_callback" not in kwargs:
                with contextlib.suppress(Exception):
                    streams.setdefault(pickle.dumps(arg, 5))
            return pickle.dumps(arg, proto, **kwargs)

        def loads(self, stream, **kwargs):
            return pickle.loads(stream, **kwargs)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Collecting).run(result)
    assert [trace for _, trace in (*result.failures, *result.errors)] == []
    return list(streams)


def look_at_streams(url, pairs):
    compared = 0
    with make_store(url) as store:
        for id_, stream in pairs:
            try:
                expected = pickle.loads(stream)
            except AttributeError:  # of a class that a test had made, which is not here
                continue
            alike(expected, store.load(id_))
            compared += 1
    return compared


def test_what_cpythons_own_tests_pickle(place, record_property, pickletester):
    pairs = []
    with place.open(durable=False) as store:
        for stream in collected(pickletester):
            try:
                obj = pickle.loads(stream)
            except Exception:  # its class was there during the test only
                continue
            pairs.append((store.save(obj), stream))
    record_property(f"objects of CPython's tests, {place.kind}", f"{len(pairs)}")
    assert len(pairs) >= 800
    assert in_fresh_process(look_at_streams, place.url, pairs) >= len(pairs) - 20
