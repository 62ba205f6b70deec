"""The jobs' consumer groups and what each reads, for the jobs themselves and for those who look at their lag."""

from __future__ import annotations

from reward_schemas.topics import EVENTS, RESULTS, RULES

AGGREGATE = "reward-monitor.aggregate"
LAND = "reward-monitor.land"
NOTIFY = "reward-monitor.notify"

TOPICS = {AGGREGATE: (EVENTS,), LAND: (EVENTS, RESULTS, RULES), NOTIFY: (RESULTS,)}
