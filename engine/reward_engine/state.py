"""What the fold remembers: small, typed, serialisable. One `Partition` holds its runs; a run holds nothing of another.

What follows from the state is no field but a cached property: __post_init__ may set none, since msgspec before 0.21 ends
the process over it.

Partition ── Run ── Sender           who speaks
              └──── Lane ── Pane     what they said, by step and by event time, for rewards and for trainer scalars
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from msgspec import Struct, field
from reward_schemas.events import FunctionTable

from reward_engine import bounds, sketch, sums
from reward_engine.detectors.blocks import Watch
from reward_engine.kinds import KINDS
from reward_engine.rules.machine import Alerts
from reward_engine.senders import Sender
from reward_engine.sketch import Sketch


@dataclass(frozen=True)
class Window:
    """A window that gets a row whenever a pane closes: the panes of the last `width` steps or milliseconds."""

    name: str
    width: int


@dataclass(frozen=True)
class Axis:
    """An integer axis of panes. `pane`: a pane's width on it; `windows`: those that are emitted."""

    name: str
    row: str  # the name of a single pane's row
    pane: int
    windows: tuple[Window, ...]

    @property
    def held(self) -> int:
        """How many closed panes are kept: the longest window's."""
        return max(window.width for window in self.windows) // self.pane


STEP = Axis("step", "step", 1, (Window("100 steps", 100),))
TIME = Axis("time", f"{bounds.TIME_PANE_MS // 1000}s", bounds.TIME_PANE_MS, (Window("5m", 300_000),))
AXES = {axis.name: axis for axis in (STEP, TIME)}


class Waiting(Struct, array_like=True):
    """Completions whose groups are not whole yet: the rest comes in other messages.

    rows: the series of each function. values float64[K, n], status uint8[K, n] or None, lengths int32[n] or None, as in
    a block; group int32[n]. size: what a whole group has.
    """

    rows: np.ndarray
    group: np.ndarray
    size: int
    values: np.ndarray
    status: np.ndarray | None = None
    lengths: np.ndarray | None = None


class Pane(Struct, array_like=True):
    """What was said of one slot. tables, sketches: of its messages, float64[series, sums] and Sketch each, which are merged
    when the pane closes or has many; products: float64[s, s] of the first series."""

    slot: int
    tables: list[np.ndarray]
    touched_ms: int  # when something was added last, on the partition's clock of absence
    products: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    sketches: list[Sketch] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    event_ms: int = 0  # the latest event time in it
    reported: set[int] = field(default_factory=set)  # ranks that have said all they have to say of it
    flags: set[str] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)  # ids of those in it, while it is open

    @property
    def table(self) -> np.ndarray:
        """float64[series, sums] of all that was said."""
        return self.tables[0] if len(self.tables) == 1 else sums.merged(self.tables)

    @property
    def sketch(self) -> Sketch:
        """Of all values that were told."""
        return self.sketches[0] if len(self.sketches) == 1 else sketch.merged(self.sketches)

    def add(self, table: np.ndarray, values: Sketch | None) -> None:
        """Takes in what a message said."""
        self.tables.append(table)
        if values is not None:
            self.sketches.append(values)
        if len(self.tables) >= bounds.PENDING_MAX:
            self.settle()

    def settle(self) -> None:
        """Merges what has come. Not done by reading: rounding follows from the log alone, whoever looks at it meanwhile."""
        self.tables, self.sketches = [self.table], [self.sketch]


@dataclass(frozen=True)
class Merged:
    """The sums of closed panes."""

    slots: tuple[int, ...]
    table: np.ndarray


@dataclass
class Rolling:
    """The sketch of a window, and the panes that are in it, by slot."""

    panes: dict[int, Pane]
    sketch: Sketch


class Lane(Struct, array_like=True, dict=True):
    """The panes of one kind of series along one axis: open ones, and the ring of closed ones that a window may need.

    `rolling`, the windows' sketches by name, and `blocks`, sums of panes by the number of their block, are not part of
    the state: they follow from the panes.
    """

    axis_name: str
    kind: str
    open: dict[int, Pane] = field(default_factory=dict)
    held: dict[int, Pane] = field(default_factory=dict)
    passed: int = -1  # every slot up to this has left the ring
    newest: int = -1  # the newest closed slot
    dirty: set[int] = field(default_factory=set)  # changed since their last row
    flag_next: set[str] = field(default_factory=set)  # flags for the next pane that opens

    @cached_property
    def rolling(self) -> dict[str, Rolling]:
        return {}

    @cached_property
    def blocks(self) -> dict[int, Merged]:
        return {}

    def forget(self) -> None:
        """A closed pane has changed."""
        self.rolling, self.blocks = {}, {}

    @property
    def axis(self) -> Axis:
        return AXES[self.axis_name]


@dataclass(frozen=True)
class Declared:
    """What a function table says of the total and its functions: their rows, the ends of their ranges and weights, [1 + K]."""

    table: FunctionTable
    rows: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    weights: np.ndarray


class Series(Struct, array_like=True, dict=True):
    """The series of one kind in the order in which they appeared. `rows`, by name, and `declared` are not part of the state."""

    names: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    lo: list[float] = field(default_factory=list)  # of the declared range; NaN: none
    hi: list[float] = field(default_factory=list)

    @cached_property
    def rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    @cached_property
    def declared(self) -> Declared | None:  # by the latest message
        return None

    def row(self, name: str, weight: float, role: str, lo: float = math.nan, hi: float = math.nan) -> int:
        """The row of a series, which is added if it is new. What is declared of it is what the latest message says."""
        if (at := self.rows.get(name)) is not None:
            self.weights[at], self.roles[at], self.lo[at], self.hi[at] = weight, role, lo, hi
            return at
        self.rows[name] = len(self.names)
        self.names.append(name)
        self.weights.append(weight)
        self.roles.append(role)
        self.lo.append(lo)
        self.hi.append(hi)
        return len(self.names) - 1

    def in_total(self, rows: np.ndarray) -> np.ndarray:
        """float64[K]: the weights of these series in the total: 1 of the total itself, 0 of an audit function."""
        return np.array([self.weights[row] if self.roles[row] in ("trained", "total") else 0.0 for row in rows])


class Run(Struct, array_like=True):
    """One training, as far as the log has told."""

    run_id: str
    heard_ms: int  # on the partition's clock of absence
    started_ms: int  # event time of its first event
    attempt: int
    state: str = "live"  # | "finished" | "lost"
    expected: int = 0  # senders, as the messages of this attempt say; 0: unknown
    project: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    trainer: str = ""
    config_json: str = ""
    reason: str = ""
    top_step: int = -1
    last_event_ms: int = 0
    senders: dict[int, Sender] = field(default_factory=dict)
    front: dict[int, int] = field(default_factory=dict)  # time slot -> active senders whose lateness-corrected time is in it
    watermark_ms: int = 0  # time panes that end by here are closed
    series: dict[str, Series] = field(default_factory=lambda: {kind: Series() for kind in KINDS})
    lanes: list[Lane] = field(default_factory=lambda: [Lane(axis, kind) for axis in AXES for kind in KINDS])
    counts: dict[str, int] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    dirty: bool = True  # changed since its last row
    watch: Watch = field(default_factory=Watch)
    alerts: Alerts = field(default_factory=Alerts)

    def lane(self, axis: Axis, kind: str) -> Lane:
        return next(lane for lane in self.lanes if lane.kind == kind and lane.axis_name == axis.name)

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by
        self.dirty = True

    def senders_expected(self) -> int:
        return self.expected or len(self.senders)


class Quarantined(Struct, array_like=True):
    """A run whose events made the fold fail: it is no longer aggregated."""

    error: str
    traceback: str
    offset: int
    attempt: int = 0
    dropped: int = 0


class Partition(Struct, array_like=True):
    """The fold's state of one partition of the events topic: a function of the records up to `through`."""

    partition: int
    epoch: int = 0  # counts re-creations of the topic
    through: int = -1
    clock_ms: int = 0  # the largest append time
    tick_ms: int = 0  # the clock at the last tick
    absence_ms: int = 0  # the clock of silence: it advances by at most two intervals a tick
    rule_version: int = -1
    runs: dict[str, Run] = field(default_factory=dict)
    quarantined: dict[str, Quarantined] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)  # run -> offset, oldest first


def senders_active(run: Run) -> int:
    """How many senders speak."""
    return sum(not sender.silent and not sender.finished for sender in run.senders.values())
