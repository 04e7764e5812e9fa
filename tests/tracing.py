"""Watching the system calls of a process with strace, from a moment on that the process itself chooses."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

#: The calls that change what is stored.
WRITING = (
    "write,writev,pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,ftruncate,fallocate,link,linkat,sync_file_range"
)


def wait_at(gate):
    """Wait until the parent has let strace attach to this process."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # strace may attach
    Path(f"{gate}.ready").touch()
    with open(gate) as file:
        file.read()


def trace(child, gate, *options):
    """Let strace watch a process, and then let that go on; return the lines that strace wrote."""
    deadline = time.monotonic() + 60
    while not os.path.exists(f"{gate}.ready"):
        assert time.monotonic() < deadline, "the process did not come to the gate"
        time.sleep(0.002)
    strace = subprocess.Popen(
        ["strace", "-f", "-p", str(child.pid), *options], stderr=subprocess.PIPE, text=True
    )
    lines = []
    for line in strace.stderr:
        lines.append(line)
        if "attached" in line:
            break
        if "not permitted" in line or "Could not" in line:
            child.kill()
            pytest.skip(f"strace may not attach to processes: {line.strip()}")
    with open(gate, "w"):
        pass
    # That it follows another thread, strace says in the middle of a line about the others.
    rest = re.sub(r"strace: Process \d+ attached\n", "", strace.stderr.read())
    lines += rest.splitlines(keepends=True)
    strace.wait()
    strace.stderr.close()
    return lines
