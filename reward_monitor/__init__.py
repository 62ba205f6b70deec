"""reward-monitor: what a trainer imports. `from reward_monitor import start_run, RewardMetricsTracker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward_producers.alerts import Alert
    from reward_producers.dashboard_manager import DashboardManager
    from reward_producers.errors import RewardInputError
    from reward_producers.hooks.trl import watch
    from reward_producers.metrics_tracker import RewardMetricsTracker
    from reward_producers.realtime_monitor import RealtimeMonitor
    from reward_producers.reporter import Reporter, start_run
    from reward_schemas.events import RewardFunction, Role

__all__ = [
    "Alert",
    "DashboardManager",
    "RealtimeMonitor",
    "Reporter",
    "RewardFunction",
    "RewardInputError",
    "RewardMetricsTracker",
    "Role",
    "start_run",
    "watch",
]

_HOMES = {
    "Alert": "reward_producers.alerts",
    "DashboardManager": "reward_producers.dashboard_manager",
    "RealtimeMonitor": "reward_producers.realtime_monitor",
    "Reporter": "reward_producers.reporter",
    "RewardFunction": "reward_schemas.events",
    "RewardInputError": "reward_producers.errors",
    "RewardMetricsTracker": "reward_producers.metrics_tracker",
    "Role": "reward_schemas.events",
    "start_run": "reward_producers.reporter",
    "watch": "reward_producers.hooks.trl",
}


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use, so that `import reward_monitor` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
