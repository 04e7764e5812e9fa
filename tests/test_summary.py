"""What a notebook shows of a store."""

from __future__ import annotations

import re

from gc3store.testing import Node


def cells(html):
    return re.findall(r"<td[^>]*>(?:<bdi>)?([^<]*)(?:</bdi>)?</td>", html)


def test_how_many_of_what_and_how_big(store):
    assert "empty" in store._repr_html_()
    store.save(Node("<b>"))
    assert ">1 object, " in store._repr_html_()
    store.save_many([1, 2, 3])
    html = store._repr_html_()
    assert ">4 objects, " in html
    assert cells(html)[:2] == ["builtins.int", "3"]
    assert cells(html)[3:5] == [f"{Node.__module__}.Node", "1"]


def test_only_the_ten_most_frequent_classes(store):
    for n in range(13):
        kind = type(f"Kind{n}", (), {"__module__": "somewhere"})
        store.save_many([kind() for _ in range(n + 1)])
    html = store._repr_html_()
    assert cells(html)[0] == "somewhere.Kind12"
    assert "somewhere.Kind2" not in cells(html)
    assert "… and 3 more classes" in html
