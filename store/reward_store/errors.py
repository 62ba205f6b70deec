"""What can go wrong between us and ClickHouse. Each says what happened, where, and what to do."""

from __future__ import annotations

from reward_schemas.errors import MonitorError


class StoreError(MonitorError):
    """Base of them."""


class Unavailable(StoreError):
    """The server can't be reached or can't take more just now: the same call may succeed later."""


class Rejected(StoreError):
    """The server understood and refused: the same call will fail again. `code` is ClickHouse's, 0 where it gave none."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "", code: int = 0) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.code = code


class SchemaMismatch(StoreError):
    """The database's schema is not the one that this version works with."""
