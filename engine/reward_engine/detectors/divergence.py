"""Cheating that shows between reward functions: what is trained goes up, and something that it should carry along doesn't.

The policy gradient moves the mean of any reward in the direction of its covariance with the advantages within groups (Price
1970 says the same of selection). So where an audit correlates negatively with the total within groups, the training works
against it now, some steps before its mean tells so.
"""

from __future__ import annotations

import numpy as np

from reward_engine.detectors.finding import CRITICAL, INFO, QUIET, WARNING, Finding
from reward_engine.detectors.view import View, Window
from reward_engine.statistics.needs import Needs
from reward_engine.sums import INDEX

AUDITED_GROUPS_MIN = 10  # in a window
AGAINST = -0.1, -4.0  # correlation within groups, and its z: an audit that is worked against
AUDIT_FELL = -3.5  # t of its mean
UP, DOWN = 4.0, -4.0  # t of functions that part
LOST = 0.2  # of what a function gave, at least
TAKEN_OVER, TAKING_OVER = 0.8, 0.3  # share of the advantages' variance, and its rise


def trained_audit_split(view: View) -> Finding | Needs:
    """The total holds or rises, and the audit falls, or what is rewarded more within groups is worse by it."""
    if not len(view.audits):
        return Needs("an audit function")
    if view.reward.sums(view.recent)[view.audits, INDEX["groups"]].max() < AUDITED_GROUPS_MIN:
        return Needs(f"{AUDITED_GROUPS_MIN} audited groups in {len(view.recent)} blocks")
    against, fell = _worked_against(view), _fallen_audit(view)
    if against and fell:
        return Finding(**{**vars(fell), "level": CRITICAL, "sentence": f"{fell.sentence}; {against.sentence}"})
    return fell or against or Finding(QUIET)


def _worked_against(view: View) -> Finding | None:
    """An audit that correlates negatively with the total."""
    correlation = view.reward.over("total_correlation", view.recent)
    table = view.reward.sums(view.recent)
    free = table[:, INDEX["grouped"]] - table[:, INDEX["groups"]]
    z = correlation * np.sqrt(np.maximum(free, 0.0))
    row = _least(np.where(correlation < AGAINST[0], z, np.nan), view.audits)
    if row is None or z[row] > AGAINST[1]:
        return None
    name = view.declared.names[row]
    return Finding(
        WARNING,
        f"within groups, completions with more reward are worse by `{name}` (correlation {correlation[row]:+.2f})",
        series=name,
        statistic=float(z[row]),
        threshold=AGAINST[1],
        standard_error=float(1 / np.sqrt(free[row])),
    )


def _fallen_audit(view: View) -> Finding | None:
    """An audit whose mean fell while the total held."""
    found = []
    for reference in view.references:
        change = view.reward.change("mean", reference, view.recent)
        row = _least(change.t, view.audits)
        if row is not None and change.t[row] < AUDIT_FELL and change.t[0] > 0:
            found.append(_fall(view, reference, row, WARNING, AUDIT_FELL))
    return min(found, key=lambda finding: finding.statistic, default=None)


def component_divergence(view: View) -> Finding | Needs:
    """One trained function rises while another falls, or is worked against."""
    if len(view.trained) < 2:
        return Needs("two trained functions")
    found = []
    for reference in view.references:
        change = view.reward.change("mean", reference, view.recent)
        if change.t[0] <= 0:
            continue
        up, down = _least(-change.t, view.trained), _least(change.t, view.trained)
        if up is None or down is None or change.t[up] < UP or change.t[down] > DOWN:
            continue
        before = view.reward.over("mean", reference)[down]
        lost = -change.delta[down] / max(abs(before), _span(view, down), 1e-300)
        if lost > LOST:
            fall = _fall(view, reference, down, WARNING, DOWN)
            rise = f"`{view.declared.names[up]}` {change.delta[up]:+.3g}"
            found.append(Finding(**{**vars(fall), "sentence": f"{rise} while {fall.sentence}"}))
    return min(found, key=lambda finding: finding.statistic, default=Finding(QUIET))


def takeover(view: View) -> Finding | Needs:
    """One function carries nearly all of the advantages' variance, and didn't before."""
    if len(view.trained) < 2:
        return Needs("two trained functions")
    share = view.reward.over("variance_contribution", view.recent)
    for reference in view.references:
        rise = share - view.reward.over("variance_contribution", reference)
        for row in view.trained[(share[view.trained] > TAKEN_OVER) & (rise[view.trained] > TAKING_OVER)].tolist():
            name = view.declared.names[row]
            return Finding(
                INFO,
                f"`{name}` drives {share[row]:.0%} of the advantages, {rise[row]:+.0%} {reference.name}",
                series=name,
                statistic=float(share[row]),
                threshold=TAKEN_OVER,
                reference=reference,
            )
    return Finding(QUIET)


def _fall(view: View, reference: Window, row: int, level: str, threshold: float) -> Finding:
    change = view.reward.change("mean", reference, view.recent)
    name = view.declared.names[row]
    before, after = (view.reward.over("mean", window)[row] for window in (reference, view.recent))
    return Finding(
        level,
        f"`{name}` fell from {before:.3g} to {after:.3g} {reference.name}",
        series=name,
        statistic=float(change.t[row]),
        threshold=threshold,
        p=float(change.p[row]),
        standard_error=float(change.standard_error[row]),
        reference=reference,
    )


def _span(view: View, row: int) -> float:
    """A tenth of the declared range: what is lost of next to nothing is nothing."""
    span = float(view.declared.hi[row] - view.declared.lo[row])
    return 0.1 * span if np.isfinite(span) else 0.0


def _least(values: np.ndarray, rows: np.ndarray) -> int | None:
    """Which of these rows has the smallest number; None where none is known."""
    known = rows[np.isfinite(values[rows])]
    return int(known[np.argmin(values[known])]) if len(known) else None
