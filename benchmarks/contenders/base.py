"""What a contender can be asked to do; only the standard library is imported here.

A contender is a small class that stores objects one way. It implements what its way
offers; what it leaves out is reported as not offered. Keys are whatever it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.samples import Job, fill

__all__ = ["Contender", "NotOffered"]


class NotOffered(Exception):  # noqa: N818 (an answer, no error)
    """This contender does not do such a thing."""


class Contender:
    """One way to store objects, in `directory`."""

    #: The class of the jobs it stores.
    job_class: type = Job

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    def job(self, number: int) -> Any:
        """Return a new job."""
        return fill(self.job_class(), number)

    def close(self) -> None:
        """Give back files and connections."""

    def forget(self) -> None:
        """Drop caches of loaded objects, so that the next load reads."""

    def prepare(self, count: int) -> None:
        """Do what is not to be timed before `count` jobs are saved at once."""

    # One by one; each is its own transaction.

    def save(self, obj: Any) -> Any:
        raise NotOffered("save")

    def load(self, key: Any) -> Any:
        raise NotOffered("load")

    def replace(self, key: Any, obj: Any) -> None:
        raise NotOffered("replace")

    def remove(self, key: Any) -> None:
        raise NotOffered("remove")

    def list(self) -> list[Any]:
        raise NotOffered("list")

    # Many in one transaction.

    def save_many(self, objs: Sequence[Any]) -> list[Any]:
        raise NotOffered("save_many")

    def load_many(self, keys: Sequence[Any]) -> list[Any]:
        raise NotOffered("load_many")

    def replace_many(self, keys: Sequence[Any], objs: Sequence[Any]) -> None:
        raise NotOffered("replace_many")

    def change_many(self, keys: Sequence[Any], objs: Sequence[Any]) -> None:
        """Save `objs` again, which were loaded and changed since."""
        self.replace_many(keys, objs)

    def remove_many(self, keys: Sequence[Any]) -> None:
        raise NotOffered("remove_many")

    # Graphs: objects stored apart, with references between them.

    def container(self, children: Sequence[Any]) -> Any:
        """Return an object whose ``children`` are stored as objects of their own."""
        raise NotOffered("container")

    def save_graph(self, container: Any) -> Any:
        raise NotOffered("save_graph")

    def load_graph(self, key: Any) -> Any:
        """Return the container with all its children read."""
        raise NotOffered("load_graph")

    def chain(self, length: int) -> Any:
        """Return the head of a linked list: ``number`` and ``next``, each stored apart."""
        raise NotOffered("chain")

    def save_chain(self, head: Any) -> Any:
        return self.save_graph(head)

    def load_chain(self, key: Any) -> Any:
        return self.load_graph(key)

    # One large array.

    def save_array(self, array: Any) -> Any:
        return self.save(array)

    def load_array(self, key: Any) -> Any:
        return self.load(key)


def link(nodes: Iterable[Any]) -> Any:
    """Make a linked list of `nodes` and return its head."""
    head = previous = None
    for number, node in enumerate(nodes):
        node.number, node.next = number, None
        if previous is None:
            head = node
        else:
            previous.next = node
        previous = node
    return head
