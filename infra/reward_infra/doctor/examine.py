"""Looks at everything, in the order in which a user would: what fails keeps what rests on it from being looked at."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

import msgspec
from reward_schemas.errors import MonitorError

from .context import Context
from .finding import Check, Finding, Unseen

# A group's title -> the modules whose CHECKS are in it. Imported as their turn comes: most need what an extra brings, and
# whether that is there is the first thing to find out.
GROUPS: dict[str, tuple[str, ...]] = {
    "this machine": ("packages", "settings", "secrets"),
    "local stack": ("machine", "programs", "stack"),
    "Kafka": ("kafka_entry", "kafka_login", "kafka_topics"),
    "ClickHouse": ("clickhouse_entry", "clickhouse_inside"),
    "from event to row": ("jobs", "history", "rows"),
}
_LOGGERS = ("reward_monitor.kafka", "reward_jobs")  # what they say is told as findings
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")  # of an address that somebody wrote with its password


def examine(context: Context, only: Collection[str] = ()) -> Iterator[Finding]:
    """What each check finds, as it finds it. Changes nothing, and ends: no check waits longer than its limit.

    only: names of checks; these and what they need. All where it is empty.
    """
    blocked: dict[str, str] = {}  # a check that found no way to look -> why
    wanted = _with_needs(only)
    with _quiet():
        for group, modules in GROUPS.items():
            for module in modules:
                try:
                    checks: tuple[Check, ...] = import_module(f"{__package__}.{module}").CHECKS
                except ImportError as missing:
                    yield Finding("unseen", f"{missing}", group=group, check=module.replace("_", " "))
                    continue
                for check in checks:
                    if not wanted or check.name in wanted:
                        for finding in _looked(check, context, blocked):
                            yield msgspec.structs.replace(_masked(finding), group=group, check=check.name)


def _looked(check: Check, context: Context, blocked: dict[str, str]) -> Iterator[Finding]:
    """The findings of one check; `blocked` learns whether others may build on it."""
    if reason := next((blocked[need] for need in check.needs if need in blocked), None):
        blocked[check.name] = reason
        yield Finding("unseen", reason)
        return
    found: list[Finding] = []
    ended: list[Exception] = []
    thread = threading.Thread(target=_look, args=(check, context, found, ended), name=check.name, daemon=True)
    thread.start()
    thread.join(check.limit_s)
    if thread.is_alive():
        found.append(Finding("warning", f"There was no answer in {check.limit_s:.0f} s.", remedy="try again when less goes on"))
        blocked[check.name] = f"{check.name} gave no answer"
    yield from found
    if ended and isinstance(ended[0], Unseen):
        blocked[check.name] = str(ended[0])
        yield Finding("unseen", str(ended[0]))
    elif ended:
        yield _of_error(ended[0])
    if any(isinstance(e, Exception) and not isinstance(e, Unseen) for e in ended) or any(f.level == "error" for f in found):
        blocked[check.name] = f"{check.name} failed"


def _look(check: Check, context: Context, found: list[Finding], ended: list[Exception]) -> None:
    try:
        for finding in check.look(context):
            found.append(finding)  # noqa: PERF402 - one by one: what was found before an error or a time-out counts
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
        ended.append(error)


def _of_error(error: Exception) -> Finding:
    if isinstance(error, MonitorError):
        return Finding("error", error.what, error.where, error.remedy)
    return Finding("error", f"The look itself failed: {type(error).__name__}: {error}", remedy="report this with the line above")


def _with_needs(names: Collection[str]) -> set[str]:
    """These checks and, through all of them, what they need."""
    if not names:
        return set()
    every: Mapping[str, Check] = {
        check.name: check
        for modules in GROUPS.values()
        for module in modules
        for check in import_module(f"{__package__}.{module}").CHECKS
    }
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += every[name].needs
    return wanted


def _masked(finding: Finding) -> Finding:
    texts = {name: _CREDENTIALS.sub("…", getattr(finding, name)) for name in ("what", "where", "remedy")}
    return msgspec.structs.replace(finding, **texts)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log lines of clients that meet what is being looked for."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
