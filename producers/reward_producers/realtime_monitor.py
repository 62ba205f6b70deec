"""Alert rules in the trainer's own process, without any service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reward_engine.rules.ruleset import RuleSet

from reward_producers.alerts import Alert, OnAlert, to_terminal
from reward_producers.columns import Functions
from reward_producers.metrics_tracker import RewardMetricsTracker
from reward_producers.rule_files import DEFAULT_PACK
from reward_producers.vectors import Vector


class RealtimeMonitor:
    """Judges rules after every step, and calls back when an alert changes.

    rules: a file of rules, a directory of them, or a loaded set; without it the rules that come with the monitor. on_alert:
    called with each `Alert` that changes state; without it a line on stderr for what fires and what is resolved.
    reward_function_names and options: as of RewardMetricsTracker; without names, those of the first step are taken.

    >>> monitor = RealtimeMonitor("rules.yaml", on_alert=lambda alert: page(str(alert)))  # doctest: +SKIP
    >>> monitor.check(step, {"accuracy": accuracies, "format": formats}, groups=prompts)  # doctest: +SKIP

    Raises `RulesRefused` with every mistake in the rules.
    """

    def __init__(
        self,
        rules: Path | str | RuleSet = DEFAULT_PACK,
        on_alert: OnAlert = to_terminal,
        *,
        reward_function_names: Functions | None = None,
        **options: Any,
    ) -> None:
        self._options: dict[str, Any] = {"rules": rules, "on_alert": on_alert, **options}
        # Where the names are not known yet, mistakes in the rules are to be told at once nevertheless.
        self.tracker = RewardMetricsTracker(reward_function_names or ["none yet"], **self._options)
        self._named = reward_function_names is not None

    def check(self, step: int, rewards_by_function: Mapping[str, Vector], **said: Any) -> list[Alert]:
        """Takes a step, as RewardMetricsTracker.track_step does, and returns the alerts that changed state."""
        if not self._named:
            self._named = True
            self.tracker = RewardMetricsTracker(list(rewards_by_function), **self._options)
        self.tracker.track_step(step, rewards_by_function, **said)
        return self.tracker.changed

    def finish(self) -> list[Alert]:
        """Ends the run: what still fires is resolved."""
        return self.tracker.finish()

    @property
    def firing(self) -> list[Alert]:
        """The alerts that fire now."""
        return self.tracker.firing
