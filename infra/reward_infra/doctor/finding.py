"""What a check finds, and how one is declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from .context import Context

# unseen: not looked at; `what` says because of what
Level = Literal["ok", "note", "warning", "error", "unseen"]


class Finding(Struct, frozen=True):
    """One thing that was found. what: in a sentence; where: file, address or setting; remedy: what the reader can do.

    group and check say who found it; `examine` fills them in.
    """

    level: Level
    what: str
    where: str = ""
    remedy: str = ""
    group: str = ""
    check: str = ""


class Unseen(Exception):
    """Raised by a check that can't or need not look, with the reason. What needs it isn't looked at either."""


@dataclass(frozen=True)
class Check:
    """A look at one thing. needs: the checks without whose success it can't look; limit_s: the longest that it may take."""

    name: str
    look: Callable[[Context], Iterable[Finding]]
    needs: tuple[str, ...] = ()
    limit_s: float = 6.0


def ok(what: str, where: str = "") -> Finding:
    """It is as it should be."""
    return Finding("ok", what, where)


def note(what: str, where: str = "", remedy: str = "") -> Finding:
    """Worth knowing, and no mistake."""
    return Finding("note", what, where, remedy)


def warning(what: str, where: str, remedy: str) -> Finding:
    """It works, and will hurt."""
    return Finding("warning", what, where, remedy)


def error(what: str, where: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding("error", what, where, remedy)
