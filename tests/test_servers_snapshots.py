"""What is read in several steps is of one state of the database, also where the line breaks between two of them."""

from __future__ import annotations

import gc
import re
from itertools import count

import pytest

from gc3store import StoreError, make_store
from gc3store.testing import Node, Point
from tests.proxy import Proxy
from tests.servers import KINDS, database

pytestmark = [
    pytest.mark.server,
    # A driver whose line was cut leaves its socket to the collector, which says so.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

ANYTHING = re.compile(b"")


@pytest.fixture(scope="module", params=KINDS)
def url(request):
    with database(request.param) as url:
        yield url
    gc.collect()  # sockets that a driver left are not to be found during another test


class Graph:
    """Records that change together; what is read of them must agree."""

    def __init__(self):
        self.obj = Node(0, Node(0, Node(0)))

    def change(self, store, number):
        for node in (self.obj, self.obj.links[0], self.obj.links[0].links[0]):
            node.value = number
        store.save(self.obj)

    @staticmethod
    def values(obj):
        return {obj.value, obj.links[0].value, obj.links[0].links[0].value}


class Large:
    """A record of many chunks, more than are read at a time."""

    def __init__(self):
        self.obj = Point(bytes(9_000_000))

    def change(self, store, number):
        store.replace(self.obj.persistent_id, Point(bytes([number % 256]) * 9_000_000))

    @staticmethod
    def values(obj):
        return {obj.x[0], obj.x[-1], *obj.x[::1_000_000]}


@pytest.mark.parametrize("kind", [Graph, Large])
def test_a_line_that_is_cut_while_others_write(url, kind):
    """Cut at each message of a load in turn: what is loaded then is the state before or the state after, whole."""
    table = f"snapshot_{kind.__name__.lower()}"
    subject = kind()
    refused = 0
    with make_store(url, table_name=table, durable=False) as writer:
        id_ = writer.save(subject.obj)
        for number in count():
            with Proxy(url) as proxy, make_store(proxy.url, table_name=table) as reader:
                reader.list()  # it has a connection
                proxy.meanwhile = lambda number=number: subject.change(writer, number + 1)
                proxy.at, proxy.passing, proxy.cut = ANYTHING, number, "before"
                try:
                    found = subject.values(reader.load(id_, fresh=True))
                except StoreError:
                    refused += 1
                else:
                    assert len(found) == 1, f"cut at message {number}: parts of {found}"
                    assert found <= {number, number + 1}
                finally:
                    proxy.cut = None
                if not proxy.cuts:
                    break
                assert subject.values(reader.load(id_, fresh=True)) == {number + 1}
    assert number > 2
    assert refused  # where something was read already
