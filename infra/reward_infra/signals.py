"""Waiting for the signal that ends a command which runs parts."""

from __future__ import annotations

import queue
import signal


def until_signal() -> int:
    """Block the main thread until SIGINT (Ctrl-C) or SIGTERM comes; return its number.

    Afterwards signals act as before, so that a second Ctrl-C breaks off an orderly end that takes too long: the parts
    die with the process.
    """
    arrived: queue.SimpleQueue[int] = queue.SimpleQueue()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda came, _: arrived.put(came)) for number in numbers}
    try:
        return arrived.get()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
