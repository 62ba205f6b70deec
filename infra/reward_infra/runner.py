"""One part's life: a small state machine that the supervising thread moves on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from .errors import InfraError, PartFailed
from .part import LogFile, Part, PartState, Restart, Status

BACKOFF_FIRST_S = 0.5
BACKOFF_LAST_S = 30.0
STEADY_S = 60.0  # a part that was up for so long has its back-off forgotten

_SHIM = Path(__file__).with_name("die_with_parent.py")


class Runner:
    """A part, its process, and what is wanted of it. Only the supervising thread may touch it."""

    def __init__(self, part: Part, log: LogFile) -> None:
        self.part = part
        self.log = log
        self.status: Status = "down"
        self.process: subprocess.Popen[bytes] | None = None
        self._first = False  # a first start that fails is an error of the caller's, not a reason to try again
        self._backoff_s = BACKOFF_FIRST_S
        self._started = self._ready = self._deadline = 0.0  # monotonic seconds
        self._up_since_s: float | None = None
        self._restarts = 0
        self._last_exit: int | None = None
        self._last_error: str | None = None

    @property
    def busy(self) -> bool:
        """Whether its status can change by the passing of a short time."""
        return self.status in ("waiting", "starting", "backoff", "stopping")

    def state(self) -> PartState:
        """What others may know."""
        return PartState(
            name=self.part.name,
            status=self.status,
            pid=self.process.pid if self.process else None,
            up_since_s=self._up_since_s,
            restarts=self._restarts,
            last_exit=self._last_exit,
            last_error=self._last_error,
        )

    def failure(self) -> PartFailed:
        """What kept it from getting ready at its first start, as an error."""
        return PartFailed(
            (self._last_error or f"{self.part.name} failed").splitlines()[0],
            part=self.part.name,
            exit_code=self._last_exit,
            log_tail=self.log.tail(),
            where=str(self.log.path),
            remedy="the lines above are the last that it printed; mend their cause and start again",
        )

    def want(self, *, first: bool) -> None:
        """It shall run. first: a failure to get ready ends the attempt."""
        if self.status in ("down", "failed", "backoff"):
            self.status = "waiting"
            self._first = first
            self._backoff_s = BACKOFF_FIRST_S

    def unwant(self) -> None:
        """It shall not run: SIGTERM now, SIGKILL after the grace."""
        if self.process is None:
            self.status = "failed" if self.status == "failed" else "down"
        elif self.status != "stopping":
            self.status = "stopping"
            self._deadline = time.monotonic() + self.part.grace_s
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)  # a paused program can end in order only when it goes on

    def send(self, number: int) -> None:
        """Send a signal to the program itself; InfraError if it does not run."""
        if self.process is None:
            raise InfraError(
                f"{self.part.name} does not run, so it can be sent no signal.",
                where=f"its status is {self.status}",
                remedy="start it first",
            )
        os.kill(self.process.pid, number)  # not reaped yet, so the number is still its own

    def advance(self, may_start: bool) -> Restart | None:
        """Do what is due; return a record if the program has ended without being told to."""
        now = time.monotonic()
        if self.process is not None and (code := self._ended()) is not None:
            return self._after_end(code, now)
        if (self.status == "waiting" and may_start) or (self.status == "backoff" and now >= self._deadline):
            return self._spawn()
        if self.status == "starting":
            self._probe(now)
        elif self.status == "stopping" and now >= self._deadline:
            self._last_error = f"{self.part.name} did not end within {self.part.grace_s} s of SIGTERM and was killed"
            self._kill_group()
        return None

    def _spawn(self) -> Restart | None:
        shim = [sys.executable, "-I", "-S", str(_SHIM), str(os.getpid())]
        log = self.log.open()
        try:
            self.process = subprocess.Popen(
                [*shim, *self.part.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.part.env) if self.part.env is not None else None,
                cwd=self.part.cwd,
                start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor alone
            )
        except OSError as error:  # its directory is gone, or the system has no room for a process
            os.write(log, f"{self.part.name} could not be started: {error}\n".encode())
            return self._after_end(127, time.monotonic())
        finally:
            os.close(log)
        self.status = "starting"
        self._started = time.monotonic()
        self._deadline = self._started + self.part.ready_timeout_s
        return None

    def _probe(self, now: float) -> None:
        why = ""
        try:
            ready = self.part.ready is None or self.part.ready()
        except Exception as error:  # noqa: BLE001 - whatever a probe meets means "not yet"; the last of it is told at the time-out
            ready, why = False, f" (the probe said: {error})"
        if ready:
            self.status = "up"
            self._first = False
            self._ready = time.monotonic()
            self._up_since_s = time.time()
        elif now >= self._deadline:
            self._last_error = f"{self.part.name} was not ready after {self.part.ready_timeout_s} s{why}"
            self._kill_group()

    def _ended(self) -> int | None:
        """The exit code once the program has ended; what it has left behind in its session is killed."""
        assert self.process is not None
        if not os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return None
        self._kill_group()  # before reaping: until then the number cannot belong to anybody else
        return self.process.wait()

    def _kill_group(self) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _after_end(self, code: int, now: float) -> Restart | None:
        was, self.process = self.status, None
        self._last_exit, self._up_since_s = code, None
        if was == "stopping":
            self.status = "down"
            return None
        tail = self.log.tail()
        timed_out = was == "starting" and now >= self._deadline
        what = self._last_error if timed_out else f"{self.part.name} ended by itself with {_how(code)}"
        self._last_error = f"{what}\n{tail}"
        if self._first:
            self.status = "failed"
            return None
        if was == "up" and now - self._ready >= STEADY_S:
            self._backoff_s = BACKOFF_FIRST_S
        pause_s = self._backoff_s
        self.status, self._deadline = "backoff", now + pause_s
        self._backoff_s = min(pause_s * 2, BACKOFF_LAST_S)
        self._restarts += 1
        return Restart(self.part.name, time.time(), code, now - self._started, pause_s, tail)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
