"""Looking inside stored objects without the code that made them.

`read` turns a pickle stream into inert values: it imports nothing and calls nothing that
the stream names, also if an attacker wrote it. How that is made sure is described in
`gc3store.inspection.machine.rewrite`; what the values are, in `gc3store.inspection.values`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO

from gc3store.errors import InspectionError
from gc3store.inspection.compare import Difference, differences, same
from gc3store.inspection.html import html
from gc3store.inspection.machine.rewrite import rewrite, run
from gc3store.inspection.reader import ValueReader
from gc3store.inspection.shape import class_path
from gc3store.inspection.summary import Summary, summary
from gc3store.inspection.text import text
from gc3store.inspection.types.columns import Column, Frame, Index
from gc3store.inspection.types.dtypes import DType
from gc3store.inspection.types.numpy import Array
from gc3store.inspection.values import Inert, Name, Pairs, Parts, Reference, parts

__all__ = [
    "Array",
    "Column",
    "DType",
    "Difference",
    "Frame",
    "Index",
    "Inert",
    "Name",
    "Pairs",
    "Parts",
    "Reference",
    "Summary",
    "class_path",
    "differences",
    "html",
    "parts",
    "read",
    "same",
    "summary",
    "text",
]


def read(
    stream: bytes | bytearray | memoryview | BinaryIO,
    *,
    buffers: Iterable[Any] | None = None,
    references: Sequence[str] = (),
    follow: Callable[[str], Any] | None = None,
) -> Any:
    r"""Return what a pickle stream holds, as inert values.

    Parameters
    ----------
    stream : bytes-like or binary file
        A pickle of any protocol.
    buffers : iterable of bytes-like, optional
        Its out-of-band buffers.
    references : sequence of str
        What references by number, as the payloads of this library have them, refer to.
    follow : callable, optional
        Called with the ID of another object when an attribute or item of a
        `Reference` is asked for; returns that object's inert value.

    Raises
    ------
    CorruptRecordError
        If the stream is cut off or is not a pickle.
    InspectionError
        If it is built so that reading it would take unreasonable time or memory, or
        lacks its buffers.

    Notes
    -----
    Memory and time are proportional to the size of the stream and its buffers,
    with any content. Large byte strings and arrays are views of the stream, which
    therefore lives as long as they do.

    Examples
    --------
    >>> job = read(b"(iising\nIsingRun\n(dVsize\nI8\nsb.")  # no module has this name
    >>> job, job.size
    (<ising.IsingRun size=8>, 8)
    """
    data = stream if isinstance(stream, (bytes, bytearray, memoryview)) else stream.read()
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InspectionError(f"A pickle is made of bytes; this file gives {type(data).__name__}.")
    return ValueReader(references, follow, size=len(data)).read(run(rewrite(data, buffers)))
