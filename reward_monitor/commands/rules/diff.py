"""How two versions of rules differ."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from reward_engine.rules.ruleset import Rule, RuleSet
from reward_producers.rule_files import rule_set
from rich.text import Text

from reward_monitor.arguments import Parser
from reward_monitor.commands.rules.published import in_force
from reward_monitor.terminal import console

_WORDS = ("severity", "labels", "annotations", "group")
_SHOWN = ("expr", "recover", "window", "timing", "delay", "by_reward", "select", "no_data", "absent_ms", *_WORDS)


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example("reward-monitor rules diff rules", "reward-monitor rules diff old.yaml new.yaml")
    parser.add_argument(
        "paths", nargs="+", metavar="FILE|DIR", help="one: against the rules in force; two: the first against the second"
    )


def run(given: argparse.Namespace) -> int:
    """0 where they are the same, else 1."""
    if len(given.paths) > 1:
        before, after = rule_set(given.paths[0]), rule_set(*given.paths[1:])
    else:
        before, after = in_force(given), rule_set(given.paths[0])
    lines = list(differences(before, after))
    screen = console()
    for line in lines or [Text("no difference")]:
        screen.print(line)
    return 1 if lines else 0


def differences(before: RuleSet, after: RuleSet) -> Iterator[Text]:
    """A line for each rule that is new, gone, or changed, and what that means for alerts that fire."""
    old, new = ({rule.uid: rule for rule in of.rules} for of in (before, after))
    for uid in [*old, *(uid for uid in new if uid not in old)]:
        if uid not in new:
            yield Text(f"- {uid}: removed; what fires is resolved", style="red")
        elif uid not in old:
            yield Text(f"+ {uid}: {new[uid].condition.expression.text}", style="green")
        elif changes := list(_changes(old[uid], new[uid])):
            same = old[uid].fingerprint == new[uid].fingerprint
            meaning = "alerts go on as they are" if same else "judged anew at its newest point"
            yield Text(f"~ {uid}: {'; '.join(changes)} ({meaning})", style="yellow")


def _changes(old: Rule, new: Rule) -> Iterator[str]:
    for name in _SHOWN:
        before, after = _said(old, name), _said(new, name)
        if before != after:
            yield f"{name} {before or 'none'} -> {after or 'none'}"


def _said(rule: Rule, name: str) -> str:
    if name == "expr":
        return rule.condition.expression.text
    if name == "recover":
        return rule.recover.expression.text if rule.recover else ""
    if name == "timing":
        return f"for {rule.timing.hold}, keep_firing_for {rule.timing.keep}"
    if name == "annotations":
        return ", ".join(f"{key}: {''.join(map(_part, text.parts))}" for key, text in rule.annotations.items())
    return str(getattr(rule, name))


def _part(part: str | tuple[str, str]) -> str:
    return part if isinstance(part, str) else "{{ " + " | ".join(filter(None, part)) + " }}"
