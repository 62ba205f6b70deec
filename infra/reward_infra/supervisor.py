"""Keeps a few programs running: starts them in order, restarts what ends, stops them in reverse order.

All parts are started by one thread that lives as long as they do: the kernel kills a part when the thread that
started it ends (see die_with_parent), so nothing outlives the supervisor, even if that is killed with kill -9.
"""

from __future__ import annotations

import atexit
import logging
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import InfraError
from .part import LogFile, Part, PartState, Restart
from .runner import Runner

logger = logging.getLogger(__name__)

_TICK_BUSY_S = 0.02
_TICK_IDLE_S = 0.1
_TRIM_EVERY_S = 5.0
_RESTARTS_KEPT = 100


class Supervisor:
    """Runs parts until it is stopped; its methods may be called from any thread.

    log_dir takes one file for each part. on_change, if given, is called with a part's state whenever its status
    changes, from the supervising thread: it must return quickly.
    """

    def __init__(self, parts: Iterable[Part], log_dir: Path, *, on_change: Callable[[PartState], None] | None = None) -> None:
        self._log_dir = log_dir
        self._on_change = on_change
        self._runners: dict[str, Runner] = {}
        self._seen: dict[str, PartState] = {}
        self._restarts: deque[Restart] = deque(maxlen=_RESTARTS_KEPT)
        self._commands: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._over = False  # the thread has ended
        for part in parts:
            self._enter(part)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str | None = None) -> None:
        """Start every part, or the one called `name` again, and return when it is up.

        PartFailed if a part ends or stays unready at its first start; then everything that was started has been
        stopped again (of a single part: only that part is down).
        """
        self._ensure_thread()
        names = [name] if name else list(self._runners)
        self._call(lambda: self._want(names))
        try:
            self._await_up(names)
        except BaseException:
            self.stop(name)
            raise

    def add(self, part: Part) -> None:
        """Take on one more part; start it, and return when it is up, if the others have been started."""
        if self._thread is None:
            self._enter(part)
        else:
            self._call(lambda: self._enter(part))
            self.start(part.name)

    def stop(self, name: str | None = None) -> None:
        """Stop every part in reverse order, or hold down the one called `name`; return when it has ended.

        SIGTERM first, SIGKILL after the part's grace. Stopping what is not running does nothing.
        """
        if self._thread is None:
            return
        if name:
            self._call(self._runner(name).unwant)
            self._await(lambda: self._seen[name].pid is None)
            return
        self._call(self._begin_stop)
        self._thread.join()
        self._thread = None
        atexit.unregister(self.stop)

    def restart(self, name: str) -> None:
        """Stop one part and start it again; return when it is up."""
        self.stop(name)
        self.start(name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a part's program, for example SIGKILL or SIGSTOP. InfraError if it does not run."""
        self._call(lambda: self._runner(name).send(number))

    def kill(self, name: str) -> None:
        """kill -9 a part; return when its end has been noticed. It is started again after its back-off."""
        before = self.pid(name)
        self.signal(name, signal.SIGKILL)
        self._await(lambda: self._seen[name].pid != before)

    def pid(self, name: str) -> int | None:
        """Process number of a part; None while it does not run."""
        return self.states()[name].pid

    def states(self) -> dict[str, PartState]:
        """The state of every part, in the order in which they were given."""
        with self._changed:
            return dict(self._seen)

    def restarts(self) -> tuple[Restart, ...]:
        """The last hundred ends that nobody asked for, oldest first."""
        with self._changed:
            return tuple(self._restarts)

    def wait_up(self, name: str, timeout_s: float) -> PartState:
        """Return when the part is up, for example again after a kill; TimeoutError with its state if it is not."""
        if not self._await(lambda: self._seen[name].status == "up", timeout_s):
            raise TimeoutError(f"{name} is not up after {timeout_s} s: {self._seen[name]}")
        return self._seen[name]

    # --- in the caller's thread

    def _enter(self, part: Part) -> None:
        if part.name in self._runners or (unknown := set(part.after) - set(self._runners)):
            raise ValueError(f"part {part.name}: " + ("given twice" if part.name in self._runners else f"after {unknown}?"))
        self._runners[part.name] = Runner(part, LogFile(self._log_dir / f"{part.name}.log"))
        self._seen[part.name] = self._runners[part.name].state()

    def _runner(self, name: str) -> Runner:
        if name not in self._runners:
            raise KeyError(f"no part is called {name!r}; there are {', '.join(self._runners)}")
        return self._runners[name]

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._stopping = self._over = False
            self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
            self._thread.start()
            # The thread is a daemon so that a crash of the main thread ends the process; this ends the parts in order.
            atexit.register(self.stop)

    def _call(self, action: Callable[[], Any]) -> Any:
        """Run `action` in the supervising thread and return what it returns."""
        done: Future[Any] = Future()
        self._commands.put((action, done))
        while self._thread is not None and self._thread.is_alive():
            with suppress(TimeoutError, FutureTimeout):
                return done.result(timeout=0.5)
        raise InfraError("The supervisor does not run.", where=str(self._log_dir), remedy="call start() first")

    def _await(self, condition: Callable[[], bool], timeout_s: float | None = None) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: condition() or self._over, timeout_s) and condition()

    def _await_up(self, names: list[str]) -> None:
        def statuses() -> list[str]:
            return [self._seen[name].status for name in names]

        self._await(lambda: "failed" in statuses() or all(status == "up" for status in statuses()) or self._stopping)
        for name in names:
            if self._seen[name].status == "failed":
                raise self._runners[name].failure()
        if any(status != "up" for status in statuses()):
            raise InfraError("The parts were stopped while they started.", where=str(self._log_dir), remedy="start again")

    # --- in the supervising thread

    def _want(self, names: list[str]) -> None:
        for name in names:
            self._runner(name).want(first=True)

    def _begin_stop(self) -> None:
        self._stopping = True

    def _supervise(self) -> None:
        try:
            trimmed = time.monotonic()
            while not self._finished():
                busy = self._stopping or any(runner.busy for runner in self._runners.values())
                self._obey(_TICK_BUSY_S if busy else _TICK_IDLE_S)
                for runner in list(self._runners.values()):
                    self._advance(runner)
                if time.monotonic() - trimmed > _TRIM_EVERY_S:
                    trimmed = time.monotonic()
                    for runner in self._runners.values():
                        runner.log.trim()
        except Exception:  # the kernel kills the parts with this thread; whoever waits for them is told
            logger.exception("the supervisor failed, and its parts are killed with it")
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _finished(self) -> bool:
        return self._stopping and all(runner.process is None for runner in self._runners.values())

    def _obey(self, timeout_s: float) -> None:
        try:
            action, done = self._commands.get(timeout=timeout_s)
        except queue.Empty:
            return
        try:
            result = action()
        except Exception as error:  # noqa: BLE001 - handed to the caller that gave the command
            done.set_exception(error)
            return
        for runner in self._runners.values():
            self._publish(runner)
        done.set_result(result)

    def _advance(self, runner: Runner) -> None:
        if self._stopping and not any(runner.part.name in other.part.after and other.process for other in self._runners.values()):
            runner.unwant()
            self._publish(runner)  # now: it may have ended by the next line
        restart = runner.advance(may_start=all(self._runners[name].status == "up" for name in runner.part.after))
        if restart:
            logger.warning("%s; it is started again", runner.state().last_error)
            with self._changed:
                self._restarts.append(restart)
        self._publish(runner)

    def _publish(self, runner: Runner) -> None:
        state = runner.state()
        before = self._seen[state.name]
        if state == before:
            return
        with self._changed:
            self._seen[state.name] = state
            self._changed.notify_all()
        if self._on_change and state.status != before.status:
            self._on_change(state)
