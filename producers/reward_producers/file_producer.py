"""In place of a broker: a run's messages in a directory, one segment a process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from reward_schemas.segments import SUFFIX, Writer

_NAME_MAX = 120  # characters; most file systems take 255 bytes with what is added


def folder_name(run_id: str) -> str:
    """A run's name as that of a folder: the same for the same run, and nothing else than a folder below.

    >>> folder_name("math-grpo-7"), folder_name("../a b/c")
    ('math-grpo-7', '%2E.%2Fa%20b%2Fc')
    """
    quoted = quote(run_id, safe="")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) > _NAME_MAX:
        quoted = f"{quoted[: _NAME_MAX - 17]}-{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"
    return quoted


class FileProducer:
    """What the sender needs of a producer, on a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._writer = Writer(folder / f"{name}{SUFFIX}")

    def produce(self, _topic: str, value: bytes, key: bytes, on_delivery: Callable[[None, None], None]) -> None:
        """Appends a message. Raises OSError where there is no room: the sender counts it as dropped."""
        self._writer.append(key, value, time.time_ns() // 1_000_000)
        on_delivery(None, None)

    def poll(self, _timeout_s: float) -> int:
        """Nothing is ever on its way."""
        return 0

    def flush(self, _timeout_s: float) -> int:
        """Ends the file; how many messages are still on their way: none."""
        self._writer.close()
        return 0
