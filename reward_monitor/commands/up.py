"""Keeps everything running on this machine, in the foreground or detached."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from reward_infra import data_dir as directory
from reward_infra import state_file
from reward_infra.errors import InfraError, PartFailed
from reward_infra.fetch import fetch
from reward_infra.local_grafana import LocalGrafana, Program, find
from reward_infra.pipeline import JOBS, Pipeline
from reward_infra.preflight import DISK_BYTES_MIN, free_disk_bytes
from reward_infra.progress import choose
from reward_jobs.rule_folder import RuleFolder
from reward_producers.rule_files import rule_set
from rich.console import Console

from reward_monitor.arguments import Parser, settings
from reward_monitor.running import add_from, add_no_web, running, web
from reward_monitor.terminal import console, size

_START_S = 180.0  # the longest wait of --detach for the parts
_LOOK_S = 10.0  # between two looks at the disk
_RULES_S = 1.0  # between two looks at the rules
_LAST_WORDS = "to look:"  # of what is told once everything runs


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Starts Kafka, ClickHouse, the jobs and the web dashboard, restarts what ends, and stops all of it in order at Ctrl-C or SIGTERM. "
        "Ports are chosen free, and remembered in the data directory."
    )
    parser.example("reward-monitor up", "reward-monitor up --detach --data-dir /data/rewards")
    parser.add_argument("-d", "--detach", action="store_true", help="return once everything runs; `reward-monitor down` stops it")
    parser.add_argument(
        "--rules",
        action="append",
        default=[],
        type=Path,
        metavar="FILE|DIR",
        help="alert rules, followed: what is saved there is in force within seconds; may be repeated",
    )
    add_no_web(parser)
    parser.add_argument(
        "--grafana-home",
        type=Path,
        metavar="DIR",
        help="a Grafana to run beside it, where none is on the PATH: the directory that it was unpacked to",
    )
    add_from(parser)


def run(given: argparse.Namespace) -> int:
    """0 after an orderly end."""
    screen = console()
    if given.rules:
        rule_set(*given.rules)  # mistakes are told before anything starts
    program = find(given.grafana_home)
    if given.detach:
        return _detach(given, screen)
    with running(given, screen) as (monitor, _):
        monitor.stack.add(monitor.notify())
        url = web(given, monitor)
        if program:
            _grafana(screen, monitor, program)
        _welcome(screen, monitor, url)
        _keep(screen, monitor, RuleFolder(monitor.brokers, given.rules) if given.rules else None)
    return 0


def _welcome(screen: Console, monitor: Pipeline, url: str | None) -> None:
    address = monitor.stack.clickhouse
    where = "" if monitor.stack.data_dir == Path(".reward-monitor").absolute() else f" --data-dir {monitor.stack.data_dir}"
    screen.print(
        f"\nKafka       {monitor.brokers}\n"
        f"ClickHouse  {address.host}:{address.http_port} (HTTP), {address.host}:{address.tcp_port} (native)\n"
        + (f"web         {url}\n" if url else "")
        + f"directory   {monitor.stack.data_dir}\n\n"
        f"in a trainer: start_run(…, brokers={monitor.brokers!r}), or set REWARD_MONITOR_KAFKA_BROKERS={monitor.brokers}\n"
        f"{_LAST_WORDS} reward-monitor runs{where} · reward-monitor sql{where} · reward-monitor status{where}",
        markup=False,
    )


def _grafana(screen: Console, monitor: Pipeline, program: Program) -> None:
    """Starts the Grafana that is there. Where it does not start the rest runs on."""
    grafana = LocalGrafana(program, monitor.stack)
    try:
        monitor.stack.add(grafana.part())
    except PartFailed as error:
        screen.print(f"Grafana does not run, all else does: {error}", markup=False)
        return
    screen.print(f"Grafana     {grafana.url}, user admin, password in {grafana.password_file}", markup=False)
    if grafana.lacks:
        screen.print(f"Grafana lacks {grafana.lacks}", markup=False)


def _keep(screen: Console, monitor: Pipeline, rules: RuleFolder | None) -> None:
    """Until Ctrl-C or SIGTERM; follows the rules, and says when the disk fills."""
    warned, said = False, ""
    while True:
        free = free_disk_bytes(monitor.stack.data_dir)
        if free < DISK_BYTES_MIN and not warned:
            screen.print(f"[red]the disk is nearly full[/]: {size(free)} are free in {monitor.stack.data_dir}; free some soon")
        warned = free < DISK_BYTES_MIN
        until = time.monotonic() + _LOOK_S
        while time.monotonic() < until:
            told = rules.look() if rules else None
            if told and told != said:
                screen.print(told, markup=False)
            said = told or said
            time.sleep(_RULES_S)


def _detach(given: argparse.Namespace, screen: Console) -> int:
    local = settings(given).value.local
    data_dir = local.dir.absolute()
    if pid := directory.holder(data_dir):
        raise directory.held_by(pid, data_dir)
    progress = choose()
    try:
        fetch(given.cache or local.cache, progress, local.maven_repo)
    finally:
        progress.close()
    command = [sys.executable, "-m", "reward_monitor.cli", "up", "--data-dir", str(data_dir)]
    command += ["--config", str(given.config.absolute())] if given.config else []
    command += ["--from", str(given.cache.absolute())] if given.cache else []
    command += ["--no-web"] if given.no_web else []
    command += ["--grafana-home", str(given.grafana_home.absolute())] if given.grafana_home else []
    command += [part for path in given.rules for part in ("--rules", str(path.absolute()))]
    log = data_dir / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "200"},
        )
    _await_up(process, data_dir, log)
    screen.print(log.read_text(encoding="utf-8").strip(), markup=False)
    screen.print(f"\nruns on as process {process.pid}; `reward-monitor down` stops it", markup=False)
    return 0


def _await_up(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        told = state_file.read(data_dir)
        up = {part.name for part in told.parts if part.status == "up"} if told and told.pid == process.pid else set()
        if up >= {*JOBS} and _LAST_WORDS in log.read_text(encoding="utf-8"):
            return
        if process.poll() is not None:
            raise InfraError(
                f"The stack ended while it started.\n{_tail(log)}", where=str(log), remedy="mend the cause, start again"
            )
        if time.monotonic() > deadline:
            process.terminate()
            process.wait()
            raise InfraError(
                f"The stack was not up after {_START_S:.0f} s, and was stopped.\n{_tail(log)}",
                where=str(log),
                remedy="look into the parts' logs (`reward-monitor logs`)",
            )
        time.sleep(0.1)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
