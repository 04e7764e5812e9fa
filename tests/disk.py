"""A disk that loses power: what may be left of what a process wrote, according to its system calls.

Only what was synchronised is certain to be there: `fsync` of a file keeps its content,
`fsync` of a directory the names in it, and with them the files and directories that these
names belong to, but not their contents. Of everything else any part may be there: names
change in the order in which they were changed, as journals of file systems have it, up to
any point; of the bytes written since the last `fsync` any of the writes may be lost.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What `Disk.play` understands; to be traced with ``-y -xx`` and no limit to what is shown.
CALLS = (
    "open,openat,creat,close,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,"
    "link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"
)
OPTIONS = ("-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}")

_NAMING = {
    "rename", "renameat", "renameat2", "mkdir", "mkdirat", "link", "linkat", "unlink", "unlinkat", "rmdir",
}  # fmt: skip
_DECISIVE = set(CALLS.split(",")) - {"open", "openat", "creat", "close", "write", "pwrite64"}
_CALL = re.compile(r"(?:\[pid +\d+\] )?(\w+)\((.*)\) += (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(\d+|AT_FDCWD)<")


class File:
    """A file, as it is and as it was when it was last synchronised."""

    def __init__(self) -> None:
        self.now = bytearray()
        self.kept = b""
        self.writes: list[tuple[int, bytes] | int] = []  # since then; a number is a new length

    def write(self, offset: int, data: bytes) -> None:
        self._apply(self.now, (offset, data))
        self.writes.append((offset, data))

    def truncate(self, size: int) -> None:
        self._apply(self.now, size)
        self.writes.append(size)

    def sync(self) -> None:
        self.kept = bytes(self.now)
        self.writes = []

    def after_power_cut(self, chance: random.Random | None) -> bytes:
        """Return what may be left; without `chance` as little as possible."""
        content = bytearray(self.kept)
        for write in self.writes if chance else ():
            if chance.random() < 0.5:
                self._apply(content, write)
        return bytes(content)

    @staticmethod
    def _apply(content: bytearray, write: tuple[int, bytes] | int) -> None:
        if isinstance(write, int):
            del content[write:]
            content.extend(bytes(max(0, write - len(content))))
            return
        offset, data = write
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


class Directory:
    """A directory: the files and directories in it, by name, and as it was before the trace began."""

    def __init__(self) -> None:
        self.now: dict[str, File | Directory] = {}
        self.first: dict[str, File | Directory] = {}


class Disk:
    """The files below one directory, through a series of system calls."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.top = Directory()
        #: Changes of names: each a list of (directory, name, what it stands for now), and whether it was kept.
        self.changes: list[tuple[list[tuple[Directory, str, File | Directory | None]], list[bool]]] = []
        self.open: dict[int, tuple[File | Directory, list[int]]] = {}
        self._read(self.root, self.top)

    def _read(self, path: str, directory: Directory) -> None:
        for entry in os.scandir(path):
            node: File | Directory
            if entry.is_dir():
                node = Directory()
                self._read(entry.path, node)
            else:
                node = File()
                node.now[:] = Path(entry.path).read_bytes()
                node.sync()
            directory.now[entry.name] = directory.first[entry.name] = node

    def play(self, lines: list[str]) -> Iterator[str | None]:
        """Repeat the calls in a trace; yield before and after each that is more than a write, and at each mark.

        (What may be left between two writes may be left after both.) A mark is an attempt to
        make a directory below ``/mark``, whose name is yielded.
        """
        unfinished: dict[str, str] = {}
        only = re.search(r"Process (\d+) attached", "".join(lines[:2]))[1]
        for line in lines:
            thread = re.match(r"\[pid +(\d+)\]", line)
            who = thread[1] if thread else only
            if line.rstrip().endswith("<unfinished ...>"):
                unfinished[who] = line.rstrip()[: -len("<unfinished ...>")]
                # From now on another thread may be given the same descriptor.
                if closed := re.search(r"\bclose\((\d+)", line):
                    self.open.pop(int(closed[1]), None)
                    del unfinished[who]
                continue
            resumed = re.search(r"<\.\.\. \w+ resumed>(.*)", line)
            if resumed:
                line = unfinished.pop(who, "") + resumed[1]
            match = _CALL.match(line)
            if not match:
                continue
            name, arguments, result = match[1], match[2], int(match[3])
            if name == "mkdir" and (text := self._texts(arguments)[0]).startswith("/mark/"):
                yield text[6:]
            elif result >= 0:
                if name in _DECISIVE:
                    yield None
                if self._play(name, arguments, result) and name in _DECISIVE:
                    yield None

    def _texts(self, arguments: str) -> list[str]:
        return [os.fsdecode(_bytes(text)) for text in _TEXT.findall(arguments)]

    def _place(self, path: str) -> tuple[Directory, str] | None:
        if not path.startswith(self.root + "/"):
            return None
        *parents, name = path[len(self.root) + 1 :].split("/")
        directory: Any = self.top
        for parent in parents:
            directory = directory.now[parent]
        return directory, name

    def _node(self, path: str) -> File | Directory | None:
        if path == self.root:
            return self.top
        place = self._place(path)
        return None if place is None else place[0].now.get(place[1])

    def _change(self, *names: tuple[Directory, str, File | Directory | None]) -> None:
        for directory, name, node in names:
            if node is None:
                directory.now.pop(name, None)
            else:
                directory.now[name] = node
        self.changes.append((list(names), [False]))

    def _play(self, call: str, arguments: str, result: int) -> bool:
        """Repeat one call; whether it changes what a power cut may leave."""
        if call in ("open", "openat", "creat"):
            return self._opened(arguments, result)
        if call in _NAMING:
            places = [self._place(text) for text in self._texts(arguments)]
            if None in places:
                return False
            if call.startswith("rename"):
                (old, new) = places
                node = old[0].now[old[1]]
                self._change((*old, None), (*new, node))
            elif call.startswith("link"):
                (old, new) = places
                self._change((*new, old[0].now[old[1]]))
            else:
                self._change((*places[0], Directory() if call.startswith("mkdir") else None))
            return True
        descriptor = int(_DESCRIPTOR.match(arguments)[1])
        if descriptor not in self.open:
            return False
        node, position = self.open[descriptor]
        if call == "close":
            del self.open[descriptor]
            return False
        if call in ("fsync", "fdatasync"):
            if isinstance(node, File):
                node.sync()
            else:
                for names, kept in self.changes:
                    kept[0] = kept[0] or any(directory is node for directory, _, _ in names)
        elif call == "ftruncate":
            node.truncate(int(arguments.rpartition(",")[2]))
        else:
            data = _bytes(_TEXT.findall(arguments)[-1])[:result]
            at = int(arguments.rpartition(",")[2]) if call == "pwrite64" else position[0]
            node.write(at, data)
            position[0] = at + len(data)
        return True

    def _opened(self, arguments: str, descriptor: int) -> bool:
        path = self._texts(arguments)[-1]
        self.open.pop(descriptor, None)
        if path != self.root and self._place(path) is None:
            return False
        node = self._node(path)
        if made := node is None:
            node = File()
            self._change((*self._place(path), node))
        elif "O_TRUNC" in arguments:
            node.truncate(0)
        self.open[descriptor] = node, [0]
        return made

    def after_power_cut(self, chance: random.Random | None) -> dict[str, bytes | None]:
        """Return the files, by path, that may be left, `None` for directories; without `chance` as few as possible."""
        until = chance.randint(0, len(self.changes)) if chance else 0
        found: dict[str, bytes | None] = {}
        left: dict[int, dict[str, File | Directory]] = {}
        for i, (names, kept) in enumerate(self.changes):
            if kept[0] or i < until:
                for directory, name, node in names:
                    entries = left.setdefault(id(directory), dict(directory.first))
                    if node is None:
                        entries.pop(name, None)
                    else:
                        entries[name] = node
        todo = [("", self.top)]
        for path, directory in todo:
            for name, node in left.get(id(directory), directory.first).items():
                if isinstance(node, Directory):
                    found[path + name] = None
                    todo.append((f"{path}{name}/", node))
                else:
                    found[path + name] = node.after_power_cut(chance)
        return found


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
