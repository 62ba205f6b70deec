"""What a file of alert rules says, as typed structs. From them come the reading, the checks and the schema for editors.

version: 1
groups:
- name: grpo
  rules:
  - uid: reward-collapse
    by: [run, reward]
    window: 10 steps
    expr: mean < 0.1 and count >= 200
    recover: mean > 0.2
    for: 20 steps
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from reward_engine.rules.routes import Receiver, Route, Severity, Silence

By = Literal["run", "reward"]
Action = Literal["keep", "ok", "alert"]

RULES_MAX = 200  # in a rule set
_Texts = Annotated[dict[str, Annotated[str, Meta(max_length=2_000)]], Meta(max_length=20)]
_Glob = Annotated[str, Meta(max_length=200)]
_By = Annotated[tuple[By, ...], Meta(min_length=1, max_length=2, description="one alert for each of these")]
_LENGTH = re.compile(r"\s*(\d{1,9})\s*(steps?|windows?|ms|s|m|h|d)\s*")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class NoData(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do where the condition can't be judged."""

    after: Annotated[str, Meta(description="how long nothing could be judged until something is done: 10m")] = "10m"
    action: Annotated[Action, Meta(description="keep what was; take it for ok, which resolves; or alert")] = "keep"


class Use(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose measures an own name stands for: of one reward function, or of what this trainer reports."""

    reward: Annotated[str | None, Meta(description="a reward function, by its name")] = None
    scalar: Annotated[str | None, Meta(description="a number of the trainer's step, by its name")] = None
    column: Annotated[str | None, Meta(description="a further number of each completion, by its name")] = None


class Select(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs and functions; `*` stands for any text."""

    project: _Glob = "*"
    run: Annotated[_Glob, Meta(description="the run's id")] = "*"
    reward: Annotated[_Glob, Meta(description="a reward function's name, for rules that are judged for each of them")] = "*"
    tags: Annotated[dict[str, _Glob], Meta(max_length=20, description="tags that the run must have")] = {}


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule. Without a window it is about the run as it is, and judged every five seconds."""

    uid: Annotated[
        str, Meta(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,99}$", description="its name for ever; never used again for another")
    ]
    expr: Annotated[str, Meta(description="the condition: `mean < 0.1 and count >= 200`")]
    window: Annotated[str, Meta(description="what it is judged over: `10 steps`, `5m`")] = ""
    recover: Annotated[str, Meta(description="what must hold as well until it is well again")] = ""
    hold: Annotated[str, Meta(description="how long it has to hold until it fires: `20 steps`, `5m`, `2 windows`")] = (
        msgspec.field(name="for", default="")
    )
    keep_firing_for: Annotated[str, Meta(description="how long it must not hold until it is resolved")] = ""
    new_series_delay: Annotated[str, Meta(description="how long a new run or function isn't judged")] = ""
    no_data: NoData | None = None
    severity: Severity | None = None
    by: _By | None = None
    labels: _Texts = {}
    annotations: Annotated[_Texts, Meta(description="texts; `{{ reward }}`, `{{ mean | f3 }}` stand for values")] = {}
    uses: Annotated[dict[str, Use], Meta(max_length=20, description="own names: `uses: {fmt: {reward: format}}`")] = {}


class Defaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For the rules of the file that don't say otherwise."""

    no_data: NoData = NoData()
    severity: Severity = "warning"
    labels: _Texts = {}


class Group(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules for the same runs."""

    name: Annotated[str, Meta(max_length=100)]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=RULES_MAX)]
    select: Select = Select()
    by: _By = ("run",)


class RuleFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of alert rules of the reward monitor."""

    version: Literal[1]
    groups: Annotated[tuple[Group, ...], Meta(max_length=100)] = ()
    defaults: Defaults = Defaults()
    routes: Annotated[tuple[Route, ...], Meta(max_length=200, description="which alerts go to whom")] = ()
    receivers: Annotated[dict[str, Receiver], Meta(max_length=100, description="who is told, and how")] = {}
    silences: Annotated[tuple[Silence, ...], Meta(max_length=200)] = ()
    allow_hosts: Annotated[tuple[str, ...], Meta(max_length=100, description="hosts that receivers may name")] = ()


def length(text: str, window: int = 0) -> tuple[str, int]:
    """The axis, "step" or "time", of a length and how long it is there, in steps or ms; "windows" are of `window`, on any axis: "".

    >>> length("10 steps"), length("5m"), length("2 windows", 10)
    (('step', 10), ('time', 300000), ('', 20))

    Raises ValueError with a remedy.
    """
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ValueError("write `20 steps`, or a time as `30s`, `5m`, `1h`")
    number, unit = int(found[1]), found[2]
    if unit.startswith("window"):
        return "", number * window
    return ("step", number) if unit.startswith("step") else ("time", number * _MS[unit])


def schema() -> dict[str, Any]:
    """JSON Schema of a rule file, for editors."""
    made = msgspec.json.schema(RuleFile)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "alert_rules.schema.json",
        "title": "Alert rules of the reward monitor",
        **made,
    }
