"""Records as files in a directory.

Layout of a store's directory
-----------------------------
``IsingRun.26.gc3``
    One record, see `gc3store.format`. Files with other names are not ours.
``.gc3store/store.json``
    The store's UUID and the version of this layout.
``.gc3store/next-27``
    An empty file whose name says which number is the next to be given out.
``.gc3store/no-references``
    An empty file, as long as no record has ever referred to another.
``.gc3store/data/``
    Payloads of a megabyte or more, one file each, named in the record.
``.gc3store/environments/``
    By whom, where and with which versions records were written, see `gc3store.support.provenance`.
``.gc3store/columns/``
    The user columns, one file each, see `gc3store.columns`.
``.gc3store/tmp/``, ``.gc3store/locks/``
    Files being written; locks for changing records that exist.

What is relied on
-----------------
`rename` is atomic, also on network file systems: a record appears, and is
replaced, by renaming a complete file. IDs are given out by renaming the
``next-N`` file to a higher number, which succeeds for one of any number of
processes on any number of hosts; a number never becomes lower. Two
processes that change the *same* record take turns by `flock`; where a network file
system has no locks, the last of two changes made at the same moment wins.
Durability is `fsync` of the file, then of the directory.

`FilesystemBackend` has a `Layout` (the names of files, and what is not records), `Records` (which reads them),
`Staging` (which writes them), `Numbers` (which gives out numbers) and a `DirectoryIndex` (the catalogue, cached).
"""

from gc3store.filesystem.layout import path_of
from gc3store.filesystem.store import FilesystemStore

__all__ = ["FilesystemStore", "path_of"]
