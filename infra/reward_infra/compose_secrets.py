"""Makes the passwords that docker-compose.yml mounts as secrets.

    python -m reward_infra.compose_secrets DIRECTORY

Needs no package but this and reward_schemas, so that any Python runs it from a checkout: `make secrets`. Passwords that
are there stay; users.xml is written anew, since its template may be. The directory can be entered by its owner alone, and
therefore the files in it are readable: containers run as users of their own, and Docker mounts a file with the owner and
mode that it has outside.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reward_schemas.errors import MonitorError

from .cache import write_atomically
from .clickhouse_users import Credentials, new_password, users_xml

PASSWORDS = ("clickhouse_writer", "clickhouse_reader", "grafana_admin")
USERS = "clickhouse_users.xml"
READER_MEMORY_BYTES = 1_500_000_000  # less than half of what docker-compose.yml gives ClickHouse
_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o444


def make(directory: Path) -> list[str]:
    """Makes what is missing in the directory, and returns the names of the passwords that are new. MonitorError if it can't."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)
        directory.chmod(_DIRECTORY_MODE)
        new = [name for name in PASSWORDS if not (directory / name).exists()]
        for name in new:
            write_atomically(directory / name, new_password(), _FILE_MODE)
        writer, reader = ((directory / name).read_text(encoding="utf-8") for name in PASSWORDS[:2])
        write_atomically(directory / USERS, users_xml(Credentials(writer, reader), READER_MEMORY_BYTES), _FILE_MODE)
        for name in (*PASSWORDS, USERS):
            (directory / name).chmod(_FILE_MODE)  # whatever the umask
    except OSError as error:
        raise MonitorError(
            f"The secrets can't be written: {error.strerror}.",
            where=str(error.filename or directory),
            remedy="Docker makes a directory where a file to mount is missing: remove that, and run this again as its owner",
        ) from error
    return new


def main() -> int:
    """Makes them and says which, without a value."""
    parser = argparse.ArgumentParser(prog="python -m reward_infra.compose_secrets", description="Passwords for docker compose.")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    try:
        new = make(directory)
    except MonitorError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{directory}: " + (f"new passwords for {', '.join(new)}" if new else "all passwords were there"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
