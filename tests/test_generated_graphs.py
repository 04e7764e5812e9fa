"""Generated graphs of objects of all kinds: saved, loaded by another process, compared, changed, saved again."""

from __future__ import annotations

import networkx as nx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gc3store import Persistable, make_store
from gc3store.testing import in_fresh_process

from .conftest import place_in
from .generated import Calls, build, nodes_of, plans, shape


def roots_of(nodes, second):
    """Return what is saved of a graph: one node, or a container of two."""
    return nodes[0] if second is None else [nodes[0], nodes[second % len(nodes)]]


def check(root):
    """Check what a class that calls its parts has heard of them: complete ones, wherever that is possible."""
    nodes = nodes_of(root)
    graph = nx.DiGraph()
    for node, links in nodes:
        graph.add_node(id(node))
        graph.add_edges_from((id(node), id(link)) for link in links)
    cycles = {id_: part for part in nx.strongly_connected_components(graph) for id_ in part}
    for node, links in nodes:
        if isinstance(node, Calls):
            for link, heard in zip(links, node.heard, strict=True):
                assert heard == link.number or id(link) in cycles[id(node)], (node.number, link.number)


def change(root, changes):
    """Change the values of some records; another part may be one in memory and stored in several."""
    records = (node for node, _ in nodes_of(root) if isinstance(node, Persistable))
    nodes = sorted(records, key=lambda node: node.number)
    for position, value in changes:
        if nodes:
            nodes[position % len(nodes)].value = value


def visit(url, ids, changes):
    """Load all graphs, change them and save them; return their shapes before and after."""
    found = []
    with make_store(url, durable=False) as store:
        for id_, wanted in zip(ids, changes, strict=True):
            try:
                root = store.load(id_)
                check(root)
                before = shape(root)
                change(root, wanted)
                if hasattr(root, "persistent_id"):
                    assert store.save(root) == id_
                else:
                    store.replace(id_, root)
                assert store.orphans() == []
            except Exception as error:
                found.append(f"{type(error).__name__}: {error}")
            else:
                found.append((before, shape(root)))
    return found


def look(url, ids):
    with make_store(url) as store:
        return [shape(store.load(id_)) for id_ in ids]


def round_trip(place, cases):
    """Take graphs through three processes; raise for the first that does not come through."""
    ids, wanted, expected = [], [], []
    with make_store(place.url, durable=False) as store:
        for plan, second, changes in cases:
            root = roots_of(build(plan), second)
            ids.append(store.save(root))
            wanted.append(changes)
            before = shape(root)
            change(root, changes)
            expected.append((before, shape(root)))
    found = in_fresh_process(visit, place.url, ids, wanted)
    for case, one, other in zip(cases, found, expected, strict=True):
        assert one == other, case
    assert in_fresh_process(look, place.url, ids) == [after for _, after in expected]


cases = st.tuples(
    plans(),
    st.none() | st.integers(0, 9),
    st.lists(
        st.tuples(st.integers(0, 9), st.text(max_size=3) | st.lists(st.integers(), max_size=2)), max_size=2
    ),
)

#: Each example takes three processes, so that there is no looking for smaller ones.
QUICK = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.mark.parametrize("kind", ["directory", "sqlite"])
@QUICK
@given(batch=st.lists(cases, min_size=3, max_size=12))
def test_generated_graphs(kind, batch, tmp_path_factory):
    round_trip(place_in(tmp_path_factory.mktemp("graphs"), kind), batch)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["directory", "sqlite"])
@settings(QUICK, max_examples=500)
@given(batch=st.lists(cases, min_size=3, max_size=12))
def test_thousands_of_generated_graphs(kind, batch, tmp_path_factory):
    round_trip(place_in(tmp_path_factory.mktemp("graphs"), kind), batch)
