"""A type is known to inspection once it is declared: what builds it, and how it is walked and written."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from gc3store.inspection import class_path, differences, html, read, same, text
from gc3store.inspection.building import BUILDERS, builds, take
from gc3store.inspection.shape import JSON_NAMES, SHAPES, ContainerShape, Json, ScalarShape, shaped
from gc3store.tables.cell_values import decoded, encoded


class Money:
    """What a scalar of a library that is not installed is shown as."""

    def __init__(self, amount, currency):
        self.amount, self.currency = amount, currency

    def __eq__(self, other):
        return (self.amount, self.currency) == (other.amount, other.currency)

    __hash__ = None


class Purse(list):
    """What a container of such a library is shown as."""


def stream(*values):
    """Return a pickle that calls for them by names of no module."""
    made = b"".join(b"cmade_up\nMoney\n(K" + bytes([n]) + b"\x8c\x03CHFtR" for n in values)
    return b"\x80\x04cmade_up\nPurse\n(" + made + b"tR."


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setattr("gc3store.inspection.shape._found", {})
    tables = BUILDERS, SHAPES, JSON_NAMES
    before = [dict(table) for table in tables]
    json = Json("Money", lambda v, write: [v.amount, v.currency], lambda data, read: Money(*data))
    shaped(ScalarShape(lambda v: f"{v.currency} {v.amount}", json=json, number=True), Money)
    shaped(ContainerShape("sequence", "list", "purse[", "]"), Purse)

    @builds("made_up.Money")
    def _money(args, node, reader):
        return Money(*take(args, int, str))

    @builds("made_up.Purse", holds=True)
    def _purse(args, node, reader):
        return Purse(reader.values(args))

    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)


def test_what_is_declared_is_shown_and_compared(declared):
    purse = read(stream(5, 7))
    assert text(purse) == "purse[CHF 5, CHF 7]"
    assert "CHF 7" in html(purse)
    assert "Purse (2)" in html([purse])
    assert same(purse, read(stream(5, 7)))
    assert [(d.path, d.left.amount, d.right.amount) for d in differences(purse, read(stream(5, 8)))] == [
        ("[1]", 7, 8)
    ]
    assert decoded(encoded(purse[0])) == purse[0]


def test_what_is_not_declared_is_shown_as_the_call_that_it_is():
    shown = read(stream(5))
    assert class_path(shown) == "made_up.Purse"
    assert text(shown) == "<made_up.Purse <made_up.Money 5, 'CHF'>>"


def test_what_was_done_to_a_value_later_is_not_lost(declared):
    # A state is set that its builder does not know.
    shown = read(stream(5)[:-1] + b"}\x8c\x05ownerK\x01sb.")
    assert shown.owner == 1
    assert class_path(shown) == "made_up.Purse"


CLASSES = {
    "numpy.ndarray": np.arange(3),
    "builtins.list": [1],
    "builtins.frozenset": frozenset({(1, (2, (3,)))}),
    "builtins.int": 3,
    "": None,
}


@pytest.mark.parametrize("path", CLASSES)
def test_the_class_that_a_value_shows(path):
    assert class_path(read(pickle.dumps(CLASSES[path]))) == path


def test_types_are_known_whichever_module_is_imported_first():
    stream = b"cdatetime\ndate\n(I2026\nI1\nI2\ntR."
    program = f"import {{0}}\nfrom gc3store.inspection import read, text\nprint(text(read({stream!r})))"
    for module in ("types.numpy", "shape", "reader", "compare", "types.containers"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(f"gc3store.inspection.{module}")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "datetime.date(2026, 1, 2)\n"
