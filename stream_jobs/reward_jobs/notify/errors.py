"""How a message fails."""

from __future__ import annotations


class Refused(Exception):
    """It will never be taken: it isn't tried again."""


class Later(Exception):
    """It was not taken now. after_s: how long the receiver asks to be left alone."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s
