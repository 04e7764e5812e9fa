"""Records that are written under temporary names, and take their places when they are complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gc3store.backend import PendingRecord
from gc3store.filesystem.layout import Layout
from gc3store.format import DETACHED, PLAIN, Damaged, Head, aligned, entry_to_json, pack_head
from gc3store.support.files import Staged, sync_directory, sync_files, write_file

__all__ = ["DETACH", "Staging"]

#: Payloads of this size or more are kept in a file of their own, in bytes, so that
#: changing a label never copies them.
DETACH = 1024 * 1024


class Staging:
    """Writes records of a directory.

    Parameters
    ----------
    layout : Layout
        The directory.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def write(self, stage: Staged, record: PendingRecord, before: Head | None) -> None:
        """Write a complete record.

        Parameters
        ----------
        stage : Staged
            Where the record is to be; takes note of the files that are made.
        record : PendingRecord
            The record.
        before : Head or None
            The head of the record that it replaces.
        """
        layout, encoded = self._layout, record.encoded
        sizes = [view.nbytes for view in encoded.buffers] if encoded.buffers else []
        flags = PLAIN if record.entry["plain"] else 0
        data: str | None = None
        payload: list[Any] = []
        if encoded.size >= DETACH or not isinstance(encoded.stream, bytes):
            flags |= DETACHED
            data = f"{record.id}-{secrets.token_hex(6)}"
            stage.data_target = os.path.join(layout.private, "data", data)
            stage.data = layout.temporary_file()
            write_file(stage.data, aligned(encoded.parts(), encoded.stream_size, sizes))
        elif sizes:
            payload += aligned(encoded.parts(), encoded.stream_size, sizes)
        else:
            payload.append(encoded.stream)
        old: Mapping[str, Any] | None = None
        if before is not None:
            with suppress(Damaged):  # what is damaged can be replaced, and its labels are lost
                old = before.entry()
        entry = record.entry_after(old)
        head = pack_head(
            entry_to_json(
                entry,
                id=record.id,
                references=record.reference_ids() if record.references else (),
                environment=entry["environment"],
                buffers=sizes,
                data=data,
            ),
            flags=flags,
            revision=record.revision,
            stream_size=encoded.stream_size,
            checksum=encoded.checksum,
        )
        stage.head = layout.temporary_file()
        write_file(stage.head, [head, *payload])

    def rewrite(self, stage: Staged, entry: Mapping[str, Any], head: Head, data: bytes) -> None:
        """Write a record that has another catalogue entry, and is otherwise as it is in `data`."""
        stage.head = self._layout.temporary_file()
        write_file(stage.head, [head.repack(entry), data[head.end :]])

    def publish(self, staged: Sequence[Staged]) -> None:
        """Let complete records take their places, in this order."""
        layout = self._layout
        large = [stage for stage in staged if stage.data is not None]
        if layout.durable:
            sync_files([stage.head for stage in staged] + [str(stage.data) for stage in large])
        for stage in large:
            os.rename(str(stage.data), stage.data_target)
        if large and layout.durable:
            sync_directory(os.path.join(layout.private, "data"))
        for stage in staged:
            stage.publish()
        if layout.durable:
            sync_directory(layout.path)

    def delete_payload(self, head: Head) -> None:
        """Delete the file with the payload of a record that is replaced or deleted."""
        if head.is_detached:
            with suppress(OSError, Damaged):
                os.unlink(self._layout.payload_file(head.entry()))
