"""How many Python frames the path of a single object takes.

Counted are the "call" events of `sys.setprofile`, of all Python code, in the second call of its kind: warm, not
durable, with an instance of an importable class. A later change may raise a number, with its reason here.
"""

from __future__ import annotations

import sys

import pytest

from gc3store.testing import Node, Point

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions call in other ways")


def frames(function):
    names = []

    def note(frame, event, arg):
        if event == "call":
            names.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")

    function()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return names[1:]  # without the function itself


@pytest.fixture
def store(place):
    return place.open(durable=False)


@pytest.mark.parametrize(("make", "most"), [(Point, 40), (Node, 50)])
def test_saving_a_new_object(store, make, most):
    objects = [make(number) for number in range(3)]
    store.save(objects.pop())
    found = frames(lambda: store.save(objects.pop()))
    assert 10 < len(found) <= most, "\n".join(found)


@pytest.mark.parametrize("make", [Point, Node])
def test_loading_an_object(store, make):
    ids = [store.save(make(number)) for number in range(3)]
    store.invalidate_cache()
    store.load(ids.pop())
    found = frames(lambda: store.load(ids.pop()))
    assert 5 < len(found) <= 14, "\n".join(found)
