"""What a message adds to a pane, groups that are spread over several messages, and panes merged into a window."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from reward_engine import bounds, sketch, sums
from reward_engine.block import Block
from reward_engine.detectors.blocks import Shown
from reward_engine.groups import Groups
from reward_engine.sketch import Sketch
from reward_engine.state import Lane, Merged, Pane, Rolling, Series, Waiting

BLOCK = 10  # slots


@dataclass(frozen=True)
class Said:
    """What a message says of the series `rows`: sums, float64[K, sums], products of those among the
    first PRODUCTS_MAX, float64[k, k], or None where it has no groups, the sketch, and groups that are shown as examples."""

    rows: np.ndarray
    table: np.ndarray
    products: np.ndarray | None = None
    sketch: Sketch | None = None
    shown: Shown | None = None


@np.errstate(over="ignore", invalid="ignore")  # as in the sums: what overflows is unknown
def said(rows: np.ndarray, block: Block, *, groups_alone: bool = False) -> Said:
    """What a block says; groups_alone: the values themselves have been said."""
    return Said(
        rows,
        sums.reduce(block, values=not groups_alone),
        block.products(rows < bounds.PRODUCTS_MAX) if block.groups else None,
        None if groups_alone else sketch.counted(rows, block.values, block.finite),
        None if groups_alone or block.groups is None else Shown.of(rows, block.groups.ids, block.group_means, block.flat[0]),
    )


def take(pane: Pane, what: Said, series: int) -> None:
    """Adds it to a pane, in place. series: how many the run has."""
    table = what.table
    if len(what.rows) < series or (what.rows[1:] < what.rows[:-1]).any():
        table = sums.empty(series)
        table[what.rows] = what.table
    pane.add(table, what.sketch)
    if what.products is not None:
        kept = min(series, bounds.PRODUCTS_MAX)
        if (short := kept - len(pane.products)) > 0:
            pane.products = np.pad(pane.products, (0, short))
        rows = what.rows[what.rows < kept]
        pane.products[rows[:, None], rows] += what.products


def met(pane: Pane, ids: np.ndarray) -> int:
    """How many of these groups another message of the step had: spread without being declared so, each part counts as one."""
    new = set(ids.tolist())
    known = len(new & pane.groups)
    if len(pane.groups) < bounds.WAITING_MAX:
        pane.groups |= new
    return known


def wait(pane: Pane, what: Waiting, series: Series) -> list[Said]:
    """Keeps completions until their groups are whole; returns what those say that have become so."""
    pane.waiting.append(what)
    ids, counts = np.unique(np.concatenate([part.group for part in pane.waiting]), return_counts=True)
    whole = ids if counts.sum() > bounds.WAITING_MAX else ids[counts >= what.size]
    return _release(pane, whole, series) if len(whole) else []


def give_up(pane: Pane, series: Series) -> list[Said]:
    """What the groups say, as they are, that wait for their rest in vain: the pane closes."""
    return _release(pane, np.concatenate([part.group for part in pane.waiting]), series) if pane.waiting else []


def _release(pane: Pane, ids: np.ndarray, series: Series) -> list[Said]:
    chosen: dict[bytes, list[Waiting]] = {}
    waiting, pane.waiting = pane.waiting, []
    for part in waiting:
        now = np.isin(part.group, ids)
        if now.any():
            chosen.setdefault(part.rows.tobytes(), []).append(_cut(part, now))
        if not now.all():
            pane.waiting.append(_cut(part, ~now))
    return [said(parts[0].rows, _block(parts, series), groups_alone=True) for parts in chosen.values()]


def _cut(part: Waiting, which: np.ndarray) -> Waiting:
    status = None if part.status is None else part.status[:, which]
    lengths = None if part.lengths is None else part.lengths[which]
    return Waiting(part.rows, part.group[which], part.size, part.values[:, which], status, lengths)


def _block(parts: list[Waiting], series: Series) -> Block:
    rows = parts[0].rows
    status = [np.zeros(part.values.shape, np.uint8) if part.status is None else part.status for part in parts]
    lengths = [part.lengths for part in parts if part.lengths is not None]
    return Block(
        np.concatenate([part.values for part in parts], axis=1),
        np.concatenate(status, axis=1) if any(part.status is not None for part in parts) else None,
        lo=np.array(series.lo)[rows],
        hi=np.array(series.hi)[rows],
        groups=Groups(np.concatenate([part.group for part in parts])),
        lengths=np.concatenate(lengths) if len(lengths) == len(parts) else None,
        weights=series.in_total(rows),
    )


def summed(lane: Lane, inside: dict[int, Pane]) -> np.ndarray:
    """The sums of a window over these panes, whose slots ascend.

    Blocks of `BLOCK` slots in the middle of it are merged before, and kept. Which they are follows from the slots alone,
    so that the rounding doesn't depend on what was kept, nor for which window.
    """
    width = BLOCK * lane.axis.pane
    ends = min(inside) // width, max(inside) // width
    kept = lane.blocks
    for number in [number for number in kept if number < min(lane.held, default=0) // width]:
        del kept[number]
    tables = []
    for number, block in groupby(inside, lambda slot: slot // width):
        slots = tuple(block)
        if number in ends:
            tables += [inside[slot].table for slot in slots]
            continue
        last = kept.get(number)
        if last is None or last.slots != slots:
            last = kept[number] = Merged(slots, sums.merged([inside[slot].table for slot in slots]))
        tables.append(last.table)
    return sums.merged(tables)


def rolled(lane: Lane, name: str, inside: dict[int, Pane]) -> Sketch:
    """The sketch of a window over these panes. What the last one had is kept: counts can be taken out again exactly."""
    last = lane.rolling.get(name)
    if last is None or len(inside) <= len(last.panes.keys() ^ inside.keys()):
        whole = sketch.merged([pane.sketch for pane in inside.values()])
    else:
        came = [pane.sketch for slot, pane in inside.items() if slot not in last.panes]
        gone = [pane.sketch for slot, pane in last.panes.items() if slot not in inside]
        whole = sketch.merged([last.sketch, *came], gone)
    lane.rolling[name] = Rolling(inside, whole)
    return whole
