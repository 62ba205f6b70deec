"""A rule set: files of rules, checked and compiled. Nothing is compiled in part: with a mistake in any file there is no set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from reward_engine.kinds import TRAINER
from reward_engine.rules import language, template
from reward_engine.rules.converting import converted, partial
from reward_engine.rules.expression import BadExpression, Expression, compiled
from reward_engine.rules.language import Action, Defaults, NoData, RuleFile, Select
from reward_engine.rules.machine import QUARANTINE, Timing
from reward_engine.rules.routes import Notify, Severity
from reward_engine.rules.source import Mistake, Node, Place, read
from reward_engine.rules.template import TEXTS, BadTemplate, Template
from reward_engine.rules.vocabulary import CONSTANTS, MeasureOf, Source, source

AxisName = Literal["step", "time", "clock"]
_LONGEST = {"step": (100, "100 steps"), "time": (300_000, "5m")}  # so much is held: see reward_engine.state
_PANE = {"step": 1, "time": 10_000}
_CHOSEN_MAX = 10_000


@dataclass(frozen=True)
class Condition:
    """A compiled expression, and what each of its names stands for."""

    expression: Expression
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Rule:
    """A rule, compiled. axis: of its window; "clock" where it is about the run as it is. width: of the window, on the axis.

    delay: so long a new series isn't judged. absent_ms: so long without data until `no_data` is done. waits: it needs what
    a trainer says after the rewards of a step. fingerprint: of all that decides when it fires.
    """

    uid: str
    group: str
    select: Select
    by_reward: bool
    axis: AxisName
    width: int
    window: str
    condition: Condition
    recover: Condition | None
    timing: Timing
    delay: int
    absent_ms: int
    no_data: Action
    severity: Severity
    labels: Mapping[str, str]
    annotations: Mapping[str, Template]
    told: Mapping[str, Source]  # what the annotations name, beside what the condition names
    waits: bool
    fingerprint: str


class Chosen:
    """The rules that are for a run, by uid, and by axis and whether they wait for the trainer."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.by_uid = {rule.uid: rule for rule in rules}
        self.by_axis: dict[tuple[AxisName, bool], list[Rule]] = {}
        for rule in self.by_uid.values():
            self.by_axis.setdefault((rule.axis, rule.waits), []).append(rule)


@dataclass(frozen=True)
class RuleSet:
    """Rules of one version, in the order of their files. version: offset in the rules topic; -1: none. notify: who is told."""

    rules: tuple[Rule, ...] = ()
    version: int = -1
    notify: Notify = field(default_factory=Notify)
    _chosen: dict[tuple[object, ...], Chosen] = field(default_factory=dict, compare=False, repr=False)

    def of(self, run_id: str, project: str, tags: Mapping[str, str]) -> Chosen:
        """The rules that are for a run."""
        key = (run_id, project, *tags.items())
        found = self._chosen.get(key)
        if found is None:
            if len(self._chosen) >= _CHOSEN_MAX:
                self._chosen.clear()
            found = self._chosen[key] = Chosen(rule for rule in self.rules if _for(rule.select, run_id, project, tags))
        return found


def load(files: Mapping[str, str], version: int = -1) -> tuple[RuleSet | None, list[Mistake]]:
    """The rule set of files, their texts by name, and every mistake in them; with mistakes there is no set."""
    mistakes: list[Mistake] = []
    rules: list[Rule] = []
    places: dict[str, Place] = {}
    told: list[RuleFile] = []
    for name, text in files.items():
        top = read(text, name, mistakes)
        if top is None:
            continue
        if file := converted(top, RuleFile, mistakes):
            told.append(file)
        for group, node, rule in _of_file(top):
            if (first := places.setdefault(rule.uid, node.place)) is not node.place:
                mistakes.append(Mistake(node.place, f"the uid is that of {first}", "give it one of its own", rule.uid))
            if made := _Compiler(group, node, rule, _defaults(top), mistakes).made:
                rules.append(made)
    if len(rules) > language.RULES_MAX:
        mistakes.append(Mistake(Place("all files"), f"{len(rules)} rules, at most {language.RULES_MAX}", "leave some out"))
    notify = _notify(told, mistakes)
    return (None, sorted(set(mistakes))) if mistakes else (RuleSet(tuple(rules), version, notify), [])


def _notify(files: list[RuleFile], mistakes: list[Mistake]) -> Notify:
    """Who is told, of all files together: a route may name a receiver of another file."""
    receivers = {name: receiver for file in files for name, receiver in file.receivers.items()}
    twice = sum(len(file.receivers) for file in files) - len(receivers)
    if twice:
        mistakes.append(Mistake(Place("all files"), f"{twice} receivers have the name of another", "give each its own"))
    try:
        return Notify(
            routes=tuple(route for file in files for route in file.routes),
            receivers=receivers,
            silences=tuple(silence for file in files for silence in file.silences),
            allow_hosts=tuple(host for file in files for host in file.allow_hosts),
        )
    except ValueError as error:
        mistakes.append(Mistake(Place("all files"), str(error), "declare it under receivers"))
        return Notify()


def _for(select: Select, run_id: str, project: str, tags: Mapping[str, str]) -> bool:
    return (
        fnmatchcase(run_id, select.run)
        and fnmatchcase(project, select.project)
        and all(name in tags and fnmatchcase(tags[name], pattern) for name, pattern in select.tags.items())
    )


def _of_file(top: Node) -> Iterator[tuple[language.Group, Node, language.Rule]]:
    """Every rule that can be read, even if others can't: their mistakes are told together."""
    for group in _entries(top, "groups"):
        of = partial(group, language.Group) or language.Group(name="", rules=())
        for node in _entries(group, "rules"):
            if rule := partial(node, language.Rule):
                yield of, node, rule


def _entries(node: Node, name: str) -> list[Node]:
    of = node.value.get(name) if isinstance(node.value, dict) else None
    return [each for each in of.value if isinstance(each.value, dict)] if of and isinstance(of.value, list) else []


def _defaults(top: Node) -> Defaults:
    node = top.value.get("defaults")
    return (node and partial(node, Defaults)) or Defaults()


class _Compiler:
    """Compiles one rule; what is wrong in it goes among the mistakes."""

    def __init__(
        self, group: language.Group, node: Node, rule: language.Rule, defaults: Defaults, mistakes: list[Mistake]
    ) -> None:
        self._node, self._rule, self._mistakes = node, rule, mistakes
        before = len(mistakes)
        if rule.uid == QUARANTINE:
            self._wrong("uid", f"the uid `{QUARANTINE}`", "take another: this one is the monitor's own")
        self._check_uses()
        axis, width = self._window()
        condition = self._condition("expr", rule.expr, axis)
        recover = self._condition("recover", rule.recover, axis) if rule.recover else None
        timing = Timing(
            self._length("for", rule.hold, axis, width), self._length("keep_firing_for", rule.keep_firing_for, axis, width)
        )
        delay = self._length("new_series_delay", rule.new_series_delay, axis, width)
        no_data = rule.no_data or defaults.no_data
        absent_ms = self._absent_ms(no_data)
        annotations = {name: made for name, text in rule.annotations.items() if (made := self._template(name, text))}
        told = {name: source(name, rule.uses) for each in annotations.values() for name in each.names}
        by_reward = "reward" in (rule.by or group.by)
        if by_reward and axis == "clock":
            self._wrong("by", "`by: [run, reward]` without a window", "give it a window, or `by: [run]`")
        self.made: Rule | None = None
        if len(mistakes) > before or condition is None:
            return
        self.made = Rule(
            uid=rule.uid,
            group=group.name,
            select=group.select,
            by_reward=by_reward,
            axis=axis,
            width=width,
            window=rule.window,
            condition=condition,
            recover=recover,
            timing=timing,
            delay=delay,
            absent_ms=absent_ms,
            no_data=no_data.action,
            severity=rule.severity or defaults.severity,
            labels=defaults.labels | rule.labels,
            annotations=annotations,
            told=told,
            waits=any(_waits(each) for each in (*condition.sources, *(recover.sources if recover else ()))),
            fingerprint=_fingerprint(group, rule, no_data, by_reward),
        )

    def _wrong(self, key: str, what: str, remedy: str, column: int = 0) -> None:
        node = self._node.value.get(key)
        place = node.place if node is not None else self._node.place
        if node is not None and isinstance(node.value, str) and "\n" not in node.value:
            place = Place(place.file, place.line, place.column + column)
        self._mistakes.append(Mistake(place, what, remedy, self._rule.uid))

    def _check_uses(self) -> None:
        for name, use in self._rule.uses.items():
            if not name.isidentifier() or name in CONSTANTS or name == "run":
                self._wrong(
                    "uses", f"`{name:.60}` can't be an own name", "take letters, digits and _, and no level's or verdict's name"
                )
            if sum(each is not None for each in (use.reward, use.scalar, use.column)) != 1:
                self._wrong("uses", f"`{name:.60}` stands for nothing, or for several", "give it one of reward, scalar, column")

    def _window(self) -> tuple[AxisName, int]:
        text = self._rule.window
        if not text:
            return "clock", 0
        try:
            axis, width = language.length(text)
        except ValueError as error:
            self._wrong("window", f"the window `{text:.60}`", str(error))
            return "step", 1
        if axis == "":
            self._wrong("window", f"the window `{text:.60}`", "write it in steps or as a time")
            return "step", 1
        longest, said = _LONGEST[axis]
        if not _PANE[axis] <= width <= longest or width % _PANE[axis]:
            whole = "whole steps from 1" if axis == "step" else "multiples of 10s"
            self._wrong("window", f"the window `{text:.60}`", f"write {whole}, up to {said}")
        return ("step" if axis == "step" else "time"), width

    def _length(self, key: str, text: str, axis: AxisName, width: int) -> int:
        if not text:
            return 0
        try:
            of, number = language.length(text, width)
        except ValueError as error:
            self._wrong(key, f"{key} is `{text:.60}`", str(error))
            return 0
        wanted = "step" if axis == "step" else "time"
        if of not in ("", wanted) or (of == "" and axis == "clock"):
            remedy = "write steps or windows, as its window is in steps" if wanted == "step" else "write a time, as `5m`"
            self._wrong(key, f"{key} is `{text:.60}`", remedy)
        return number

    def _absent_ms(self, no_data: NoData) -> int:
        try:
            axis, number = language.length(no_data.after)
        except ValueError:
            axis, number = "", 0
        if axis != "time":
            self._wrong("no_data", f"no_data.after is `{no_data.after:.60}`", "write a time, as `10m`")
        return number

    def _condition(self, key: str, text: str, axis: AxisName) -> Condition | None:
        uses = self._rule.uses

        def known(name: str) -> None:
            of = source(name, uses)
            if axis == "clock" and isinstance(of, MeasureOf):
                raise LookupError("a measure needs a window: add `window: 10 steps`")

        try:
            expression = compiled(text, known, CONSTANTS)
        except BadExpression as error:
            self._wrong(key, error.what, error.remedy, error.column)
            return None
        return Condition(expression, tuple(source(name, uses) for name in expression.names))

    def _template(self, name: str, text: str) -> Template | None:
        each = ""
        try:
            made = template.parsed(text)
            for each in sorted(made.names):
                source(each, self._rule.uses)
        except BadTemplate as error:
            self._wrong("annotations", f"annotations.{name:.60}: {error.what}", error.remedy)
        except LookupError as error:
            unknown = f"annotations.{name:.60}: there is no `{each:.60}`"
            self._wrong("annotations", unknown, f"{error.args[0]}; beside values there are {', '.join(TEXTS)}")
        else:
            return made
        return None


def _waits(of: Source) -> bool:
    return isinstance(of, MeasureOf) and any(kind == TRAINER for kind, _ in of.where)


def _fingerprint(group: language.Group, rule: language.Rule, no_data: NoData, by_reward: bool) -> str:
    """Of what decides when it fires. Severity, labels and annotations may change and the alert stays the same."""
    said = [
        rule.expr, rule.recover, rule.window, rule.hold, rule.keep_firing_for, rule.new_series_delay,
        no_data, by_reward, group.select, rule.uses,
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:16]
