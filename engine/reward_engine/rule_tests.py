"""Tests of alert rules: made-up runs go through the real fold, and what is expected of the alerts is compared with what they are.

tests:
- name: a collapse is told after twenty steps
  rules: [grpo.yaml]
  input:
  - {reward: format, values: "0.5x50 0.05x40"}      # 50 steps at 0.5, then 40 at 0.05
  - {scalar: kl, values: "0.1..0.9x90"}             # rises evenly
  expect:
  - {at_step: 58, rule: reward-collapse, state: pending}
  - {at_step: 78, rule: reward-collapse, state: firing, labels: {team: rl}}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from reward_schemas.events import RunEvent, RunState
from reward_schemas.results_pb2 import Alert

from reward_engine.fold import Record, fold
from reward_engine.made_up_runs import T0_MS, Input, MadeUpRun, values
from reward_engine.rules import machine
from reward_engine.rules.converting import converted
from reward_engine.rules.language import length
from reward_engine.rules.ruleset import RuleSet
from reward_engine.rules.source import Mistake, Node, Place, read
from reward_engine.state import Partition

State = Literal["inactive", "pending", "firing", "recovering", "resolved"]


class Expectation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an alert is after a step, or after a time. Of labels and annotations those that are named are compared."""

    rule: str
    state: State
    at_step: Annotated[int, Meta(ge=0)] | None = None
    after: str = ""
    reward: str = ""
    severity: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    reason: str | None = None


class Test(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A made-up run and what is expected of its alerts."""

    __test__ = False  # nothing of pytest's

    name: str
    input: tuple[Input, ...]
    expect: tuple[Expectation, ...]
    rules: tuple[str, ...] = ()
    project: str = ""
    tags: dict[str, str] = {}
    config: dict[str, float] = {}
    completions: Annotated[int, Meta(ge=1, le=65_536, description="of a step")] = 64
    group_size: Annotated[int, Meta(ge=1, le=65_536)] = 8
    step_time: str = "10s"
    lost_messages: Annotated[
        int, Meta(ge=0, le=1_000, description="messages of the trainer that never came, after the first")
    ] = 0
    ends: Annotated[Literal["finished", "silent"], Meta(description="silent: nothing more comes, for the longest `after`")] = (
        "finished"
    )


class TestFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of tests of rules."""

    __test__ = False

    tests: tuple[Test, ...]


@dataclass(frozen=True)
class Failure:
    """An expectation that isn't met."""

    place: Place
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass(frozen=True)
class Found:
    """What came of a test. tested: (rule, fires) of its expectations, for the coverage."""

    test: Test
    failures: list[Failure]
    tested: frozenset[tuple[str, bool]]


def read_tests(text: str, file: str, mistakes: list[Mistake]) -> list[tuple[Test, Node]]:
    """The tests of a file with their nodes, or none where there are mistakes."""
    top = read(text, file, mistakes)
    made = converted(top, TestFile, mistakes) if top is not None else None
    if made is None or top is None:
        return []
    tests = list(zip(made.tests, top.value["tests"].value, strict=True))
    before = len(mistakes)
    for test, node in tests:
        mistakes += _checked(test, node)
    return tests if len(mistakes) == before else []


def tried(test: Test, node: Node, rules: RuleSet) -> Found:
    """Tries a test. node: where it stands."""
    seconds = [_ms(each.after) for each in test.expect if each.after]
    told = [*_told(test, rules, max(seconds, default=0))]
    known = {rule.uid for rule in rules.rules}
    failures = []
    for expected, at in zip(test.expect, node.value["expect"].value, strict=True):
        if expected.rule not in known:
            failures.append(Failure(at.place, f"there is no rule `{expected.rule}`"))
        elif wrong := _wrong(expected, told):
            failures.append(Failure(at.place, wrong))
    return Found(test, failures, frozenset((each.rule, each.state in ("firing", "recovering")) for each in test.expect))


@dataclass(frozen=True)
class _Change:
    """A change of an alert, with the last step that had been folded, and the time since the run's begin."""

    step: int
    ms: int
    alert: Alert


def _wrong(expected: Expectation, told: list[_Change]) -> str:
    """What is wrong; empty: nothing."""
    of = [change for change in told if (change.alert.rule, change.alert.series) == (expected.rule, expected.reward)]
    if expected.at_step is not None:
        of = [change for change in of if change.step <= expected.at_step]
    elif expected.after:
        of = [change for change in of if change.ms <= _ms(expected.after)]
    state = of[-1].alert.state if of else machine.INACTIVE
    same = state == expected.state or (expected.state, state) == (machine.INACTIVE, machine.RESOLVED)
    where = f"at step {expected.at_step}" if expected.at_step is not None else f"after {expected.after or 'all'}"
    about = f" [{expected.reward}]" if expected.reward else ""
    if not same:
        values = ""
        if of:
            last = of[-1].alert
            judged = ", ".join(f"{name} {value:.4g}" for name, value in zip(last.names, last.values, strict=True))
            values = f" since step {of[-1].step}" + (f" ({judged})" if judged else "")
        return f"{expected.rule}{about} is {state}{values} {where}, {expected.state} is expected"
    differences = _differences(expected, of[-1].alert) if of else []
    return f"{expected.rule}{about} {where}: {'; '.join(differences)}" if differences else ""


def _differences(expected: Expectation, alert: Alert) -> list[str]:
    found = []
    for name in ("severity", "reason"):
        wanted = getattr(expected, name)
        if wanted is not None and wanted != getattr(alert, name):
            found.append(f"{name} is {getattr(alert, name)!r}, {wanted!r} is expected")
    for name, said in (("labels", dict(alert.labels)), ("annotations", dict(alert.annotations))):
        for key, value in getattr(expected, name).items():
            if said.get(key) != value:
                found.append(f"{name}.{key} is {said.get(key)!r}, {value!r} is expected")
    return found


def _told(test: Test, rules: RuleSet, until_ms: int) -> Iterator[_Change]:
    """Every change of an alert of the run that the test makes up."""
    state = Partition(0, rule_version=rules.version)
    made = MadeUpRun(test.input, test.completions, test.group_size, _ms(test.step_time), test.lost_messages)
    config = msgspec.json.encode(test.config).decode()
    started = RunEvent(RunState.STARTED, test.project, test.tags, "rules test", config)
    for offset, (ms, step, event) in enumerate(made.records(started, test.ends == "finished", until_ms)):
        for result in fold(state, Record(offset, T0_MS + ms, event), rules):
            if result.HasField("alert"):
                alert = result.alert
                yield _Change(alert.at if alert.axis == "step" and not alert.reason else step, ms, alert)
            if result.HasField("quarantine"):
                raise RuntimeError(f"an error of reward-monitor's own: {result.quarantine.traceback}")


def _checked(test: Test, node: Node) -> Iterator[Mistake]:
    """What the types don't say."""
    for each, at in zip(test.input, node.value["input"].value, strict=True):
        if sum(name is not None for name in (each.reward, each.scalar, each.column)) != 1:
            yield Mistake(at.place, "an input is of one series", "give it one of reward, scalar, column")
        try:
            values(each.values)
        except ValueError as error:
            yield Mistake(at.value["values"].place, "values", str(error))
    for expected, at in zip(test.expect, node.value["expect"].value, strict=True):
        if expected.after and expected.at_step is not None:
            yield Mistake(at.place, "both at_step and after", "leave one of them out")
        if expected.after and not _is_time(expected.after):
            yield Mistake(at.value["after"].place, f"after is `{expected.after:.40}`", "write a time, as `5m`")
    if not _is_time(test.step_time) or not _ms(test.step_time):
        yield Mistake(node.place, f"step_time is `{test.step_time:.40}`", "write a time, as `10s`")


def _is_time(text: str) -> bool:
    try:
        return length(text)[0] == "time"
    except ValueError:
        return False


def _ms(text: str) -> int:
    return length(text)[1]


def uncovered(rules: RuleSet, found: Sequence[Found]) -> list[tuple[str, str]]:
    """Rules that no test makes fire, or that none leaves alone: (uid, what no test expects)."""
    tested = frozenset().union(*(each.tested for each in found))
    lacks = {True: "that it fires", False: "that it doesn't fire"}
    return [(rule.uid, lacks[fires]) for rule in rules.rules for fires in (True, False) if (rule.uid, fires) not in tested]
