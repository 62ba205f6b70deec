"""What a trainer is told of a call that does not fit."""

from __future__ import annotations


class RewardInputError(ValueError):
    """A call that can't be used: `field` is what is wrong in it, `reason` why. Nothing of the call was taken."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)  # as they are, so that the error survives the way between processes
        self.field, self.reason = field, reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"
