"""The reporter: what a trainer calls.

with start_run("math-grpo", functions={"accuracy": 1.0, "format": 0.2}) as run:
    run.log_rollout(step, rewards={"accuracy": a, "format": f}, groups=g, lengths=n, advantages=adv)
    run.log_trainer(step, kl=kl, entropy=ent, loss=loss)
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import msgspec
from reward_schemas.events import RANK_MAX, Event, Identity, RewardFunction, Rollout, RunEvent, RunState, TrainerStep
from reward_schemas.parse import Refused, check_name, check_run_event
from reward_schemas.topics import EVENT_BYTES_MAX

from reward_producers import lifetime
from reward_producers.columns import Functions, functions_of, rollout, size_of, trainer_step
from reward_producers.counts import Counts
from reward_producers.destination import Destination, Mode, destination, whole_number_of
from reward_producers.errors import RewardInputError
from reward_producers.sender import Sender
from reward_producers.vectors import Vector, elements

log = logging.getLogger("reward_monitor")

QUEUE_BYTES_MAX = 64 * 1024 * 1024
FINISH_S = 5.0


def start_run(
    project: str,
    functions: Functions,
    *,
    run_id: str | None = None,
    mode: Mode | None = None,
    brokers: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    attempt: int | None = None,
    tags: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    trainer: str = "",
    strict: bool = False,
    queue_bytes_max: int = QUEUE_BYTES_MAX,
    files_bytes_max: int | None = None,
) -> Reporter:
    """Starts reporting a run, to Kafka or into a directory; every rank of the run calls it, with the same run id.

    functions: names to weights, or `RewardFunction`s.
    mode: "online", to Kafka, the default where brokers are known; "offline", into files alone; "disabled", nothing at all.
    data_dir: the directory for files, "runs" unless said otherwise. Offline each process writes DATA_DIR/RUN_ID/*.events, which
    `reward-monitor analyze` and `web` read.
    strict: raise `RewardInputError` for a call that doesn't fit, instead of counting it and warning once.
    What isn't given comes from the environment: REWARD_MONITOR_MODE, REWARD_MONITOR_KAFKA_BROKERS and the other settings of
    Kafka, REWARD_MONITOR_DATA_DIR, REWARD_MONITOR_RUN_ID, REWARD_MONITOR_ATTEMPT, and RANK and WORLD_SIZE of the launcher.
    Raises ValueError where no run can be started: online without brokers, no common run id, unusable functions.
    """
    to = destination(mode, brokers, data_dir, files_bytes_max, os.environ)
    if to is None:
        return Reporter(Identity(run_id or project, 1, 0, 0, 0), (), 1, None, strict, 0)
    rank = whole_number_of(rank, os.environ, "RANK", 0)
    world_size = whole_number_of(world_size, os.environ, "WORLD_SIZE", 1)
    attempt = whole_number_of(attempt, os.environ, "REWARD_MONITOR_ATTEMPT", 1)
    if not 0 <= rank < world_size <= RANK_MAX + 1:
        raise ValueError(f"rank {rank} of {world_size}: pass rank=... and world_size=..., or set RANK and WORLD_SIZE")
    if not 0 <= attempt < 2**32:
        raise ValueError(f"attempt {attempt}: pass attempt=... or set REWARD_MONITOR_ATTEMPT, 1 for the run's first start")
    run_id = run_id or os.environ.get("REWARD_MONITOR_RUN_ID")
    if not run_id:
        if world_size > 1:
            raise ValueError("the ranks of a run need one run id: pass run_id=... or set REWARD_MONITOR_RUN_ID for all of them")
        run_id = new_run_id(project)
    try:
        check_name("run_id", run_id)
        table = functions_of(functions)
        started = check_run_event(
            RunEvent(
                RunState.STARTED if attempt <= 1 else RunState.RESUMED,
                project,
                {str(k): str(v) for k, v in (tags or {}).items()},
                trainer,
                msgspec.json.encode(config or {}, enc_hook=str).decode(),  # NaN becomes null: JSON has none
                table,
            )
        )
    except Refused as refused:
        raise RewardInputError(refused.field, refused.reason) from None
    identity = Identity(run_id, attempt, rank, secrets.randbits(64), 0)
    reporter = Reporter(identity, table, world_size, to, strict, queue_bytes_max)
    reporter.put(started)
    return reporter


def new_run_id(project: str) -> str:
    """The project's name and a UUIDv7, which carries the time of the start (RFC 9562)."""
    bits = time.time_ns() // 1_000_000 << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    digits = f"{bits:032x}"
    return "-".join([project, digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


class Reporter:
    """One rank's reporter of one run. Its calls copy what they are given, queue it and return."""

    def __init__(
        self,
        identity: Identity,
        functions: tuple[RewardFunction, ...],
        senders: int,
        to: Destination | None,
        strict: bool,
        queue_bytes_max: int,
    ) -> None:
        self.run_id, self.rank = identity.run_id, identity.rank
        self._identity, self._functions, self._senders = identity, functions, senders
        self._to, self._strict, self._queue_bytes_max = to, strict, queue_bytes_max
        self._seq = -1
        self._warned: set[str] = set()
        self._finished = threading.Lock()
        self._starting = threading.RLock()
        self._sender: Sender | None = None  # from this process's first event on
        self._child = False  # of the process that started the run
        self.counts = Counts()

    def log_rollout(
        self,
        step: int,
        rewards: Mapping[str, Vector],
        groups: Vector,
        lengths: Vector | None = None,
        advantages: Vector | None = None,
        truncated: Vector | None = None,
        more: bool = False,
        group_size: int | None = None,
        columns: Mapping[str, Vector | None] | None = None,
    ) -> None:
        """Reports this rank's completions of a step.

        rewards: for each declared function n numbers, None where it did not score. groups: n whole numbers or texts, the
        same for the completions of one prompt and unique within the step across ranks. lengths: in tokens. more: further
        batches of this rank and step follow. group_size: completions of each prompt over all ranks and batches, where they
        may be spread over several; without it every group here is whole. columns: further numbers of each completion by
        name, as `{"kl": ..., "prompt_length": ...}`.
        """

        def make() -> Rollout:
            least = 4 * (len(self._functions) + 1) * elements(groups)
            if least > EVENT_BYTES_MAX:  # before anything is copied
                raise Refused("rewards", f"at least {_too_large(least)}")
            return rollout(self._functions, step, rewards, groups, lengths, advantages, truncated, more, group_size, columns)

        self._take(make)

    def log_trainer(
        self, step: int, kl: float | None = None, entropy: float | None = None, loss: float | None = None, **scalars: float | None
    ) -> None:
        """Reports one optimizer step's scalars: kl in nats, entropy in nats a token, loss, and any others by name."""
        self._take(lambda: trainer_step(step, {"kl": kl, "entropy": entropy, "loss": loss, **scalars}))

    def finish(self, reason: str = "", timeout_s: float = FINISH_S) -> Counts:
        """Ends the run for this rank, sends what is queued for at most so long, and says what became of it all."""
        first = self._finished.acquire(blocking=False)
        if not self._sender:
            return self.counts
        if first:
            self._sender.report()
            if not self._child:  # the rank goes on where the run was started
                self.put(RunEvent(RunState.FINISHED, reason=reason), size=0)  # there is always room for the end
        self._sender.close(timeout_s)
        if first:
            lost = self.counts.spooled or self.counts.dropped
            log.log(logging.WARNING if lost else logging.INFO, "run %s rank %d: %s", self.run_id, self.rank, self.counts)
            if self.counts.spooled and self._to:
                log.warning(
                    "what is spooled is published by this run's next process, or `reward-monitor sync %s`", self._to.data_dir
                )
        return self.counts

    def flush(self, timeout_s: float) -> None:
        """Waits until what was logged is delivered or on disk, for at most so long."""
        if self._sender:
            self._sender.flush(timeout_s)

    def put(self, body: object, size: int = 256) -> None:
        """Hands over a body as it is. Raises MonitorError where the process's first one can't be sent with these settings."""
        if self._to is None:
            return
        with self._starting:
            if self._sender is None:
                place = self._to.open(self._identity, self.counts, self._queue_bytes_max)
                self._sender = Sender(place, self.counts, self._event, self._queue_bytes_max)
                lifetime.begin(self)
        self._sender.put(body, size)

    def begin_anew(self) -> None:
        """In a child process: from its first call on a session of its own, with its own counts. The parent's is left to the parent."""
        if self._sender:
            self._sender.abandon()
        self._sender, self._child, self.counts = None, True, Counts()
        self._identity, self._seq = msgspec.structs.replace(self._identity, session=secrets.randbits(64)), -1
        self._starting = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _in_child, (self._identity, self._functions, self._senders, self._to, self._strict, self._queue_bytes_max)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish(reason="" if kind is None else kind.__name__)

    def _take(self, make: Callable[[], Rollout | TrainerStep]) -> None:
        if self._to is None or (self._child and lifetime.is_worker()):
            return
        if self._finished.locked():
            self._refuse(Refused("run", "finished already; the call came too late"))
            return
        try:
            body = make()
            size = size_of(body)
            if size > EVENT_BYTES_MAX:
                raise Refused("rewards", _too_large(size))
            self.put(body, 256 + size)
        except Refused as refused:
            self._refuse(refused)
        except Exception as error:  # noqa: BLE001 - a foreign tensor's own failure must not end the training
            self._refuse(Refused("arguments", f"{type(error).__name__}: {error}"))

    def _refuse(self, refused: Refused) -> None:
        self.counts.drop(f"refused: {refused.field}")
        if self._strict:
            raise RewardInputError(refused.field, refused.reason)
        if refused.field not in self._warned:
            self._warned.add(refused.field)
            log.warning("run %s: a call was refused and counted: %s", self.run_id, refused)

    def _event(self, body: Any) -> Event:
        self._seq += 1
        return Event(
            Identity(self.run_id, self._identity.attempt, self.rank, self._identity.session, self._seq),
            time.time_ns() // 1_000_000,
            self._senders,
            body,
        )


def _too_large(size: int) -> str:
    return f"{size} bytes in one batch, {EVENT_BYTES_MAX} are taken; log it in parts with more=True"


def _in_child(*given: Any) -> Reporter:
    """A reporter that was handed to another process, as by multiprocessing's spawn."""
    reporter = Reporter(*given)
    reporter.begin_anew()
    return reporter
