"""The errors of the embedded stack. Each says what happened, where, and what to do about it."""

from __future__ import annotations

from reward_schemas.errors import MonitorError


class InfraError(MonitorError):
    """Something about this machine or a directory keeps the embedded stack from working."""


class Unsupported(InfraError):
    """The embedded stack has no programs for this machine."""


class FetchFailed(InfraError):
    """A file could not be had, or what came is not what the lock names."""


class PartFailed(InfraError):
    """A part ended, or did not get ready, while the stack was being started.

    part: its name; exit_code: how it ended (negative: the signal), None while it still ran; log_tail: its last lines.
    """

    def __init__(self, what: str, *, part: str, exit_code: int | None, log_tail: str, where: str, remedy: str) -> None:
        super().__init__(f"{what}\n{log_tail}" if log_tail else what, where=where, remedy=remedy)
        self.part = part
        self.exit_code = exit_code
        self.log_tail = log_tail


class PortTaken(InfraError):
    """Somebody else listens on a port that a part was told to use."""


class Held(InfraError):
    """Another process works in this data directory; pid is its number, None if it is not known."""

    def __init__(self, what: str, *, pid: int | None, where: str, remedy: str) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.pid = pid
