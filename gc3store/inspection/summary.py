"""What a catalogue says of an object, from its pickle, as fast as may be.

For stores that keep no catalogue of their own: a directory or table of GC3Pie holds one
pickle per job, and listing a hundred thousand of them reads each. `summary` looks at the
few values that a list shows and converts nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from gc3store.inspection.machine.nodes import PERSISTENT, Node
from gc3store.inspection.machine.rewrite import rewrite, run
from gc3store.inspection.machine.templates import TemplateMatch, Templates
from gc3store.inspection.raw_tree import RawTree, raw_class
from gc3store.inspection.reader import persistent_text
from gc3store.paths import parse

__all__ = ["Summary", "summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a pickle's root object is.

    Attributes
    ----------
    cls : str
        Its class, as ``module.Class``.
    state : str or None
        The state of a job: its ``execution.state``, or its ``state``.
    references : tuple of str
        The persistent IDs in it, in the order of their first use.
    """

    cls: str
    state: str | None
    references: tuple[str, ...]


def summary(
    stream: bytes | bytearray | memoryview,
    buffers: Iterable[Any] | None = None,
    *,
    templates: Templates | None = None,
) -> Summary:
    """Return class, job state and references of a pickle's root object.

    Parameters
    ----------
    stream : bytes-like
        The pickle.
    buffers : iterable of buffers, optional
        Its out-of-band buffers.
    templates : Templates, optional
        Those of similar streams, where there are many.

    Raises
    ------
    CorruptRecordError, InspectionError
        As `gc3store.inspection.read`.
    """
    if templates is not None and buffers is None:
        match = templates.match(stream)
        if match is not None:  # then it has no persistent IDs
            return Summary(raw_class(match.form.root), _job_state(match), ())
    rewritten = rewrite(stream, buffers)
    references: dict[str, None] = {}
    if b"K\x0b\x87Q" in rewritten.body:  # there may be persistent IDs

        def observe(operands: tuple[Any, ...]) -> Node:
            if operands[2] == PERSISTENT:
                text = persistent_text(operands[0])
                if text is not None:
                    references[text] = None
            return list(operands)

        root = run(rewritten, observe=observe)
    else:
        root = run(rewritten)
    if templates is not None and buffers is None:
        templates.learn(stream)
    return Summary(raw_class(root), _job_state(TemplateMatch(RawTree(root))), tuple(references))


_STATES: Final = tuple(
    parse(path).steps for path in ("execution.state", "execution._state", "state", "_state")
)


def _job_state(match: TemplateMatch) -> str | None:
    for steps in _STATES:
        value = match.get(steps)
        if type(value) is str:
            return value
    return None
