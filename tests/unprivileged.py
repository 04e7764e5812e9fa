"""Running part of a test as a user who may not do everything."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress

import pytest

NOBODY = 65534


def as_nobody(function):
    """Call `function` in a child process of an ordinary user; return the repr of its result or error.

    Permissions mean nothing to the superuser, whom tests often run as in a container.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            try:
                answer = f"returned {function()!r}"
            except BaseException as error:
                answer = f"{type(error).__name__}: {error}"
            with suppress(OSError):
                os.write(writing, answer.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


@contextmanager
def mounted(path, *options, kind="tmpfs"):
    """Mount a small file system of its own at `path`; skips where that is not allowed."""
    path.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", kind, *(("-o", ",".join(options)) if options else ()), kind, str(path)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no right to mount a file system: {done.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def remount(path, *options):
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(path)], check=True)
