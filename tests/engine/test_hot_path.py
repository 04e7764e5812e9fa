"""How many Python frames the path of a single object takes.

Counted are the "call" events of `sys.setprofile`, of all Python code, in the second call of its kind: warm, not
durable, with an instance of an importable class. A later change may raise a number, with its reason here.
"""

from __future__ import annotations

import sys

import pytest

from gc3store import make_store
from gc3store.testing import Node, Point, in_new_interpreter

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other versions call in other ways")


def frames(function):
    """Return the Python frames of a call, the second of its kind."""
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


def frames_of_saving(url, make):
    with make_store(url, durable=False) as store:
        objects = [make(number) for number in range(3)]
        store.save(objects.pop())
        return frames(lambda: store.save(objects.pop()))


def frames_of_loading(url, make):
    with make_store(url, durable=False) as store:
        ids = [store.save(make(number)) for number in range(3)]
        store.invalidate_cache()
        store.load(ids.pop())
        return frames(lambda: store.load(ids.pop()))


# In a process of its own: where IPython runs, a save also asks in which cell.


@pytest.mark.parametrize(("make", "most"), [(Point, 40), (Node, 50)])
def test_saving_a_new_object(place, make, most):
    found = in_new_interpreter(frames_of_saving, place.url, make)
    assert 10 < len(found) <= most, "\n".join(found)


@pytest.mark.parametrize("make", [Point, Node])
def test_loading_an_object(place, make):
    found = in_new_interpreter(frames_of_loading, place.url, make)
    assert 5 < len(found) <= 14, "\n".join(found)
