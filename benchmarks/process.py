"""Workers seen from outside: start them, tell them, count their synchronisations, weigh them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from benchmarks.contenders import Spec

__all__ = ["Failed", "Skipped", "Worker", "has_strace"]

_ROOT = Path(__file__).resolve().parent.parent
_SYNCS = "fsync,fdatasync,sync_file_range,msync,sync,syncfs"


class Failed(Exception):  # noqa: N818 (a result that a table shows)
    """The contender tried and could not."""


class Skipped(Exception):  # noqa: N818 (likewise)
    """The contender does not offer this."""


def has_strace() -> bool:
    """Whether synchronisations can be counted here."""
    if shutil.which("strace") is None:
        return False
    trial = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=fsync",
        "-o",
        os.devnull,
        sys.executable,
        "-c",
        "",
    ]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


class Worker:
    """A running contender, in a new directory below `place`; use it in a ``with`` statement."""

    def __init__(
        self, spec: Spec, place: Path, *, count_syncs: bool = False, keep: Path | None = None
    ) -> None:
        self.spec = spec
        self._kept = keep is not None
        self.directory = keep or Path(tempfile.mkdtemp(prefix=f"bench-{spec.key}-", dir=place))
        self._trace = self.directory.with_name(self.directory.name + ".strace") if count_syncs else None
        command = [
            str(spec.python or sys.executable),
            "-m",
            "benchmarks.worker",
            spec.target,
            json.dumps({"directory": str(self.directory / "data"), **spec.options}),
        ]
        if self._trace is not None:
            trace = [
                "strace",
                "-f",
                "--seccomp-bpf",
                "-qqq",
                "--signal=none",
                "-e",
                f"trace={_SYNCS}",
                "-o",
                str(self._trace),
            ]
            command = trace + command
        environment = {
            **os.environ,
            "HOME": str(self.directory),  # GC3Pie keeps its counter there
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            "PYTHONPATH": str(_ROOT),
            "PYTHONHASHSEED": "0",
            "PYTHONWARNINGS": "ignore",
        }
        self.directory.mkdir(exist_ok=True)
        self._log = (self.directory / "stderr").open("wb")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=_ROOT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, method: str, *args: Any) -> Any:
        """Call a method of the worker; return what it returned."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write((json.dumps([method, *args]) + "\n").encode())
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            code = self._process.wait()
            reason = signal.Signals(-code).name if code < 0 else f"exit {code}"
            raise Failed(f"the process died ({reason})")
        answer = json.loads(line)
        if "value" in answer:
            return answer["value"]
        if "not offered" in answer:
            raise Skipped(answer["not offered"])
        raise Failed(answer["error"])

    def syncs(self) -> int:
        """Return how many synchronisations there have been so far."""
        assert self._trace is not None
        # A call seen from two threads is written as "unfinished" and "resumed": one line counts.
        return sum(b"resumed>" not in line for line in self._trace.read_bytes().splitlines())

    def reset_peak(self) -> int:
        """Begin a new high-water mark of resident memory; return the bytes resident now."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        return self._status("VmRSS")

    def peak(self) -> int:
        """Return the most bytes that have been resident since `reset_peak`."""
        return self._status("VmHWM")

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise Failed(f"the kernel does not tell {field}")

    def close(self) -> None:
        """End the process and remove its directory."""
        with contextlib.suppress(Failed, Skipped, OSError, ValueError):
            if self._process.poll() is None:
                self("close")
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        if not self._kept:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._trace is not None:
            self._trace.unlink(missing_ok=True)
