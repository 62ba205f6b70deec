"""Silences: alerts of which nobody is told for a while."""

from __future__ import annotations

import argparse
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from reward_engine.rules.routes import moment_ms, seconds
from reward_schemas.errors import MonitorError

from reward_monitor.arguments import Parser, add_common, settings
from reward_monitor.terminal import console, table

if TYPE_CHECKING:
    from reward_jobs.notify.state import Problem, Silence
    from reward_jobs.notify.store import Store

_NOTIFY = "notify"  # the notifier's directory in the local stack


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Silences alerts for a while, lists the silences with what fires, or removes one. What was told to fire is told to be "
        "resolved even so; what still fires when a silence ends is told again."
    )
    parser.example(
        "reward-monitor silence add rule=reward-collapse run=r1 --for 2h --comment 'known, Ada looks'",
        "reward-monitor silence add labels.team=rl --until-resolved",
        "reward-monitor silence list",
        "reward-monitor silence remove 3f2a91c0",
    )
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)  # they may stand on either side of the action
    add_common(common)
    actions = parser.add_subparsers(dest="action", required=True, metavar="add|list|remove")
    new = actions.add_parser("add", parents=[common], help="silences what matches")
    new.add_argument(
        "matchers", nargs="+", metavar="MATCHER", help="rule=NAME, run=, project=, series=, severity=, labels.X=; all must hold"
    )
    until = new.add_mutually_exclusive_group(required=True)
    until.add_argument("--until", type=_moment_ms, metavar="TIME", help="2026-01-31T18:00+01:00; without a zone: UTC")
    until.add_argument("--for", type=_seconds, dest="seconds", metavar="DURATION", help="30m, 2h, 1d")
    until.add_argument("--until-resolved", action="store_true", help="as long as what fires now does")
    new.add_argument("--comment", default="", help="why, for those who wonder")
    actions.add_parser("list", parents=[common], help="the silences, and what fires")
    gone = actions.add_parser("remove", parents=[common], help="ends a silence")
    gone.add_argument("id", metavar="ID")


def run(given: argparse.Namespace) -> int:
    """0; MonitorError where there is nothing to silence, to list or to remove."""
    store = _store(given)
    try:
        if given.action == "add":
            _add(given, store)
        elif given.action == "list":
            _list(store)
        elif not store.remove_silence(given.id):
            raise MonitorError(f"There is no silence {given.id!r:.80}.", remedy="see `reward-monitor silence list`")
    finally:
        store.close()
    return 0


def _add(given: argparse.Namespace, store: Store) -> None:
    from reward_jobs.notify.matching import match_of
    from reward_jobs.notify.state import Silence

    now_ms = _now_ms()
    try:
        match = match_of(given.matchers)
    except ValueError as error:
        raise MonitorError(f"That is no silence: {error}") from error
    until_ms = None if given.until_resolved else given.until if given.until is not None else now_ms + round(given.seconds * 1000)
    if until_ms is not None and until_ms <= now_ms:
        raise MonitorError("The silence would be over already.", remedy="give it a time to come")
    silence = Silence(id=uuid.uuid4().hex[:8], match=match, until_ms=until_ms, comment=given.comment, created_ms=now_ms)
    store.add_silence(silence)
    console().print(
        f"{silence.id} silences {len(_covered(silence, store.firing()))} of what fires, {_end(silence)}", markup=False
    )


def _list(store: Store) -> None:
    from reward_jobs.notify.store import holds

    firing = store.firing()
    by_id = {problem.id: problem for problem in firing}
    active = [silence for silence in store.silences().values() if holds(silence, by_id, _now_ms())]
    rows = [(s.id, _said(s), _end(s), len(_covered(s, firing)), s.comment) for s in active]
    screen = console()
    if rows:
        screen.print(table(("silence", "of", "ends", "silenced now", "comment"), rows, right=("silenced now",)))
    else:
        screen.print("no silences", markup=False)
    silenced = {problem.id for silence in active for problem in _covered(silence, firing)}
    alerts = [
        (p.opened.rule, p.opened.severity, p.opened.run, p.opened.series, "silenced" if p.id in silenced else "") for p in firing
    ]
    if alerts:
        screen.print(table(("what fires", "severity", "run", "series", ""), alerts))


def _covered(silence: Silence, firing: list[Problem]) -> list[Problem]:
    from reward_jobs.notify.matching import covers

    return [problem for problem in firing if covers(silence, problem, _now_ms())]


def _said(silence: Silence) -> str:
    match = silence.match
    facts = {name: getattr(match, name) for name in match.__struct_fields__ if name != "labels"}
    said = [f"{name}={value}" for name, value in facts.items() if value not in (None, "*")]
    return " ".join([*said, *(f"labels.{name}={value}" for name, value in match.labels.items())]) or "everything"


def _end(silence: Silence) -> str:
    from reward_jobs.notify.text import moment

    return "when that is resolved" if silence.until_ms is None else f"until {moment(silence.until_ms)}"


def _store(given: argparse.Namespace) -> Store:
    """The notifier's file: of the settings, or of the local stack."""
    from reward_jobs.notify.store import FILE, Store
    from reward_schemas.settings import DEFAULT

    loaded = settings(given)
    directory = loaded.value.jobs.data_dir
    if loaded.sources["jobs.data_dir"] == DEFAULT:
        directory = loaded.value.local.dir / _NOTIFY
    if not Path(directory / FILE).is_file():
        raise MonitorError(
            "No notifier has kept anything here.",
            where=str(directory.absolute()),
            remedy="name the directory of the one that runs: REWARD_MONITOR_JOBS_DATA_DIR, or --data-dir of a local stack",
        )
    return Store(directory)


def _seconds(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _moment_ms(text: str) -> int:
    try:
        return moment_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
