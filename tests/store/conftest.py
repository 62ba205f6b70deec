"""The store's tests run against the real engine."""

from tests.store.running import client, empty, stack

__all__ = ["client", "empty", "stack"]
