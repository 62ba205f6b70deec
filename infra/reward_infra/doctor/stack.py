"""Whether the local stack runs, whether another one does, and how its parts do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reward_infra import ports, state_file
from reward_infra.data_dir import holder, last_holder

from .context import Context
from .finding import Check, Finding, error, note, ok, warning

_RESTARTS_MANY = 3


def taken_ports(context: Context) -> Iterator[Finding]:
    """Whether another program has a port at which trainers know this stack."""
    if holder(context.data_dir):
        yield ok("the stack has them")
        return
    remembered = ports.read(context.data_dir / "ports.json")
    taken = {name: port for name, port in remembered.items() if not ports.is_free(port)}
    for name, port in taken.items():
        yield warning(
            f"Port {port}, where {name} was to be reached, is taken by another program.",
            f"{ports.HOST}:{port}",
            f"end that program (`ss -ltnp 'sport = :{port}'` names it); else the next start takes another port, and trainers "
            "must be told",
        )
    if not taken:
        yield ok("those of the last start are free" if remembered else "chosen at the first start")


def running(context: Context) -> Iterator[Finding]:
    """Whether this directory's stack runs; where it doesn't, where one does."""
    others = [place for place in stacks() if place != context.data_dir]
    there = f"{'A stack runs' if len(others) == 1 else 'Stacks run'} in {', '.join(map(str, others))}."
    if pid := holder(context.data_dir):
        yield ok(f"runs as process {pid}", str(context.data_dir))
        if others:
            yield note(there, "this machine", "trainers and commands see only the one that they name")
        return
    if left := last_holder(context.data_dir):
        yield note(f"The last stack here was killed (process {left}).", str(context.data_dir), "nothing to do: a start goes on")
    nothing = "Nothing runs in this directory, and no Kafka and ClickHouse elsewhere are set."
    if others:
        yield error(f"{nothing} {there}", str(context.data_dir), f"use that: --data-dir {others[0]}")
    else:
        yield error(
            nothing,
            str(context.data_dir),
            "start it with `reward-monitor up`; or set kafka.brokers and clickhouse.host, where they run elsewhere",
        )


def parts(context: Context) -> Iterator[Finding]:
    """Whether each part is up and stays so."""
    told = state_file.read(context.data_dir)
    for part in told.parts if told else ():
        log = context.data_dir / "logs" / f"{part.name}.log"
        why = f": {part.last_error.splitlines()[0]}" if part.last_error else ""
        remedy = f"see what it says: `reward-monitor logs {part.name}`"
        if part.status != "up":
            yield error(f"{part.name} is {part.status}{why}.", str(log), remedy)
        elif part.restarts >= _RESTARTS_MANY:
            yield warning(f"{part.name} was started again {part.restarts} times{why}.", str(log), remedy)
        else:
            yield ok(f"{part.name} is up")


def stacks() -> list[Path]:
    """The data directories of the stacks that run on this machine, as far as this user may see (Linux)."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"reward_infra.clickhouse_server" in (process / "cmdline").read_bytes().split(b"\0"):
                found.add((process / "cwd").readlink().parent)
        except OSError:
            continue
    return sorted(found)


CHECKS = (
    Check("ports", taken_ports, ("local stack",)),
    Check("running", running, ("local stack", "settings")),
    Check("parts", parts, ("running",)),
)
