"""What pandas stores is shown with the values that loading gives, whatever keeps them: NumPy, Arrow, pandas itself.

pandas keeps texts in arrays of pyarrow where that is installed, and in its own where not; the tests of
Arrow's types are skipped there, all others run on whatever pandas uses.
"""

import datetime as dt
import decimal
import math
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from gc3store.errors import InspectionError
from gc3store.inspection import Column, Frame, Index, differences, html, read, same, text

try:
    import pyarrow as pa
except ImportError:
    pa = None

needs_arrow = pytest.mark.skipif(pa is None, reason="pyarrow, which keeps these values, is not installed")
DAYS = pd.date_range("2026-01-01", periods=4, name="when")
LONG = [None if i % 7 == 3 else "é" * (i % 5) + str(i) for i in range(2000)]


def plain(value):
    """Return what inspection shows for a value of pandas."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    if isinstance(value, pd.Timedelta):
        return value.to_pytimedelta()
    if isinstance(value, (pd.Period, pd.Interval)):
        return str(value)
    if isinstance(value, (list, np.ndarray)):
        return [plain(v) for v in value]
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    return value.item() if isinstance(value, np.generic) else value


def simple(values):
    """The same for values that inspection has shown: NaN and nothing are one to pandas."""
    return [None if isinstance(v, float) and math.isnan(v) else v for v in values]


ARRAYS = {
    "texts": lambda: pd.array(["a", None, "čde", ""], dtype="str"),
    "texts of Python": lambda: pd.array(["a", None, "cde"], dtype="string[python]"),
    "long texts": lambda: pd.array(LONG, dtype="str"),
    "part of texts": lambda: pd.array(LONG, dtype="str")[5:1500:3],
    "no texts": lambda: pd.array([], dtype="str"),
    "integers": lambda: pd.array([1, None, -3], dtype="Int8"),
    "unsigned": lambda: pd.array([1, None], dtype="UInt64"),
    "floats": lambda: pd.array([1.5, None], dtype="Float32"),
    "truth": lambda: pd.array([True, None, False], dtype="boolean"),
    "categories": lambda: pd.Categorical(["u", "v", None, "u"]),
    "ordered categories": lambda: pd.Categorical([3, 1, 3], categories=[3, 2, 1], ordered=True),
    "categories of moments": lambda: pd.Categorical(DAYS[[0, 2, 0]]),
    "categories of intervals": lambda: pd.cut(pd.Series([0.5, 1.5, 2.5]), [0, 1, 2, 3]).array,
    "months": lambda: pd.period_range("1969-11", periods=3, freq="M").array,
    "periods with one missing": lambda: pd.array(["2026-01-01", None], dtype="period[D]"),
    "intervals": lambda: pd.array(pd.interval_range(0, 3)),
    "open intervals": lambda: pd.arrays.IntervalArray.from_breaks([0.5, 1.5, 2.5], closed="neither"),
    "intervals with one missing": lambda: pd.array(
        [pd.Interval(0.0, 1.0), None], dtype="interval[float64, right]"
    ),
    "intervals of moments": lambda: pd.arrays.IntervalArray.from_breaks(DAYS),
    "sparse": lambda: pd.arrays.SparseArray([0, 0, 1, 2, 0]),
    "sparse in blocks": lambda: pd.arrays.SparseArray([0, 5, 6, 0, 0, 7, 0, 8, 9], kind="block"),
    "sparse with gaps": lambda: pd.arrays.SparseArray([math.nan, 1.5, math.nan]),
    "all sparse": lambda: pd.arrays.SparseArray([False] * 5),
    "moments": lambda: DAYS.array,
    "moments in a zone": lambda: DAYS.tz_localize("Europe/Zurich").array,
    "moments in UTC": lambda: DAYS.tz_localize("UTC").array,
    "moments at an offset": lambda: DAYS.tz_localize(dt.timezone(dt.timedelta(hours=2))).array,
    "nanoseconds": lambda: pd.array(np.array([1_000, 2_000_000], dtype="M8[ns]")),
    "durations": lambda: (DAYS - DAYS[1]).array,
}
ARROW = {
    "int16": lambda: pd.array([1, None, 3], dtype="int16[pyarrow]"),
    "float": lambda: pd.array([1.5, None], dtype="float32[pyarrow]"),
    "bool": lambda: pd.array([True, None, False] * 7, dtype="bool[pyarrow]"),
    "string": lambda: pd.array(["x", None, "ÿ"], dtype="string[pyarrow]"),
    "binary": lambda: pd.array([b"x", None, b""], dtype=pd.ArrowDtype(pa.binary())),
    "timestamp": lambda: pd.array(list(DAYS), dtype="timestamp[ns][pyarrow]"),
    "timestamp in a zone": lambda: pd.array(
        list(DAYS.tz_localize("Europe/Zurich")), dtype=pd.ArrowDtype(pa.timestamp("us", "Europe/Zurich"))
    ),
    "duration": lambda: pd.array([pd.Timedelta("90s"), None], dtype="duration[ms][pyarrow]"),
    "date": lambda: pd.array([dt.date(2026, 1, 2), None, dt.date(1, 1, 1)], dtype=pd.ArrowDtype(pa.date32())),
    "date64": lambda: pd.array([dt.date(2026, 1, 2), None], dtype=pd.ArrowDtype(pa.date64())),
    "time": lambda: pd.array([dt.time(3, 4, 5, 6), None], dtype=pd.ArrowDtype(pa.time64("us"))),
    "short time": lambda: pd.array([dt.time(3, 4, 5), None], dtype=pd.ArrowDtype(pa.time32("s"))),
    "decimal": lambda: pd.array([decimal.Decimal("-1.50"), None], dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
    "list": lambda: pd.array([[1, 2], None, [], [3]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "list of texts": lambda: pd.array([["a"], [None, "b"]], dtype=pd.ArrowDtype(pa.list_(pa.string()))),
    "struct": lambda: pd.array(
        [{"a": 1, "b": "x"}, None], dtype=pd.ArrowDtype(pa.struct([("a", pa.int8()), ("b", pa.string())]))
    ),
    "dictionary": lambda: pd.array(
        ["u", "v", None, "u"], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))
    ),
    "null": lambda: pd.array([None, None], dtype=pd.ArrowDtype(pa.null())),
    "part": lambda: pd.array(list(range(20)), dtype="int64[pyarrow]")[3:11],
    "chunks": lambda: pd.arrays.ArrowExtensionArray(pa.chunked_array([[1, None], [], [3, 4]])),
}


def check(array, protocol):
    shown = read(pickle.dumps(array, protocol))
    assert isinstance(shown, Column), shown
    assert len(shown) == len(array)
    assert same(simple(shown), [plain(value) for value in array])
    assert same(shown, read(pickle.dumps(array, protocol)))
    if len(array):
        assert shown[-1] == simple([plain(array[len(array) - 1])])[0] or shown[-1] != shown[-1]
    text(shown), html(shown)
    return shown


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_pandas(name, protocol):
    array = ARRAYS[name]()
    if name == "nanoseconds":
        shown = read(pickle.dumps(array, protocol))
        assert list(shown) == [value.to_pydatetime() for value in array]
        return
    shown = check(array, protocol)
    if name not in ("moments at an offset", "all sparse", "moments in a zone"):
        assert shown.dtype.split(",")[0] == str(array.dtype).split(",")[0].replace("string[python]", "string")


@needs_arrow
@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", ARROW)
def test_arrays_of_arrow(name, protocol):
    check(ARROW[name](), protocol)


@needs_arrow
def test_arrow_by_itself():
    for array in (pa.array([1, None, 3])[1:], pa.array(["a", "bc"]), pa.chunked_array([["a"], ["b", None]])):
        for protocol in range(2, 6):
            assert list(read(pickle.dumps(array, protocol))) == array.to_pylist()
    buffers = []
    stream = pickle.dumps(pa.array(["a", None, "cd"]), 5, buffer_callback=buffers.append)
    assert list(read(stream, buffers=buffers)) == ["a", None, "cd"]


@needs_arrow
def test_arrow_that_is_not_understood_is_a_placeholder():
    shown = read(pickle.dumps(pa.array([decimal.Decimal("1.5")], pa.decimal256(40, 2))))
    assert "decimal256" in text(shown)
    # Offsets that lead out of the data, which pyarrow itself would follow.
    stream = pickle.dumps(pa.array(["abcd", "efgh"]), 5).replace(
        b"\x04\0\0\0\x08\0\0\0", b"\x04\0\0\0\x7f\0\0\0"
    )
    shown = read(stream)
    with pytest.raises(InspectionError, match="damaged"):
        list(shown)
    assert (len(shown), shown.dtype) == (2, "string[pyarrow]")
    assert "string" in text(shown)
    assert "string" in html(shown)
    assert differences([shown], [read(stream)]) == []
    assert [d.path for d in differences([shown], [read(stream.replace(b"abcd", b"abce"))])] == ["[0]"]


INDEXES = {
    "range": lambda: pd.RangeIndex(3, 30, 5, name="n"),
    "texts": lambda: pd.Index(["a", "b"], name="t"),
    "moments": lambda: DAYS,
    "moments in a zone": lambda: DAYS.tz_localize("America/New_York"),
    "durations": lambda: DAYS - DAYS[1],
    "periods": lambda: pd.period_range("2026-01", periods=3, freq="Q", name="q"),
    "intervals": lambda: pd.interval_range(0.0, 3.0, closed="both", name="i"),
    "categories": lambda: pd.CategoricalIndex(["a", "b", "a"]),
    "levels": lambda: pd.MultiIndex.from_product([[1, 2], ["a", "b"], DAYS[:2]], names=["x", "y", None]),
    "levels with gaps": lambda: pd.MultiIndex.from_tuples([(1, "a"), (2, None)]),
    "objects": lambda: pd.Index([1, "a", (2, 3)], dtype=object),
}


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", INDEXES)
def test_indexes(name, protocol):
    index = INDEXES[name]()
    shown = read(pickle.dumps(index, protocol))
    assert isinstance(shown, Index), shown
    assert simple(shown) == [plain(value) for value in index]
    assert shown.names == list(index.names)
    assert same(shown, read(pickle.dumps(index, protocol)))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_frame_of_everything(protocol):
    columns = {name: make() for name, make in ARRAYS.items()}
    frame = pd.DataFrame({name: pd.Series(array[:3]) for name, array in columns.items()})
    frame["numbers"] = [1, 2, 3] + [4] * (len(frame) - 3)
    frame["more"] = 0.5
    shown = read(pickle.dumps(frame, protocol))
    assert isinstance(shown, Frame), shown
    assert list(shown.columns) == list(frame.columns)
    for label in frame.columns:
        if label != "nanoseconds":
            assert same(simple(shown[label]), [plain(value) for value in frame[label]]), label
    assert dict(shown.dtypes)["texts"] == "str"
    other = frame.copy()
    other.loc[2, "texts"] = "changed"
    found = differences(shown, read(pickle.dumps(other, protocol)))
    assert [(d.left, d.right) for d in found] == [("čde", "changed")]
    assert len(html(shown)) < 20_000


def test_moments_in_a_zone_are_those_moments():
    zoned = DAYS.tz_localize("Europe/Zurich")
    shown = read(pickle.dumps(pd.DataFrame({"t": zoned}, index=zoned)))
    assert list(shown["t"]) == [moment.to_pydatetime() for moment in zoned]
    assert list(shown.index) == list(shown["t"])
    assert shown["t"].dtype == str(zoned.dtype)
    moment = read(pickle.dumps(zoned[0]))
    assert moment == zoned[0].to_pydatetime()


@pytest.mark.parametrize(
    "freq",
    [
        "Y",
        "Y-MAR",
        "Q",
        "Q-MAR",
        "M",
        "3M",
        "W",
        "W-TUE",
        "W-MON",
        "D",
        "2D",
        "h",
        "4h",
        "min",
        "s",
        "ms",
        "us",
        "ns",
    ],
)
def test_periods_are_written_as_pandas_does(freq):
    for moment in (
        "1969-12-28 23:59",
        "1970-01-01",
        "2026-05-06 07:08:09.123456",
        "1677-09-22",
        "2200-02-28",
    ):
        period = pd.Period(moment, freq)
        assert read(pickle.dumps(period)) == str(period)
        assert list(read(pickle.dumps(pd.PeriodIndex([period, None])))) == [str(period), None]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # pandas will not know them
def test_business_days_are_written_as_pandas_does():
    for day in ("1969-12-29", "1970-01-01", "1970-01-02", "1970-01-05", "2026-05-06"):
        period = pd.Period(day, "B")
        assert read(pickle.dumps(period)) == str(period)


WITHOUT = """
import sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None
from gc3store.errors import InspectionError
from gc3store.inspection import differences, html, read, same, text
stream = open(sys.argv[1], "rb").read()
shown, again = read(stream), read(stream)
assert same(shown, again)
assert len(html(shown)) < 10_000
print(text(shown), shown.shape, [label for label, _ in shown.dtypes])
for column in (shown.column(i) for i in range(shown.shape[1])):
    try:
        print(column.dtype, len(column), column[4])
    except InspectionError as error:
        print(column.dtype, len(column), error)
"""


@pytest.mark.parametrize("gone", ["numpy,pandas,pyarrow", "pyarrow"])
def test_types_and_sizes_without_the_libraries(tmp_path, gone):
    labels = pd.Index(["s", "n"], dtype=object)
    arrow = pd.array(list(range(2000)), dtype="int64[pyarrow]") if pa else list(range(2000))
    frame = pd.DataFrame({"s": arrow, "n": range(2000)})
    frame.columns = labels
    (tmp_path / "frame").write_bytes(pickle.dumps(frame))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path / "frame", gone], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown, *columns = sorted(done.stdout.splitlines())
    assert "DataFrame 2,000" in shown
    assert "(2000, 2)" in shown
    assert sorted(line.split()[1] for line in columns) == ["2000", "2000"]
    assert "['s', 'n']" in shown
    if gone == "pyarrow":
        assert "int64 2000 4" in columns
    else:
        assert all("without numpy" in line or "without pyarrow" in line for line in columns)
    if pa:
        assert any(line.startswith("int64[pyarrow] 2000 These values") for line in columns)


def test_what_differs_without_the_libraries(tmp_path):
    for name, last in (("a", 3), ("b", 4)):
        (tmp_path / name).write_bytes(pickle.dumps({"x": np.array([1, 2, last]), "y": np.arange(3)}))
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from gc3store.inspection import differences, read\n"
        "print([d.path for d in differences(*(read(open(f, 'rb')) for f in sys.argv[1:]))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a", tmp_path / "b"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['x']\n"


LOOK = """
import sys
from gc3store.inspection import html, read, same, text
known = set(sys.modules)
shown = read(open(sys.argv[1], "rb"))
print(*sorted(set(sys.modules) - known))
text(shown), html(shown), same(shown, read(open(sys.argv[1], "rb")))
new = {name.partition(".")[0] for name in set(sys.modules) - known}
print(*sorted(new & {"trap", "tzdata", "antigravity", "this", "numpy"}))
"""


def test_nothing_is_imported_that_the_payload_chooses(tmp_path):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    zoned = DAYS.tz_localize("Africa/Abidjan")
    frame = pd.DataFrame({"t": zoned, "n": np.arange(4), "s": ["a", "b", None, "d"]}, index=zoned)
    values = [frame, pd.period_range("2026", periods=4, freq="D"), np.arange(3)]
    if pa:
        kind = pd.ArrowDtype(pa.timestamp("ns", "Africa/Abidjan"))
        values.append(pd.DataFrame({"z": pd.array(list(zoned), dtype=kind)}))
    # A class of its own for an array, and a zone and a type that are modules.
    stream = pickle.dumps(values, 2).replace(b"Africa/Abidjan", b"tzdata/../trap")
    stream = stream.replace(b"cnumpy\nndarray\n", b"ctrap\nndarray\n")
    (tmp_path / "values").write_bytes(stream)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, tmp_path / "values"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read_only, shown = done.stdout.split("\n")[:2]
    assert not {"numpy", "pandas", "pyarrow"} & set(read_only.split())
    assert shown == "numpy"
