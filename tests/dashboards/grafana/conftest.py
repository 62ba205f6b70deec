"""Dashboards are tried on the real engine."""

from tests.store.running import stack

__all__ = ["stack"]
