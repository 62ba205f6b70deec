"""What the notifier must not forget, in one SQLite file: problems, how far it read, silences, and the outbox.

What was read, what follows from it and the messages to send are one transaction, before anything is sent and before Kafka is
told that it was read. So kill -9 at any point loses nothing; between sending and `record` it sends a message again, with its key.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct
from reward_schemas.errors import MonitorError

from reward_jobs.notify.groups import HOUR_MS
from reward_jobs.notify.matching import active, bound
from reward_jobs.notify.notice import Place
from reward_jobs.notify.state import Delivery, Problem, Silence, State

FILE, _LOCK = "notify.sqlite", "notify.lock"
PENDING, SENT, FAILED = "pending", "sent", "failed"
KEPT_MS = 7 * 24 * HOUR_MS  # what was sent or has failed, for people who look
_VERSION = 1
_TABLES = """
CREATE TABLE marks (partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, "offset" INTEGER NOT NULL, "index" INTEGER NOT NULL);
CREATE TABLE problems (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE silences (id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, receiver TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    reason TEXT NOT NULL, created_ms INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX outbox_pending ON outbox (state, number);
CREATE TABLE told (episode TEXT NOT NULL, sequence INTEGER NOT NULL, status TEXT NOT NULL, receiver TEXT NOT NULL, key TEXT NOT NULL);
CREATE INDEX told_episode ON told (episode);
"""


class Sent(Struct, frozen=True):
    """What became of a message. reason: why it failed, or has to be tried again."""

    key: str
    state: str
    reason: str = ""


class Store:
    """The file in a directory, which is made. MonitorError where it can't be used."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / FILE
        self._lock: IO[bytes] | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.file, timeout=10.0, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # a commit outlives a power cut: Kafka is told right after it
            with self._transaction():
                (version,) = self._db.execute("PRAGMA user_version").fetchone()
                if version == 0:
                    for statement in filter(str.strip, _TABLES.split(";")):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {_VERSION}")
        except (OSError, sqlite3.Error) as error:
            remedy = "name another directory: REWARD_MONITOR_JOBS_DATA_DIR; or move a damaged file away, with what it knew"
            raise MonitorError(f"The notifier's file can't be used: {error}.", where=str(self.file), remedy=remedy) from error
        if version > _VERSION:
            raise MonitorError(
                f"The notifier's file is of a newer version ({version}).",
                where=str(self.file),
                remedy="update the reward monitor",
            )

    def lock(self) -> None:
        """Keeps the file for this process's notifier; MonitorError where another has it. The commands need no lock."""
        self._lock = self.file.with_name(_LOCK).open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise MonitorError(
                "Another notifier uses this directory.", where=str(self.file.parent), remedy="stop it, or give this one its own"
            ) from error

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()
        if self._lock:
            self._lock.close()

    def load(self, now_ms: int) -> State:
        """All that was written down."""
        rows = self._db.execute('SELECT partition, epoch, "offset", "index" FROM marks')
        state = State(marks={partition: Place(*place) for partition, *place in rows}, silences=self.silences())
        state.problems = self._problems()
        recent = "SELECT receiver, created_ms FROM outbox WHERE created_ms > ? ORDER BY number"
        for receiver, created_ms in self._db.execute(recent, (now_ms - HOUR_MS,)):
            state.sent.setdefault(receiver, []).append(created_ms)
        return state

    def save(self, state: State, changed: Iterable[str], made: Iterable[Delivery]) -> None:
        """Writes down what was read, what follows, and what is to be sent; all of it or nothing."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)",
                [(partition, place.epoch, place.offset, place.index) for partition, place in state.marks.items()],
            )
            for id_ in changed:
                if problem := state.problems.get(id_):
                    self._db.execute("INSERT OR REPLACE INTO problems VALUES (?, ?)", (id_, msgspec.json.encode(problem)))
                else:
                    self._db.execute("DELETE FROM problems WHERE id = ?", (id_,))
            for message in made:
                self._db.execute(
                    "INSERT INTO outbox (key, receiver, state, attempts, reason, created_ms, body) VALUES (?, ?, ?, 0, '', ?, ?)",
                    (message.key, message.receiver, PENDING, message.created_ms, msgspec.json.encode(message)),
                )
                self._db.executemany(
                    "INSERT INTO told VALUES (?, ?, ?, ?, ?)",
                    [(e.id, e.notice.sequence, e.status, message.receiver, message.key) for e in message.entries],
                )

    def pending(self) -> list[Delivery]:
        """What is still to be sent, in its order."""
        rows = self._db.execute("SELECT body FROM outbox WHERE state = ? ORDER BY number", (PENDING,))
        return [msgspec.json.decode(body, type=Delivery) for (body,) in rows]

    def record(self, sent: Sent) -> None:
        """Writes down what became of an attempt."""
        change = "UPDATE outbox SET state = ?, reason = ?, attempts = attempts + 1 WHERE key = ?"
        self._db.execute(change, (sent.state, sent.reason, sent.key))

    def prune(self, now_ms: int) -> None:
        """Forgets what was sent or has failed long ago, and silences that are over."""
        with self._transaction():
            self._db.execute("DELETE FROM outbox WHERE state <> ? AND created_ms < ?", (PENDING, now_ms - KEPT_MS))
            self._db.execute("DELETE FROM told WHERE key NOT IN (SELECT key FROM outbox)")
            problems = self._problems()
            for silence in self.silences().values():
                if not silence.declared and not holds(silence, problems, now_ms):
                    self._db.execute("DELETE FROM silences WHERE id = ?", (silence.id,))

    def changes(self) -> int:
        """A number that is another one when another process has written, such as the command that silences."""
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(version)

    def silences(self) -> dict[str, Silence]:
        """All silences, by id."""
        rows = self._db.execute("SELECT body FROM silences ORDER BY id")
        return {silence.id: silence for (body,) in rows for silence in [msgspec.json.decode(body, type=Silence)]}

    def add_silence(self, silence: Silence) -> Silence:
        """Adds one. Where it has no time it is bound to what fires now, of which there must be something."""
        with self._transaction():
            if silence.until_ms is None:
                silence.bound = bound(silence.match, self._problems())
                if not silence.bound and not silence.declared:
                    raise MonitorError(
                        "Nothing that matches fires, so there is nothing to wait for.",
                        remedy="give it a time: --for 2h; or see what fires: `reward-monitor silence list`",
                    )
            self._db.execute("INSERT INTO silences VALUES (?, ?)", (silence.id, msgspec.json.encode(silence)))
        return silence

    def remove_silence(self, id_: str) -> bool:
        """Removes one; False where there is none."""
        return self._db.execute("DELETE FROM silences WHERE id = ?", (id_,)).rowcount > 0

    def firing(self) -> list[Problem]:
        """What fires, as far as the notifier has read."""
        return [problem for problem in self._problems().values() if problem.closed is None]

    def outcomes(self) -> list[tuple[str, str, str, int]]:
        """Key, state, reason and attempts of the messages that are kept, in their order."""
        return list(self._db.execute("SELECT key, state, reason, attempts FROM outbox ORDER BY number"))

    def _problems(self) -> dict[str, Problem]:
        rows = self._db.execute("SELECT id, body FROM problems")
        return {id_: msgspec.json.decode(body, type=Problem) for id_, body in rows}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def holds(silence: Silence, problems: dict[str, Problem], now_ms: int) -> bool:
    """Whether a silence is of use yet."""
    return active(silence, now_ms) and (
        silence.bound is None or any((p := problems.get(id_)) and p.closed is None for id_ in silence.bound)
    )
