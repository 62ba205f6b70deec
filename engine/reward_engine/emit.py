"""Results: what the fold says, each with its identity (generation, partition, offset, index)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from reward_schemas.events import Identity
from reward_schemas.results_pb2 import (
    Alert,
    DeadLetter,
    Detection,
    Gap,
    LateEvent,
    PaneRow,
    Quarantine,
    Result,
    RunRow,
)
from reward_schemas.results_pb2 import Quality as QualityRow
from reward_schemas.results_pb2 import Verdict as VerdictRow

from reward_engine import bounds
from reward_engine.detectors.judge import Judged
from reward_engine.detectors.view import View
from reward_engine.measuring import COLUMNS, sketched
from reward_engine.panes import rolled, summed
from reward_engine.quality import Quality
from reward_engine.rules.machine import FIRING, QUARANTINE, RESOLVED
from reward_engine.sketch import Sketch
from reward_engine.state import STEP, Lane, Pane, Partition, Quarantined, Run, senders_active
from reward_engine.verdict import Verdict

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Emitter", "version"]


def version(result: Result) -> int:
    """Orders the rows of one key: epoch (8 bits), generation (12), offset (44). A uint64."""
    return result.epoch << 56 | result.generation << 44 | result.offset


def _distribution(pane: Pane, series: int) -> dict[str, Any]:
    """What only the row of a single step has: longer windows add these up in SQL."""
    return {
        "products": pane.products.astype("<f8", copy=False).tobytes(),
        "sketch_sizes": np.diff(pane.sketch.starts(series)).tolist(),
        "sketch_values": pane.sketch.values.astype("<f4").tobytes(),
        "sketch_counts": pane.sketch.counts.astype("<u4", copy=False).tobytes(),
    }


def _detection(view: View, judged: Judged) -> Detection:
    found = judged.finding
    before = view.steps(found.reference) if found.reference else (0, 0)
    recent = view.steps(view.recent) if len(view.recent) else (0, 0)
    return Detection(
        detector=judged.detector.name,
        level=found.level,
        needs=judged.needs,
        series=found.series,
        statistic=found.statistic,
        threshold=found.threshold,
        p=found.p,
        standard_error=found.standard_error,
        reference_from=before[0],
        reference_to=before[1],
        recent_from=recent[0],
        recent_to=recent[1],
        groups=view.groups() if len(view.recent) else 0,
        examples=judged.examples,
        sentence=found.sentence,
        since_step=judged.since,
    )


def _quality(quality: Quality) -> QualityRow:
    return QualityRow(
        series=quality.series,
        score=quality.score,
        low=quality.low,
        high=quality.high,
        coverage=quality.coverage,
        components=list(quality.components),
        values=list(quality.components.values()),
        hacking=quality.hacking,
    )


class _Body(TypedDict, total=False):
    """What a result says: one of these."""

    pane: PaneRow
    run: RunRow
    late_event: LateEvent
    dead_letter: DeadLetter
    gap: Gap
    quarantine: Quarantine
    verdict: VerdictRow
    alert: Alert


class Emitter:
    """Collects the results of one record."""

    def __init__(self, partition: Partition, offset: int, append_time_ms: int) -> None:
        self.results: list[Result] = []
        self._partition, self._offset, self._append_time_ms = partition, offset, append_time_ms

    def _emit(self, run_id: str, **body: Unpack[_Body]) -> None:
        self.results.append(
            Result(
                epoch=self._partition.epoch,
                generation=bounds.FOLD_GENERATION,
                partition=self._partition.partition,
                offset=self._offset,
                index=len(self.results),
                run_id=run_id,
                append_time_ms=self._append_time_ms,
                **body,
            )
        )

    def pane(self, run: Run, lane: Lane, pane: Pane, *, closed: bool) -> None:
        """The row of a single pane; `closed` False: a partial one, which a later row replaces."""
        self._sums(run, lane, pane, lane.axis.row, pane.table, pane.sketch, closed, panes=1)

    def window(self, run: Run, lane: Lane, pane: Pane, name: str, inside: dict[int, Pane]) -> None:
        """The row of a window that ends with a pane that has just closed."""
        self._sums(run, lane, pane, name, summed(lane, inside), rolled(lane, name, inside), True, panes=len(inside))

    def _sums(
        self, run: Run, lane: Lane, pane: Pane, window: str, table: np.ndarray, values: Sketch, closed: bool, panes: int
    ) -> None:
        series = run.series[lane.kind]
        size = len(table)
        lo, hi = series.lo[:size], series.hi[:size]
        table = np.concatenate([table, sketched(values, lo, hi)], axis=1)
        self._emit(
            run.run_id,
            pane=PaneRow(
                window=window,
                kind=lane.kind,
                attempt=run.attempt,
                slot=pane.slot,
                closed=closed,
                reported=len(pane.reported),
                expected=run.senders_expected(),
                panes=panes,
                flags=sorted(run.flags | pane.flags),
                event_time_ms=pane.event_ms,
                series=series.names[:size],
                weights=series.weights[:size],
                roles=series.roles[:size],
                lo=lo,
                hi=hi,
                sums=COLUMNS,
                values=table.astype("<f8", copy=False).tobytes(),
                **(_distribution(pane, size) if window == STEP.row else {}),
            ),
        )

    def run(self, run: Run, state: str = "") -> None:
        """What is known of a run; `state` where it is not the run's own ("forgotten")."""
        run.dirty = False
        sessions = [seen for sender in run.senders.values() for seen in sender.sessions.values()]
        reports = [report for sender in run.senders.values() for report in sender.reports.values()]
        counts = dict(run.counts)
        counts["missing"] = sum(seen.missing for seen in sessions)
        counts["sessions"] = len(sessions)
        if reports:
            counts["sender_accepted"] = sum(report.accepted for report in reports)
            counts["sender_spooled"] = sum(report.spooled for report in reports)
            counts["sender_dropped"] = sum(sum(report.dropped.values()) for report in reports)
        self._emit(
            run.run_id,
            run=RunRow(
                state=state or run.state,
                attempt=run.attempt,
                project=run.project,
                tags=run.tags,
                trainer=run.trainer,
                config_json=run.config_json,
                started_ms=run.started_ms,
                last_event_ms=run.last_event_ms,
                last_step=run.top_step,
                expected=run.senders_expected(),
                active=senders_active(run),
                silent_ranks=sorted(rank for rank, sender in run.senders.items() if sender.silent and not sender.finished),
                counts=counts,
                flags=sorted(run.flags),
                reason=run.reason,
            ),
        )

    def verdict(self, run: Run, view: View, verdict: Verdict) -> None:
        """What a run is judged to be after a block of steps, and every detector's part in it."""
        self._emit(
            run.run_id,
            verdict=VerdictRow(
                attempt=run.attempt,
                step=verdict.step,
                state=verdict.state,
                sentence=verdict.sentence,
                since_step=verdict.since,
                judged=verdict.judged,
                detections=[_detection(view, judged) for judged in verdict.every],
                quality=[_quality(quality) for quality in verdict.quality],
            ),
        )

    def alert(self, run_id: str, alert: Alert) -> None:
        """A change of state of an alert."""
        self._emit(run_id, alert=alert)

    def late(self, lane: Lane, identity: Identity, slot: int, lateness: int, fate: str) -> None:
        """An event for a slot that was closed; lateness in steps or ms behind the newest closed slot."""
        self._emit(
            identity.run_id,
            late_event=LateEvent(
                axis=lane.axis.name,
                kind=lane.kind,
                attempt=identity.attempt,
                rank=identity.rank,
                session=identity.session,
                seq=identity.seq,
                slot=slot,
                lateness=lateness,
                fate=fate,
            ),
        )

    def dead_letter(self, field: str, reason: str, payload: bytes, identity: Identity | None) -> None:
        """A message that could not be used; its first 64 KiB."""
        who = {"rank": identity.rank, "session": identity.session, "seq": identity.seq} if identity else {}
        letter = DeadLetter(
            field=field, reason=reason, payload=payload[: bounds.DEAD_LETTER_BYTES_MAX], payload_bytes=len(payload), **who
        )
        self._emit(identity.run_id if identity else "", dead_letter=letter)

    def gap(self, from_offset: int, to_offset: int, reason: str) -> None:
        """Records [from, to) of the source that no fold saw."""
        self._emit("", gap=Gap(from_offset=from_offset, to_offset=to_offset, reason=reason))

    def quarantine(self, run_id: str, quarantined: Quarantined, *, released: bool = False) -> None:
        """A run is taken out of aggregation after an error in the fold, or let in again; an alert says so, whatever the rules."""
        self._emit(
            run_id,
            quarantine=Quarantine(released=released, error=quarantined.error, traceback=quarantined.traceback),
        )
        self._emit(
            run_id,
            alert=Alert(
                rule=QUARANTINE,
                rule_version=-1,
                attempt=quarantined.attempt,
                state=RESOLVED if released else FIRING,
                reason="released" if released else "",
                episode=quarantined.offset + 1,
                sequence=2 if released else 1,
                axis="clock",
                at=self._append_time_ms,
                since=self._append_time_ms,
                severity="critical",
                annotations={
                    "summary": f"it is no longer aggregated, its messages can't be folded: {quarantined.error:.500}",
                    "traceback": quarantined.traceback[-2_000:],
                },
            ),
        )
