"""Raw rewards for tests, from a seed: messages of every kind of values, groups and gaps, and what the engine makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from reward_engine import panes, sketch, sums
from reward_engine.block import Block
from reward_engine.groups import Groups
from reward_engine.measuring import measured, sketched
from reward_engine.panes import Said
from reward_engine.rollouts import _declared, with_total
from reward_engine.state import Pane
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Role, Rollout

F32_MAX = float(np.finfo(np.float32).max)
Rng = np.random.Generator

# What a reward function may give, by name: (generator, group of each completion) -> values.
VALUES: dict[str, Callable[[Rng, np.ndarray], np.ndarray]] = {
    "normal": lambda rng, group: rng.normal(size=len(group)),
    "binary": lambda rng, group: rng.integers(0, 2, len(group)).astype(float),
    "mostly solved": lambda rng, group: (rng.random(len(group)) < 0.9).astype(float),
    "levels": lambda rng, group: rng.integers(0, 5, len(group)) / 4,
    "1e8 ± 0.3": lambda rng, group: 1e8 + rng.uniform(-0.3, 0.3, len(group)),
    "wild": lambda rng, group: rng.choice([-1.0, 1.0], len(group)) * rng.lognormal(0, 12, len(group)),
    "extremes": lambda rng, group: rng.choice([F32_MAX, -F32_MAX, 1e-45, -1e-45, 0.0, 1.0], len(group)),
    "equal": lambda rng, group: np.full(len(group), 0.1),
    "equal in a group": lambda rng, group: np.round(np.sin(group * 1.7 + 1), 3),
    "as its neighbour": lambda rng, group: np.full(len(group), np.nan),  # replaced by the function before it
}
RANGES = [(None, None), (0.0, 1.0), (-0.5, 0.0), (-1.0, 1.0), (0.0, None), (None, 1.0), (0.1, 0.7), (-1e308, 1e308)]


@dataclass(frozen=True)
class Shape:
    """What a case is like; its numbers come from the seed."""

    seed: int
    kinds: tuple[str, ...]
    ranges: tuple[tuple[float | None, float | None], ...]
    sizes: tuple[tuple[int, ...], ...]  # of the groups of each message
    adjacent: bool = True
    absent: float = 0.0  # share of the values that have no number: missing, not scored, NaN, infinite
    lengths: bool = True
    audit: float = 0.2  # share of the functions
    weights: tuple[float, ...] = (1.0, 0.2, -0.5, 2.5, 0.0)  # those of a message are drawn from


def shapes(**fixed: object) -> st.SearchStrategy[Shape]:
    kinds = st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4).map(tuple)
    group = st.integers(1, 6)
    sizes = st.one_of(
        st.tuples(st.lists(group, min_size=1, max_size=5).map(tuple)),
        st.lists(st.lists(group, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4).map(tuple),
        st.builds(lambda g, p, m: ((g,) * p,) * m, group, st.integers(1, 8), st.integers(1, 3)),
    )
    drawn = {
        "seed": st.integers(0, 2**32 - 1),
        "kinds": kinds,
        "ranges": st.tuples(*[st.sampled_from(RANGES)] * 4),
        "sizes": sizes,
        "adjacent": st.booleans(),
        "absent": st.sampled_from([0.0, 0.0, 0.2, 0.7, 1.0]),
        "lengths": st.booleans(),
    }
    return st.builds(Shape, **{name: st.just(fixed[name]) if name in fixed else drawn[name] for name in drawn})


def messages(shape: Shape) -> list[Rollout]:
    """The messages of a case. Its rewards are float64: 1e8 ± 0.3 needs that."""
    rng = np.random.default_rng(shape.seed)
    roles = [Role.AUDIT if rng.random() < shape.audit else Role.TRAINED for _ in shape.kinds]
    made = []
    for step, sizes in enumerate(shape.sizes):
        group = np.repeat(rng.permutation(50)[: len(sizes)], sizes).astype(np.int32)
        if not shape.adjacent:
            group = rng.permutation(group)
        values = np.array([VALUES[kind](rng, group) for kind in shape.kinds])
        for k, kind in enumerate(shape.kinds):
            if kind == "as its neighbour":
                values[k] = values[k - 1] if k else 0.5
        status = None
        if shape.absent:
            status = np.where(rng.random(values.shape) < shape.absent, rng.integers(0, 3, values.shape), 0).astype(np.uint8)
            broken = rng.random(values.shape) < shape.absent / 2
            values[broken] = rng.choice([np.nan, np.inf, -np.inf], int(broken.sum()))
        functions = tuple(
            RewardFunction(f"f{k}", float(rng.choice(shape.weights)), roles[k], lo=lo, hi=hi)
            for k, (lo, hi) in enumerate(shape.ranges[: len(shape.kinds)])
        )
        length = rng.integers(0, 5000, len(group)).astype(np.int32) if shape.lengths else None
        made.append(Rollout(step, function_table(functions), values, group, status, length))
    return made


def block(body: Rollout) -> Block:
    """What the fold makes of a message whose groups are whole."""
    values, status = with_total(body)
    lo, hi = (np.array(ends) for ends in list(zip(*_declared(body.table.functions), strict=True))[3:])
    weights = np.append(1.0, body.table.weights)
    return Block(values, status, lo=lo, hi=hi, groups=Groups(body.group), lengths=body.length, weights=weights)


def said(body: Rollout) -> Said:
    return panes.said(np.arange(len(body.rewards) + 1), block(body))


def table_of(body: Rollout) -> np.ndarray:
    return said(body).table


def pane_of(bodies: Sequence[Rollout]) -> Pane:
    """The pane that took these messages one after the other."""
    series = len(bodies[0].rewards) + 1
    pane = Pane(0, [], 0)
    for body in bodies:
        panes.take(pane, said(body), series)
    return pane


def measures_of(pieces: Sequence[Pane], body: Rollout) -> dict[str, np.ndarray]:
    """Every measure of a window of these panes, as its row says them. body: a message with the functions' ranges."""
    table = sums.merged([pane.table for pane in pieces])
    seen = block(body)
    roles = [role for _, _, role, _, _ in _declared(body.table.functions)]
    values = sketched(sketch.merged([pane.sketch for pane in pieces]), seen.lo.tolist(), seen.hi.tolist())
    return measured(np.concatenate([table, values], axis=1), roles)
