"""Events as the rest of the system sees them: typed, frozen, checked. `parse.py` reads them, `encode.py` writes them."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from msgspec import Struct

from reward_schemas.events_pb2 import RewardFunction as _RewardFunction
from reward_schemas.events_pb2 import RewardStatus as _RewardStatus
from reward_schemas.events_pb2 import RunEvent as _RunEvent

SCHEMA_VERSION = 1

# Bounds of one message. Past them it is refused at the door, with its place and reason.
NAME_BYTES_MAX = 512
FUNCTIONS_MAX = 256
TABLE_BYTES_MAX = FUNCTIONS_MAX * (NAME_BYTES_MAX + 64)  # more is padding, and readers keep tables
SCALARS_MAX = 256
COLUMNS_MAX = 32
GROUP_SIZE_MAX = 2**20
RANK_MAX = 65_535
SEQ_MAX = 2**48  # far from where the fold's sums over sessions, or seq + 1, would leave 64 bits
STEP_MAX = 2**53
COUNT_MAX = 2**53
TAGS_MAX = 64  # of a run; also reasons in a sender's report
TEXT_BYTES_MAX = 65_536  # of a run's configuration, which its state keeps
TIME_MAX_MS = 253_402_300_799_999  # the end of year 9999

TOTAL = "total"  # the weighted sum over the trained functions; no function may be called so


class Role(IntEnum):
    """What a reward function is for."""

    TRAINED = _RewardFunction.TRAINED
    AUDIT = _RewardFunction.AUDIT  # measured, never optimised


class Kind(IntEnum):
    """Which numbers a reward function gives."""

    REAL = _RewardFunction.REAL
    BOUNDED = _RewardFunction.BOUNDED
    BINARY = _RewardFunction.BINARY


class Status(IntEnum):
    """What became of one reward."""

    SCORED = _RewardStatus.SCORED
    MISSING = _RewardStatus.MISSING  # should have been scored and was not
    NOT_SCORED = _RewardStatus.NOT_SCORED  # an audit function left it out on purpose


class RunState(IntEnum):
    """What a run event tells of its run."""

    STARTED = _RunEvent.STARTED
    RESUMED = _RunEvent.RESUMED
    HEARTBEAT = _RunEvent.HEARTBEAT
    FINISHED = _RunEvent.FINISHED
    RELEASED = _RunEvent.RELEASED  # an administrator lets a quarantined run go on


class RewardFunction(Struct, frozen=True):
    """One reward function. `lo` and `hi` are the ends of its declared range, None where it has none."""

    name: str
    weight: float = 1.0
    role: Role = Role.TRAINED
    kind: Kind = Kind.REAL
    lo: float | None = None
    hi: float | None = None


class FunctionTable(Struct, frozen=True):
    """The reward functions of a message, in its order; `raw` is the table's bytes, equal for equal tables."""

    raw: bytes
    functions: tuple[RewardFunction, ...]
    weights: np.ndarray  # float64[K]: the weight in the total, 0 for an audit function

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(function.name for function in self.functions)


class Rollout(Struct, frozen=True):
    """One rank's batch of one step: K functions, n completions.

    rewards: float32[K, n]; where `status` is not SCORED the number has no meaning.
    status: uint8[K, n] of Status, or None where all are SCORED.
    group: int32[n], unique within the step across ranks.
    length (int32, tokens), advantage (float32), truncated (uint8): [n], or None where unknown.
    more: further batches of this rank and step follow.
    group_size: completions of each prompt over all ranks, where a group may be spread over several messages; 0: every
    group here is whole.
    columns: further numbers of each completion by name, float32[n].
    """

    step: int
    table: FunctionTable
    rewards: np.ndarray
    group: np.ndarray
    status: np.ndarray | None = None
    length: np.ndarray | None = None
    advantage: np.ndarray | None = None
    truncated: np.ndarray | None = None
    more: bool = False
    group_size: int = 0
    columns: dict[str, np.ndarray] = {}

    @property
    def of_completions(self) -> dict[str, np.ndarray]:
        """Every number of each completion that is no reward, [n] each, by name."""
        named = {"length": self.length, "advantage": self.advantage, "truncated": self.truncated}
        return {name: column for name, column in named.items() if column is not None} | self.columns


class TrainerStep(Struct, frozen=True):
    """One optimizer step's scalars by name: kl (nats), entropy (nats a token), loss, ..."""

    step: int
    scalars: dict[str, float]


class RunEvent(Struct, frozen=True):
    """A run starts, goes on, lives, or ends; texts are empty where nothing is said."""

    state: RunState
    project: str = ""
    tags: dict[str, str] = {}
    trainer: str = ""
    config_json: str = ""
    functions: tuple[RewardFunction, ...] = ()
    reason: str = ""


class SenderReport(Struct, frozen=True):
    """What a sender did with what it accepted, counted since its start; `dropped` by reason."""

    accepted: int
    spooled: int
    dropped: dict[str, int]


class Tick(Struct, frozen=True):
    """The clock of a partition, written by its owner."""


class RuleSwitch(Struct, frozen=True):
    """From here on the partition uses the rule set at offset `version` of the rules topic."""

    version: int


Body = Rollout | TrainerStep | RunEvent | SenderReport
Control = Tick | RuleSwitch


class Identity(Struct, frozen=True):
    """Who sent a message, and which of its messages this is. Equal identities are the same message."""

    run_id: str
    attempt: int
    rank: int
    session: int
    seq: int


class Event(Struct, frozen=True):
    """A message of a trainer. `event_time_ms`: UTC. `senders`: ranks that report rollouts of the run, 0 where unknown."""

    identity: Identity
    event_time_ms: int
    senders: int
    body: Body


class InvalidEvent(Struct, frozen=True):
    """A message that cannot be used: which field, why, and its bytes; `identity` where that much could be read."""

    field: str
    reason: str
    payload: bytes
    identity: Identity | None = None
