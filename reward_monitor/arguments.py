"""How the commands take their arguments: help with an example, one line for a mistake, and the settings behind them."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from reward_jobs.settings import Settings
    from reward_schemas.settings import Loaded


_WIDTH = 100


class Parser(argparse.ArgumentParser):
    """A parser that tells a mistake in one line, and ends its help with an example."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def about(self, text: str) -> None:
        """What the help says first."""
        self.description = textwrap.fill(text, _WIDTH)

    def example(self, *lines: str) -> None:
        """Ends the help with these commands."""
        self.epilog = "\n  ".join(["examples:" if len(lines) > 1 else "example:", *lines])

    def error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2."""
        print(f"{self.prog}: {message}; see `{self.prog} --help`", file=sys.stderr)
        sys.exit(2)


def add_common(parser: Parser, *, below: bool = False) -> None:
    """Adds what every command takes. below: a part of a command, which leaves alone what was given before its name."""
    default = argparse.SUPPRESS if below else None
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=default,
        metavar="DIR",
        help="where the local stack is kept (setting local.dir; default: .reward-monitor)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=default,
        metavar="FILE",
        help="YAML file of settings (default: $REWARD_MONITOR_CONFIG); see `reward-monitor config`",
    )


def settings(given: argparse.Namespace) -> Loaded[Settings]:
    """The effective settings of a command. Raises SettingsError.

    Where the directory has a local stack, what that says of Kafka and ClickHouse counts, unless something else was set.
    """
    from reward_infra.local_stack import SETTINGS_FILE
    from reward_jobs.settings import Settings
    from reward_schemas.settings import PREFIX, load

    environment = dict(os.environ)
    if given.data_dir:
        environment[f"{PREFIX}LOCAL_DIR"] = str(given.data_dir)
    loaded = load(Settings, environment, given.config)
    local = loaded.value.local.dir / SETTINGS_FILE
    loaded = load(Settings, environment, given.config, beneath=local) if local.is_file() else loaded
    if given.data_dir:
        loaded.sources["local.dir"] = "--data-dir"
    return loaded


def running_settings(given: argparse.Namespace, section: str) -> Settings:
    """The settings, of which a section ("kafka", "clickhouse") is to be reached.

    Raises InfraError where it is the local stack's, and that does not run.
    """
    from reward_infra.data_dir import holder
    from reward_infra.errors import InfraError

    loaded = settings(given)
    if not elsewhere(loaded, section) and not holder(loaded.value.local.dir):
        raise InfraError(
            f"Nothing runs here, and no {section} elsewhere is set.",
            where=str(loaded.value.local.dir.absolute()),
            remedy="start it with `reward-monitor up`, name its directory (--data-dir), or set the place: `reward-monitor config`",
        )
    return loaded.value


def elsewhere(loaded: Loaded[Settings], section: str) -> bool:
    """Whether the settings name a place of their own for a section, other than the local stack's."""
    from reward_infra.local_stack import SETTINGS_FILE
    from reward_schemas.settings import DEFAULT

    local = str(loaded.value.local.dir / SETTINGS_FILE)
    sources = {source for name, source in loaded.sources.items() if name.startswith(f"{section}.")}
    return any(source != DEFAULT and not source.startswith(local) for source in sources)


def whole_number(least: int) -> Callable[[str], int]:
    """A type for arguments: a whole number from `least` on."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r:.40} is no whole number from {least} on")
        return value

    return read


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """ ", did you mean `x`?", or what there is."""
    known = list(known)
    near = get_close_matches(wrong, known, n=1)
    return f": did you mean `{near[0]}`?" if near else f"; there are {', '.join(known)}"
