"""Whether a job does its work: what Docker and Kubernetes ask of its container every few seconds.

    python -m reward_jobs.health DIRECTORY

A job touches its status file in `jobs.data_dir` as long as it gets on: the worker at each tick, once the broker has those
before it; the lander when all that it has gathered is stored; the notifier while it reads. One that hangs, waits for a store, or has no partitions yet
has an old file, or none. This imports no library, because it runs so often. Exit code 0 or 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from reward_schemas.errors import MonitorError

AGGREGATE, LAND, NOTIFY = "owned.json", "landed", "notified"  # the status files
AGE_S_MAX = 60.0


def begin(directory: Path, status: str) -> Path:
    """A status file for a job that starts: there is none yet. MonitorError where there can be none."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / status).unlink(missing_ok=True)
    except OSError as error:
        raise MonitorError(
            f"The directory of the status file can't be used: {error.strerror}.",
            where=str(directory),
            remedy="name another: REWARD_MONITOR_JOBS_DATA_DIR",
        ) from error
    return directory / status


def problem(directory: Path, now_s: float) -> str | None:
    """Why a job that keeps its status file there is not well; None where it is."""
    ages = [now_s - (directory / name).stat().st_mtime for name in (AGGREGATE, LAND, NOTIFY) if (directory / name).is_file()]
    if not ages:
        return f"no job has begun its work: there is no status file in {directory} (setting jobs.data_dir)"
    if max(ages) > AGE_S_MAX:
        return f"the job has not got on for {max(ages):.0f} s: it hangs, or waits for Kafka or ClickHouse; see its log"
    return None


def main() -> int:
    """0 where the job does its work; else 1, and why on stderr."""
    parser = argparse.ArgumentParser(prog="python -m reward_jobs.health", description="Whether a job does its work.")
    parser.add_argument("directory", type=Path, help="the job's jobs.data_dir")
    if wrong := problem(parser.parse_args().directory, time.time()):
        print(wrong, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
