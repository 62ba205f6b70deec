"""What the policy does to be rewarded: it leaves its reference, settles on one way, or learns from what it no longer is."""

from __future__ import annotations

import numpy as np

from reward_engine.detectors.finding import INFO, QUIET, WARNING, Finding
from reward_engine.detectors.view import Kind, View
from reward_engine.statistics.needs import Needs

MOVED = 4.0  # t
SATURATED, SETTLED = 0.9, 0.3  # share of the rewards at the upper end; entropy as a part of what it was
ALIKE, ALIKE_RISE = 0.3, 0.1  # share of duplicates, and its rise
LONG = 32  # tokens: shorter answers are alike without any collapse
EFFECTIVE = 0.5  # effective sample size of the importance weights, as a share
GAP = 4.0  # t of the change of train - eval


def over_optimisation(view: View) -> Finding | Needs:
    """The policy moves on from its reference, and the total no longer gains by it."""
    row, kind = _reported(view, "kl")
    if kind is None:
        return Needs("kl from the trainer")
    for reference in view.references:
        moved, gained = kind.change("mean", reference, view.recent), view.reward.change("mean", reference, view.recent)
        if moved.t[row] > MOVED and gained.t[0] < 1:
            before, after = (kind.over("mean", window)[row] for window in (reference, view.recent))
            return Finding(
                INFO,
                f"KL rose from {before:.2g} to {after:.2g} nats {reference.name}, and the reward gained nothing",
                statistic=float(moved.t[row]),
                threshold=MOVED,
                p=float(moved.p[row]),
                standard_error=float(moved.standard_error[row]),
                reference=reference,
            )
    return Finding(QUIET)


def saturation(view: View) -> Finding | Needs:
    """A function is at its upper end nearly always, while the policy has lost its entropy."""
    row, kind = _reported(view, "entropy")
    if kind is None:
        return Needs("entropy from the trainer")
    at_high = view.reward.over("saturation_high", view.recent)[view.trained]
    if np.isnan(at_high).all():
        return Needs("a declared range of a function")
    start = view.earlier[0]
    before, now = (float(kind.over("mean", window)[row]) for window in (start, view.recent))
    left = now / before if before > 0 else np.nan
    top = int(np.nanargmax(at_high))
    if at_high[top] > SATURATED and left < SETTLED:
        name = view.declared.names[view.trained[top]]
        return Finding(
            INFO,
            f"`{name}` is at its upper end for {at_high[top]:.0%}, and the policy has {left:.0%} of its entropy left",
            series=name,
            statistic=float(left),
            threshold=SETTLED,
            reference=start,
        )
    return Finding(QUIET, statistic=float(left), threshold=SETTLED)


def mode_collapse(view: View) -> Finding | Needs:
    """Completions of a group have the same text, more than before."""
    row = view.completion.row("duplicate")
    if row is None:
        return Needs("the column duplicate")
    length = view.completion.row("length")
    if length is None or view.completion.over("mean", view.recent)[length] <= LONG:
        return Needs(f"completions of more than {LONG} tokens: shorter ones are alike anyway")
    alike = view.completion.over("mean", view.recent)[row]
    for reference in view.references:
        change = view.completion.change("mean", reference, view.recent)
        if alike > ALIKE and change.delta[row] > ALIKE_RISE and change.t[row] > MOVED:
            return Finding(
                WARNING,
                f"{alike:.0%} of the completions repeat another of their group, {change.delta[row]:+.0%} {reference.name}",
                statistic=float(alike),
                threshold=ALIKE,
                p=float(change.p[row]),
                standard_error=float(change.standard_error[row]),
                reference=reference,
            )
    return Finding(QUIET, statistic=float(alike), threshold=ALIKE)


def off_policy(view: View) -> Finding | Needs:
    """The importance weights are carried by few completions: the policy that learns is no longer the one that wrote."""
    row = view.completion.row("importance")
    if row is None:
        return Needs("importance weights of completions")
    share = view.completion.over("effective_share", view.recent)[row]
    if share < EFFECTIVE:
        return Finding(
            WARNING,
            f"importance weights leave {share:.0%} of the completions effective",
            statistic=float(share),
            threshold=EFFECTIVE,
        )
    return Finding(QUIET, statistic=float(share), threshold=EFFECTIVE)


def train_eval_gap(view: View) -> Finding | Needs:
    """The reward of training rises away from that of an evaluation."""
    row = view.trainer.row("eval_reward")
    if row is None:
        return Needs("the scalar eval_reward from the trainer")
    for reference in view.references:
        trained, held_out = (
            view.reward.change("mean", reference, view.recent),
            view.trainer.change("mean", reference, view.recent),
        )
        error = float(np.hypot(trained.standard_error[0], held_out.standard_error[row]))
        gap = float(trained.delta[0] - held_out.delta[row])
        if error > 0 and gap / error > GAP and held_out.t[row] < 1:
            return Finding(
                WARNING,
                f"the reward gained {trained.delta[0]:+.3g} {reference.name}, its evaluation {held_out.delta[row]:+.3g}",
                statistic=gap / error,
                threshold=GAP,
                standard_error=error,
                reference=reference,
            )
    return Finding(QUIET)


def _reported(view: View, name: str) -> tuple[int, Kind | None]:
    """Where a number of the policy is: among the trainer's scalars, or of the completions."""
    for kind in (view.trainer, view.completion):
        if (row := kind.row(name)) is not None:
            return row, kind
    return -1, None
