"""The errors that a person reads. Each says what happened, where, and what to do about it."""

from __future__ import annotations


class MonitorError(Exception):
    """Base of them. what: the event in one sentence; where: file, address or part; remedy: what the reader can do."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(" ".join(part for part in (what, where and f"({where})", remedy and f"-> {remedy}") if part))
        self.what, self.where, self.remedy = what, where, remedy
