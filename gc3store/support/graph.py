"""Graphs of records: the order to handle them in, and what a change reaches.

Nothing here recurses, so depth is limited by memory alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

__all__ = ["components", "dependents"]

T = TypeVar("T")


def components(graph: Mapping[T, Sequence[T]], roots: Iterable[T]) -> Iterator[list[T]]:
    """Yield the strongly connected components of a graph, each after those it refers to.

    A component of more than one node is a set of nodes that refer to each other in
    circles. Tarjan's algorithm, without recursion.

    Parameters
    ----------
    graph : mapping of node to sequence of nodes
        What each node refers to; nodes that are not keys are passed over.
    roots : iterable of nodes
        Where to begin.

    Examples
    --------
    >>> list(components({"a": ["b", "c"], "b": ["c", "b"], "c": ["d"], "d": ["c"]}, ["a"]))
    [['d', 'c'], ['b'], ['a']]
    """
    index: dict[T, int] = {}
    low: dict[T, int] = {}
    open_: list[T] = []
    is_open: set[T] = set()
    for root in roots:
        if root in index:
            continue
        path: list[tuple[T, Iterator[T]]] = []
        node: T | None = root
        while True:
            if node is not None:  # a node met for the first time
                index[node] = low[node] = len(index)
                open_.append(node)
                is_open.add(node)
                path.append((node, iter(graph[node])))
            current, successors = path[-1]
            node = None
            for successor in successors:
                if successor not in graph:
                    continue
                if successor not in index:
                    if not graph[successor]:  # the end of a path: no need to go there
                        index[successor] = low[successor] = len(index)
                        yield [successor]
                        continue
                    node = successor
                    break
                if successor in is_open and index[successor] < low[current]:
                    low[current] = index[successor]
            if node is not None:
                continue
            path.pop()
            if low[current] == index[current]:
                component = []
                while True:
                    member = open_.pop()
                    is_open.discard(member)
                    component.append(member)
                    if member is current or member == current:
                        break
                yield component
            if not path:
                break
            parent = path[-1][0]
            low[parent] = min(low[parent], low[current])


def dependents(graph: Mapping[T, Sequence[T]], changed: set[T]) -> set[T]:
    """Return the nodes from which a changed one can be reached, those themselves included.

    >>> sorted(dependents({"a": ["b"], "b": ["c"], "c": [], "d": ["c"], "e": []}, {"b"}))
    ['a', 'b']
    """
    if not changed or changed >= graph.keys():
        return set(changed)
    referrers: dict[T, list[T]] = {}
    for node, successors in graph.items():
        for successor in successors:
            referrers.setdefault(successor, []).append(node)
    found = set(changed)
    todo = list(changed)
    while todo:
        for referrer in referrers.get(todo.pop(), ()):
            if referrer not in found:
                found.add(referrer)
                todo.append(referrer)
    return found
