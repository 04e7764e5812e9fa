"""Looking inside stored objects: nothing here imports or calls what a payload names."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gc3store.engine.primitives import Primitives, Stored, not_found
from gc3store.errors import StoreError
from gc3store.ids import check_id
from gc3store.inspection.building import Reader
from gc3store.inspection.globals import Global, globals_of
from gc3store.inspection.machine.stream import run, transcribe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Inspecting", "Payload", "payload_of"]


class Payload:
    """A record's payload, as it is to be read inertly.

    Attributes
    ----------
    stream : bytes-like
        The pickle stream.
    buffers : sequence of buffers
        Its out-of-band buffers.
    references : tuple of str or None
        What its references by number refer to; `None` where that has to be asked for.
    """

    __slots__ = ("buffers", "references", "stream")

    def __init__(self, stream: Any, buffers: Sequence[Any], references: tuple[str, ...] | None) -> None:
        self.stream = stream
        self.buffers = buffers
        self.references = references


def payload_of(stored: Stored) -> Payload:
    """Return the payload of a record."""
    source = stored.open()
    stream = source.stream
    return Payload(
        stream.read() if hasattr(stream, "read") else stream, source.buffers or (), stored.references
    )


class Inspecting(Primitives):
    """How to see what is in an object without its classes."""

    def _inert_payloads(self, ids: Sequence[str]) -> Iterator[tuple[str, Payload]]:
        """Yield the payloads of those records that exist."""
        return ((stored.id, payload_of(stored)) for stored in self._read(ids))

    def _inert_payload(self, id_: str) -> Payload:
        for _, payload in self._inert_payloads([id_]):
            return payload
        raise not_found(id_)

    def inspect(self, id_: str) -> Any:
        """Return what is in an object, without importing or calling anything that it names.

        Parameters
        ----------
        id_ : str
            The ID.

        Returns
        -------
        Any
            Plain values as themselves, everything else as inert values that can be walked like the object:
            ``job.execution.exitcode``, ``result["energy"]``, ``tasks[3]``. References to other stored
            objects are followed when an attribute of theirs is asked for.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        CorruptRecordError, InspectionError
            If its bytes are damaged, or made to harm whoever reads them.

        See Also
        --------
        gc3store.inspection : the inert values, and comparing them.
        """
        id_ = check_id(id_)
        payload = self._inert_payload(id_)
        try:
            raw = run(transcribe(payload.stream, payload.buffers))
            references = payload.references
            if references is None:
                references = tuple(self._describe_references(id_))
            return Reader(references, self.inspect, size=len(payload.stream)).read(raw)
        except StoreError as error:
            error.id = error.id or id_
            raise

    def _describe_references(self, id_: str) -> Sequence[str]:
        record = self._describe(id_)
        return () if record is None else record.references

    def imports(self, id_: str) -> builtins.list[Global]:
        """Return what loading an object would import, and what is known of each name.

        Nothing is imported in order to find out.

        Returns
        -------
        list of gc3store.inspection.globals.Global
            The names, each with whether it can be found here and now, whether the pickle calls it, and
            whether it is known to make values only, is a class, or can act.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        CorruptRecordError, InspectionError
            If its bytes are damaged, or made to harm whoever reads them.
        """
        id_ = check_id(id_)
        payload = self._inert_payload(id_)
        try:
            return globals_of(payload.stream, payload.buffers)
        except StoreError as error:
            error.id = error.id or id_
            raise

    def attributes(self, **filters: Any) -> pd.DataFrame:
        """Return which paths exist in how many objects of each class, with the types of what is there.

        Parameters
        ----------
        **filters
            As for `list`; ``limit=1000`` looks at so many objects only.

        Returns
        -------
        pandas.DataFrame
            A row for each class and path, with ``count`` (in how many objects), ``of`` (how many there
            are of the class), ``types`` and an ``example``; any ``path`` can be a column of `table`. For tasks
            of GC3Pie they include what `gc3store.inspection.jobs` makes of them: ``job.outcome``.
        """
        from gc3store.tables.suggestions import attributes

        return attributes(self, filters)
