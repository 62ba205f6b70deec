"""What a process does to its reporters: it forks, it is told to end, it ends.

Nothing here happens at import. The first reporter of a process brings the hooks.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from reward_producers.reporter import Reporter

log = logging.getLogger("reward_monitor")

END_S = 5.0  # for all reporters of a process together
_begun: WeakSet[Reporter] = WeakSet()  # also those that have ended: a child must not destroy what they hold
_hooked_in: int | None = None  # the process that has the hooks of its end
_earlier: Any = None  # SIGTERM's handler before ours


def begin(reporter: Reporter) -> None:
    """A reporter has begun in this process: it is ended with it, unless it ends before."""
    _begun.add(reporter)
    _hook()


def is_worker() -> bool:
    """Whether this is a daemon child of multiprocessing, as a DataLoader's worker is: those report nothing."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and bool(process.current_process().daemon)


def _hook() -> None:
    global _hooked_in, _earlier  # noqa: PLW0603 - of the process, as the hooks are
    if _hooked_in == os.getpid():
        return
    if _hooked_in is None:
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
        if threading.current_thread() is threading.main_thread():
            earlier = signal.getsignal(signal.SIGTERM)
            if earlier == signal.SIG_DFL or callable(earlier):  # not ignored, nor another language's
                _earlier = earlier
                signal.signal(signal.SIGTERM, _on_sigterm)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:  # its children end without atexit
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=0)
    _hooked_in = os.getpid()


def _at_exit() -> None:
    failed = getattr(sys, "last_type", None)  # what ended the program, where it was no SystemExit
    _end_all(failed.__name__ if failed else "the process ended")


def _end_all(reason: str) -> None:
    until = time.monotonic() + END_S
    for reporter in list(_begun):
        reporter.finish(reason, max(until - time.monotonic(), 0.1))


def _on_sigterm(number: int, frame: Any) -> None:
    """The trainer's own handler decides what happens, once what was reported is safe; without one the process ends by the signal."""
    if callable(_earlier):
        for reporter in list(_begun):
            reporter.flush(1.0)
        _earlier(number, frame)
        return
    _end_all("SIGTERM")
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    for reporter in list(_begun):
        reporter.begin_anew()
