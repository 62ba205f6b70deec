"""The fold's own onlooker: makes blocks of the steps that have closed, and lets the detectors judge after each."""

from __future__ import annotations

import numpy as np

from reward_engine.detectors.blocks import Block, Told, merged, planned_steps, steps_of_a_block
from reward_engine.detectors.judge import judge
from reward_engine.detectors.view import BLOCKS_MIN, Declared, View
from reward_engine.emit import Emitter
from reward_engine.kinds import COMPLETION, KINDS, REWARD, TRAINER
from reward_engine.state import STEP, Run
from reward_engine.verdict import verdict

LEAST = 0.5  # of a block's steps: so much of one is judged at the end of the run


def watch(run: Run, out: Emitter, *, ended: bool = False) -> None:
    """Judges the steps that closed since the last block, if they make one. ended: no more are awaited."""
    lane, seen = run.lane(STEP, REWARD), run.watch
    if seen.restarted and lane.held:
        seen.rewind(min(lane.held))
    if lane.newest <= seen.through:
        return
    size = steps_of_a_block(planned_steps(run.config_json))
    # The newest may still lack what its message says of the completions: a block waits for the step after it.
    closed = sorted(slot for slot in lane.held if slot > seen.through)
    while len(closed) > size or (ended and len(closed) >= max(size * LEAST, 1)):
        _judge(run, closed[:size], size, out)
        closed = closed[size:]


def _judge(run: Run, steps: list[int], size: int, out: Emitter) -> None:
    tables = {}
    for kind in KINDS:
        held = run.lane(STEP, kind).held
        if said := [held[slot].table for slot in range(steps[0], steps[-1] + 1) if slot in held]:
            tables[kind] = merged(said)
    rewards, means = run.series[REWARD], run.lane(STEP, REWARD).held
    for step in steps:
        run.watch.follow(step, rewards.names, means[step].table)
    run.watch.add(Block(steps[0], steps[-1], tables, list(rewards.weights)))
    declared = Declared(rewards.names, rewards.roles, np.array(rewards.lo), np.array(rewards.hi))
    names = run.series[COMPLETION].names, run.series[TRAINER].names
    view = View(run.watch.blocks, declared, *names, run.watch.jumps, run.watch.dropped)
    every = judge(view, run.watch, size)
    found = verdict(view, run.watch, every, BLOCKS_MIN * size)
    run.watch.told = {
        judged.detector.name: Told(
            judged.level, judged.finding.series, judged.finding.statistic, judged.finding.sentence, list(judged.examples)
        )
        for judged in every
    } | {"": Told(found.state, sentence=found.sentence)}
    out.verdict(run, view, found)
