"""What a running stack tells other processes about its parts: `state.json` in the data directory."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from .cache import write_atomically
from .part import PartState

STATE_FILE = "state.json"


class StackState(msgspec.Struct, frozen=True):
    """The supervising process, when it started (Unix time), and its parts in the order of their start."""

    pid: int
    started_at_s: float
    parts: tuple[PartState, ...] = ()


class StateFile:
    """Keeps the file in step with the supervisor; `note` is its on_change."""

    def __init__(self, data_dir: Path, pid: int, started_at_s: float) -> None:
        self._path = data_dir / STATE_FILE
        self._head = StackState(pid, started_at_s)
        self._parts: dict[str, PartState] = {}
        self._lock = threading.Lock()

    def note(self, state: PartState) -> None:
        """A part has changed."""
        with self._lock:
            self._parts[state.name] = state
            now = msgspec.structs.replace(self._head, parts=tuple(self._parts.values()))
            write_atomically(self._path, msgspec.json.format(msgspec.json.encode(now)).decode())


def read(data_dir: Path) -> StackState | None:
    """What the last stack of this directory said; None if none did."""
    try:
        return msgspec.json.decode((data_dir / STATE_FILE).read_bytes(), type=StackState)
    except (OSError, msgspec.DecodeError):
        return None
