"""Whether the installed packages are there, in versions that will do: what others install can move them afterwards."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module, metadata

from .context import Context
from .finding import Check, Finding, error, note, ok

_OURS = "reward-monitor"
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)\s*(\[[^]]*\])?\s*\(?(?P<versions>[^;)]*)\)?\s*(;.*?extra == ['\"](?P<extra>\w+)['\"])?"
)
_MEANT_FOR = {
    "jobs": "every command, the worker and the lander need it; a trainer doesn't",
    "local": "`up` and `demo`, the stack on this machine, need it",
}
# What they are made of is compiled, and breaks where another package has replaced a part of it.
_MUST_IMPORT = ("reward_schemas.events_pb2", "reward_producers.kafka")


def look(context: Context) -> Iterator[Finding]:
    """Every requirement of this package, by the extra that brings it."""
    try:
        wanted = _wanted()
    except metadata.PackageNotFoundError:
        yield note(f"{_OURS} runs without being installed, so what it needs isn't known.", sys.prefix)
        return
    python = f"Python {sys.version.split()[0]}, {sys.prefix}"
    for problem, spec in _problems(wanted.pop("")):
        yield error(f"{problem}: something else has replaced it.", python, f"pip install '{spec}' into this environment")
    for module in _MUST_IMPORT:
        try:
            import_module(module)
        except Exception as broken:  # noqa: BLE001 - protobuf raises its own kinds where its version doesn't fit
            yield error(
                f"{module} can't be imported: {broken}", python, "install protobuf and confluent-kafka anew in this environment"
            )
    complete = []
    for extra, needs in wanted.items():
        if problems := [problem for problem, _ in _problems(needs)]:
            report = error if extra == "jobs" or context.local else note
            told = f"The extra [{extra}] is not installed, or not whole: {', '.join(problems)}; {_MEANT_FOR[extra]}."
            yield report(told, python, f"pip install '{_OURS}[{extra}]' into this environment")
        else:
            complete.append(f"[{extra}]")
    if complete:
        yield ok(f"everything that {' and '.join(complete)} bring{'s' if len(complete) == 1 else ''} is installed", python)


def _wanted() -> dict[str, list[tuple[str, str]]]:
    """Names and versions by extra, "" for what is always needed."""
    wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for text in metadata.requires(_OURS) or ():
        found = _REQUIREMENT.match(text)
        if found and found["name"] != _OURS and (extra := found["extra"] or "") in ("", *_MEANT_FOR):
            wanted[extra].append((found["name"], found["versions"].strip()))
    return wanted


def _problems(wanted: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is wrong, with the requirement as pip takes it."""
    for name, versions in wanted:
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield f"{name} is missing", f"{name}{versions}"
            continue
        if not all(_fits(installed, spec) for spec in versions.split(",") if spec.strip()):
            yield f"{name} {installed} is installed, {versions} is needed", f"{name}{versions}"


def _fits(installed: str, spec: str) -> bool:
    """Whether a version satisfies `>=x`, `==x`, `==x.*` or `<x`; what is said in other ways is left to pip."""
    operator, wanted = re.match(r"\s*([<>=!~]*)\s*(.*)", spec).groups()  # type: ignore[union-attr]  # it matches every text
    have, need = _numbers(installed), _numbers(wanted)
    if operator == ">=":
        return have >= need
    if operator == "<":
        return have < need
    if operator == "==":
        return have[: len(need)] == need if wanted.endswith("*") else have == need
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version.partition("+")[0]))


CHECKS = (Check("packages", look),)
