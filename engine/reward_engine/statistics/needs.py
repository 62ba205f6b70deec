"""What is said where something can't be judged."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """Cannot judge. what: it lacks."""

    what: str

    def __str__(self) -> str:
        return f"cannot judge: needs {self.what}"
