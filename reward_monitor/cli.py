"""The command `reward-monitor`: finds the sub-command, and tells every error in one clear line.

Exit codes: 0 done; 1 it went wrong; 2 it can't be done as asked; 3 (`status`) nothing runs; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from importlib import import_module

from reward_schemas.errors import MonitorError
from reward_schemas.settings import SettingsError

from reward_monitor.arguments import Parser, add_common, suggestion

# In the order in which a user meets them. Only the module of the one that runs is imported.
COMMANDS = {
    "demo": "everything on this machine: Kafka, ClickHouse, the jobs, and a real small GRPO training",
    "up": "keeps everything running on this machine: Kafka, ClickHouse and the jobs",
    "status": "how each part does: state, uptime, memory, lag, last error",
    "doctor": "finds what is wrong, and says what mends it",
    "logs": "what the parts print",
    "down": "stops what `up` started",
    "sql": "asks ClickHouse, read-only: one query, or a console",
    "web": "the web dashboard, of ClickHouse or of a directory of offline runs",
    "runs": "the runs, newest first, with their latest step and verdict",
    "analyze": "a report of runs: verdict, evidence, quality, and how several differ",
    "sync": "publishes runs that were reported offline, and what Kafka did not take at the time",
    "alerts": "the alerts: what fires, and what was resolved",
    "rules": "alert rules: check, test, backtest, diff, apply, list, export",
    "measures": "what is computed from rewards, and the detectors: all by topic, or one explained",
    "silence": "alerts of which nobody is told for a while: add, list, remove",
    "grafana": "publishes the dashboards into a Grafana of your own",
    "topics": "the topics in Kafka, and whether they are as they must be",
    "config": "the effective settings, and where each came from",
    "migrate": "brings ClickHouse's tables and views to this version",
    "fetch": "downloads what the local stack runs on, and nothing else",
}
_LOCAL = "the command needs what its extra brings: pip install 'reward-monitor[local]'"


def main(argv: list[str] | None = None) -> int:
    """Runs a command and returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        return _fail("reward-monitor", f"there is no command {argv[0]!r:.80}{suggestion(argv[0], COMMANDS)}", 2)
    try:
        given, unknown = parser(argv[0] if argv else None).parse_known_args(argv)
        if unknown:
            command = f"reward-monitor {given.command}"
            return _fail(command, f"what is {unknown[0]!r:.80}? see `{command} --help`", 2)
        code: int = import_module(f"reward_monitor.commands.{given.command}").run(given)
    except SettingsError as error:
        return _fail(f"reward-monitor {argv[0]}", str(error), 2)
    except MonitorError as error:
        return _fail(f"reward-monitor {argv[0]}", str(error), 1)
    except ImportError as error:
        return _fail(f"reward-monitor {argv[0]}", f"{error}: {_LOCAL}", 2)
    except BrokenPipeError:  # `reward-monitor logs | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def parser(only: str | None = None) -> Parser:
    """The parser; with the arguments of one command, whose module is imported for them."""
    whole = Parser(prog="reward-monitor", description="Watches the rewards of RL trainings.")
    whole.example("reward-monitor demo", "reward-monitor up --detach")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for name, does in COMMANDS.items():
        made = commands.add_parser(name, help=does)
        made.about(f"{does[0].upper()}{does[1:]}.")
        if name == only:
            add_common(made)
            import_module(f"reward_monitor.commands.{name}").add(made)
    return whole


def _fail(command: str, text: str, code: int) -> int:
    print(f"{command}: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
