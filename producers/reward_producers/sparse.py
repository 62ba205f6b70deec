"""A log filter for clients that repeat themselves: while a broker is down they write a hundred lines a second."""

from __future__ import annotations

import logging


class Sparse(logging.Filter):
    """Lets a line through once in `every_s` seconds, numbers and addresses in it aside."""

    def __init__(self, every_s: float = 10.0) -> None:
        super().__init__()
        self._every_s = every_s
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        words = "".join(c for c in str(record.msg) if not c.isdigit())[:60]
        key = (record.name, words)
        if record.created - self._last.get(key, float("-inf")) < self._every_s:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = record.created
        return True
