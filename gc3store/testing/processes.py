"""Calls in processes that know nothing of the store or of the caller's objects.

A new interpreter takes half a second or more to import what a store needs. So there
is one process, the fork server, that has imported it and has used a store of each
kind that needs no database server, and each call is made in a child that it forks;
where there is no fork, in a new interpreter.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import cloudpickle

from gc3store.errors import MissingDependencyError
from gc3store.registry import make_store

__all__ = ["FreshProcess", "in_fresh_process", "in_new_interpreter", "results_of"]

_PRELOAD = ("gc3store", "gc3store.sql", "gc3store.gc3pie.database", "gc3store.testing", "platformdirs")
#: URLs of stores, up to the folder, that the fork server uses once. What a first use of a kind of store imports
#: and compiles takes ten times as long as most calls.
_USED_ONCE = ("file://{}/directory", "sqlite:///{}/database")


def in_fresh_process(function: Callable[..., Any], *args: Any, timeout: float = 120) -> Any:
    """Call a function in a fresh process, and return what it returns or raise what it raises.

    Parameters
    ----------
    function, *args
        Sent there by cloudpickle.
    timeout : float
        Seconds to wait.

    Raises
    ------
    AssertionError
        If the process dies.
    """
    return FreshProcess(function, *args).result(timeout)


def in_new_interpreter(function: Callable[..., Any], *args: Any, timeout: float = 120) -> Any:
    """As `in_fresh_process`, but in an interpreter that is started for this call."""
    done = subprocess.run(
        [sys.executable, "-c", "from gc3store.testing.processes import _answer_once; _answer_once()"],
        input=_request(function, args),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(_path())},
        timeout=timeout,
        check=False,
    )
    return _outcome(done.stdout, done.returncode)


class FreshProcess:
    """A call in a fresh process, under way as soon as this is made."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        request = _request(function, args)
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(_server())
        self._connection.sendall(request)
        self._connection.shutdown(socket.SHUT_WR)
        #: The process, so that it can be killed.
        self.pid = int.from_bytes(_receive(self._connection, 4), "little")

    def result(self, timeout: float = 120) -> Any:
        """Return what the call returned, or raise what it raised."""
        self._connection.settimeout(timeout)
        try:
            return _outcome(_receive(self._connection), None)
        finally:
            self._connection.close()

    def kill(self) -> None:
        """Kill the process, without any chance to tidy up."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(OSError):
            _receive(self._connection)
        self._connection.close()


def results_of(processes: Iterable[FreshProcess], timeout: float = 120) -> list[Any]:
    """Return what the calls in several processes returned.

    Parameters
    ----------
    processes : iterable of FreshProcess
    timeout : float
        Seconds to wait for each.

    Raises
    ------
    BaseException
        What the first of the calls that failed raised; by then all of them have ended.
    """
    results: list[Any] = []
    failures: list[BaseException] = []
    for process in processes:
        try:
            results.append(process.result(timeout))
        except BaseException as error:  # noqa: BLE001  (the others are waited for first)
            failures.append(error)
    if failures:
        raise failures[0]
    return results


def _outcome(data: bytes, code: int | None) -> Any:
    if not data:
        raise AssertionError(f"the process died{'' if code is None else f' with exit status {code}'}")
    good, value = pickle.loads(data)
    if good:
        return value
    raise value


def _receive(connection: socket.socket, size: int = -1) -> bytes:
    pieces: list[bytes] = []
    while size and (piece := connection.recv(2**20 if size < 0 else size)):
        pieces.append(piece)
        size -= len(piece) if size > 0 else 0
    return b"".join(pieces)


def _path() -> list[str]:
    return [os.getcwd(), *(p for p in sys.path if p)]


def _request(function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    surroundings = {"path": _path(), "environment": dict(os.environ), "directory": os.getcwd()}
    return pickle.dumps((surroundings, cloudpickle.dumps((function, args))))


_running: tuple[int, str] | None = None


def _server() -> str:
    """Return where the server listens; started when first needed, ends with this process."""
    global _running
    if _running is None or _running[0] != os.getpid():
        place = os.path.join(tempfile.mkdtemp(prefix="gc3store-testing-"), "socket")
        code = f"from gc3store.testing.processes import _serve; _serve({place!r})"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_path())},
        )
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise AssertionError("the server for fresh processes did not start")
        _running = os.getpid(), place
        atexit.register(_stop, process, os.getpid(), place)
    return _running[1]


def _stop(process: subprocess.Popen[bytes], owner: int, place: str) -> None:
    if os.getpid() == owner:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()  # which is the sign to end
        process.wait(10)
        with suppress(OSError):
            os.unlink(place)
            os.rmdir(os.path.dirname(place))


def _use_once() -> None:
    """Use a store of each kind that needs no server, so that no child has to import and compile what that takes."""
    with tempfile.TemporaryDirectory(prefix="gc3store-testing-") as folder:
        for url in _USED_ONCE:
            with suppress(MissingDependencyError), make_store(url.format(folder)) as store:
                id_ = store.save({})
                store.load(id_)
                store.verify(id_)
                store.replace(id_, [])
                store.update(id_, name="name")
                store.describe(id_)
                store.remove(id_)
    if threading.active_count() > 1:
        raise AssertionError("a thread of a closed store goes on")


def _serve(place: str) -> None:
    for name in _PRELOAD:
        with suppress(ImportError):
            importlib.import_module(name)
    _use_once()
    gc.freeze()  # children share the memory of what is here, as long as no collector looks at it
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are not waited for
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(1, b"ready\n")
    os.dup2(2, 1)
    while True:
        ready, _, _ = select.select([listener.fileno(), 0], [], [])
        if 0 in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            os.close(0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                request = _receive(connection)
                connection.sendall(os.getpid().to_bytes(4, "little"))
                connection.sendall(_answer(request))
            finally:
                os._exit(0)
        connection.close()


def _answer_once() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed must not get between
    out.write(_answer(sys.stdin.buffer.read()))
    out.close()


def _answer(request: bytes) -> bytes:
    answer: tuple[bool, Any]
    try:
        surroundings, call = pickle.loads(request)
        sys.path[:] = surroundings["path"]
        os.environ.clear()
        os.environ.update(surroundings["environment"])
        os.chdir(surroundings["directory"])
        function, args = pickle.loads(call)
        answer = True, function(*args)
    except Exception as error:  # noqa: BLE001  (whatever it is, the caller raises it)
        answer = False, error
    try:
        return bytes(cloudpickle.dumps(answer))
    except Exception as error:  # noqa: BLE001
        return bytes(cloudpickle.dumps((False, AssertionError(f"{answer!r} cannot be sent back: {error}"))))
