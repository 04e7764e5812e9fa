"""The kinds of requests that a browser can make, each declared where it is answered.

`request` is the declaration. All else that depends on the kind reads it in `REQUESTS`: the service, the
browser's threads, and the front end, which is told of lanes and repeatable kinds when it starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

__all__ = ["LANES", "REQUESTS", "Lane", "Request", "for_front_end", "request"]

#: Where requests are answered. Those of ``immediate`` are answered by the thread that brought them, the
#: others by one thread for each lane, in their order.
Lane = Literal["immediate", "counts", "summaries", "actions"]

LANES: tuple[Lane, ...] = get_args(Lane)

_Method = TypeVar("_Method", bound=Callable[..., dict[str, Any]])


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request.

    Attributes
    ----------
    lane : {"immediate", "counts", "summaries", "actions"}
        Where it is answered.
    repeatable : bool
        Whether it can be sent again without doing anything twice.
    answer : callable
        Takes the service and the request, and returns the reply.
    """

    lane: Lane
    repeatable: bool
    answer: Callable[[Any, Any], dict[str, Any]]


#: All kinds of requests by their names.
REQUESTS: dict[str, Request] = {}


def request(kind: str, *, lane: Lane, repeatable: bool = True) -> Callable[[_Method], _Method]:
    """Declare that a method answers the requests of a kind; see `Request` for the arguments."""

    def declare(method: _Method) -> _Method:
        REQUESTS[kind] = Request(lane, repeatable, method)
        return method

    return declare


def for_front_end() -> dict[str, list[str]]:
    """Return what a front end needs to know of the kinds: the immediate ones, and the repeatable ones."""
    return {
        "immediate": [kind for kind, it in REQUESTS.items() if it.lane == "immediate"],
        "repeatable": [kind for kind, it in REQUESTS.items() if it.repeatable],
    }
