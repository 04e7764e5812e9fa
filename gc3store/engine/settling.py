"""Objects told which records they are, once these have been written."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from gc3store.engine.primitives import Draft
from gc3store.engine.recording import Recording
from gc3store.support.graph import dependents

__all__ = ["Settling", "mark_staying"]


class Settling(Recording):
    """Writing such that an object knows what is stored of it, also if an interrupt comes in between."""

    def _write_and_settle(self, drafts: builtins.list[Draft], settled: builtins.list[Draft]) -> None:
        """Write records as one step, and tell the objects of `settled` which they are."""
        kept, written = self._kept, False
        try:
            if self._depth:
                self._write(drafts)
                written = True
            else:
                self._begin()
                self._write(drafts)
                self._commit()
            self._settle(settled)
        except BaseException as error:
            if not self._depth:
                self._rollback()
            elif written:  # objects would not know that they are stored
                self._abandon(error)
            if self._kept != kept:  # an interrupt came between the last record and the last object told
                self._settle(settled)
            else:
                self._settle([draft for draft in settled if draft.in_place], certain=False)
            raise

    def _settle(self, drafts: Sequence[Draft], *, certain: bool = True) -> None:
        """Tell the objects which records they are, after a write.

        As long as it is not `certain` that these stay, the objects count as changed.
        """
        uuid = self.uuid
        if uuid is None or not drafts:
            return
        identities = self._identities
        bind, is_known = identities.bind, identities.last
        taking = {str(d.id): (d.obj, d.revision) for d in drafts if is_known(str(d.id)) is not None}
        if taking:
            identities.make_way(taking)
        for draft in drafts:
            references = draft.reference_ids() if draft.references else ()
            checksum = draft.encoded.checksum if certain else None
            if draft.identity is None:
                bind(
                    draft.obj,
                    draft.kind,
                    uuid,
                    draft.id,  # type: ignore[arg-type]
                    draft.revision,
                    checksum,
                    references,
                    verified=certain,
                )
            else:
                identities.advance(draft.identity, draft.revision, checksum, references)
            if certain and draft.kind.marked:
                identities.mark_saved(draft.obj)


def mark_staying(written: Sequence[tuple[Draft, bool]], new: set[str]) -> None:
    """Set `in_place` of those records of a batch that are to stay though it failed, where it is not one step.

    One that was replaced cannot be put back, and may refer to new ones. Then whatever has
    its place keeps it, except for new ones that refer to others which have none.

    Parameters
    ----------
    written : sequence of (Draft, bool)
        The records, each with whether it has its place.
    new : set of str
        The IDs of those that replace nothing.
    """
    if not any(placed and draft.id not in new for draft, placed in written):
        return
    graph = {str(draft.id): draft.reference_ids() for draft, _ in written}
    missing = {str(draft.id) for draft, placed in written if draft.id in new and not placed}
    incomplete = dependents(graph, missing) & new
    for draft, placed in written:
        draft.in_place = placed and draft.id not in incomplete
