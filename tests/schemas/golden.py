"""Golden messages: bytes as a version of the schemas wrote them, and what they mean. They are read for ever.

    python -m tests.schemas.golden     writes the files that are missing; one that exists is never changed

`golden/vN/NAME.hex` has a message's bytes, `NAME.json` what `parse` (events), or protobuf's own JSON (results), says of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from google.protobuf.json_format import MessageToDict
from reward_schemas import events_pb2, results_pb2
from reward_schemas.encode import encode_control, encode_event, function_table
from reward_schemas.events import (
    Control,
    Event,
    Identity,
    Kind,
    RewardFunction,
    Role,
    Rollout,
    RuleSwitch,
    RunEvent,
    RunState,
    SenderReport,
    Tick,
    TrainerStep,
)
from reward_schemas.parse import parse

ROOT = Path(events_pb2.__file__).with_name("golden")
RUN = "math-grpo-019a0f7c-2c3a-7def-8123-0123456789ab"
T0 = 1_790_000_000_000

FUNCTIONS = (
    RewardFunction("accuracy", 1.0, kind=Kind.BINARY, lo=0.0, hi=1.0),
    RewardFunction("форма ✓", 0.2, kind=Kind.BOUNDED, lo=-1.0),
    RewardFunction("judge", 3.0, role=Role.AUDIT),
)
# A quiet NaN with a payload, a signalling one, infinities, a negative zero, the largest and the smallest number.
BITS = np.array([[0x7FC00001, 0x7F800001, 0x7F800000], [0xFF800000, 0x80000000, 0x7F7FFFFF], [1, 0x3F800000, 0]], "<u4")
VECTORS = {
    "rewards": BITS.view("<f4"),
    "group": np.array([0, 0, 7], "<i4"),
    "status": np.array([[0, 0, 0], [0, 1, 0], [2, 2, 0]], "u1"),
    "length": np.array([12, 4096, 0], "<i4"),
    "advantage": np.array([-0.5, 0.25, np.nan], "<f4"),
    "truncated": np.array([0, 1, 0], "u1"),
}


def _event(seq: int, body: object, **identity: Any) -> Event:
    who = {"run_id": RUN, "attempt": 2, "rank": 3, "session": 0xFEDCBA9876543210} | identity
    return Event(Identity(**who, seq=seq), T0 + seq % 1000, 8, body)


def _result(**body: Any) -> results_pb2.Result:
    identity = {
        "epoch": 1,
        "generation": 1,
        "partition": 5,
        "offset": 123_456_789_012,
        "index": 2,
        "run_id": RUN,
        "append_time_ms": T0 + 17,
    }
    return results_pb2.Result(**identity, **body)


EVENTS: dict[str, Event | Control] = {
    "rollout": _event(0, Rollout(step=41, table=function_table(FUNCTIONS), more=True, **VECTORS)),
    "rollout_in_parts": _event(
        1,
        Rollout(
            41,
            function_table((RewardFunction("f", lo=0.0, hi=1.0),)),
            np.ones((1, 2), "<f4"),
            np.array([-1, 2**31 - 1], "<i4"),
            group_size=2**20,
            columns={"kl": np.array([-0.0, np.inf], "<f4"), "доля ✓": np.array([0.125, 1e-45], "<f4")},
        ),
    ),
    "rollout_bare": _event(
        2**48, Rollout(0, function_table((RewardFunction("f"),)), np.ones((1, 1), "<f4"), np.zeros(1, "<i4")), attempt=0, rank=0
    ),
    "trainer_step": _event(2, TrainerStep(41, {"kl": 0.03125, "entropy": -0.0, "loss": float("inf")})),
    "run_started": _event(
        3, RunEvent(RunState.STARTED, "math-grpo", {"team": "räte"}, "trl 0.24", '{"lr": 1e-06}', FUNCTIONS), attempt=1
    ),
    **{state.name.lower(): _event(4, RunEvent(state)) for state in RunState if state is not RunState.STARTED},
    "run_finished": _event(5, RunEvent(RunState.FINISHED, reason="KeyboardInterrupt")),
    "sender_report": _event(6, SenderReport(1000, 3, {"queue full": 2})),
    "sender_report_of_nothing": _event(7, SenderReport(0, 0, {})),
    "tick": Tick(),
    "rule_switch": RuleSwitch(17),
}
RESULTS: dict[str, results_pb2.Result] = {
    "pane": _result(
        pane=results_pb2.PaneRow(
            window="100 steps",
            kind="reward",
            attempt=2,
            slot=41,
            closed=True,
            reported=7,
            expected=8,
            panes=42,
            flags=["gap", "reborn"],
            event_time_ms=T0,
            series=["total", "accuracy"],
            weights=[1.0, 1.0],
            roles=["total", "trained"],
            sums=["count", "minimum"],
            values=np.array([[4.0, np.inf], [3.0, -1e8]], "<f8").tobytes(),
        )
    ),
    "pane_of_a_step": _result(
        pane=results_pb2.PaneRow(
            window="step",
            kind="reward",
            slot=41,
            series=["total", "accuracy"],
            weights=[1.0, 1.0],
            roles=["total", "trained"],
            sums=["count"],
            values=np.array([[2.0], [2.0]], "<f8").tobytes(),
            lo=[float("nan"), 0.0],
            hi=[float("nan"), 1.0],
            products=np.array([[0.5, 0.25], [0.25, 2.0]], "<f8").tobytes(),
            sketch_sizes=[1, 2],
            sketch_values=np.array([0.5, -0.25, 1.0], "<f4").tobytes(),
            sketch_counts=np.array([2, 1, 1], "<u4").tobytes(),
        )
    ),
    "run": _result(
        run=results_pb2.RunRow(
            state="live",
            attempt=2,
            project="math-grpo",
            tags={"team": "räte"},
            trainer="trl 0.24",
            config_json="{}",
            started_ms=T0,
            last_event_ms=T0 + 5,
            last_step=-1,
            expected=8,
            active=7,
            silent_ranks=[1, 300],
            counts={"received": 2**40},
            flags=["reborn"],
            reason="why",
        )
    ),
    "late_event": _result(
        late_event=results_pb2.LateEvent(
            axis="time", kind="trainer", attempt=2, rank=3, session=2**63, seq=9, slot=T0, lateness=70_000, fate="amended"
        )
    ),
    "dead_letter": _result(
        dead_letter=results_pb2.DeadLetter(
            field="rewards", reason="3 values, 4 are needed", payload=b"\x00\xff", payload_bytes=70_000, rank=3, session=1, seq=9
        )
    ),
    "gap": _result(gap=results_pb2.Gap(from_offset=10, to_offset=20, reason="retention")),
    "alert": _result(
        alert=results_pb2.Alert(
            attempt=2,
            rule="reward-collapse",
            rule_version=17,
            series="форма ✓",
            state="firing",
            reason="no data",
            episode=3,
            sequence=9,
            axis="step",
            at=120,
            since=100,
            severity="critical",
            labels={"team": "rl"},
            annotations={"summary": "форма ✓ mean 0.050 at step 120"},
            expr="mean < 0.1 and kl_mean > 1",
            window="10 steps",
            window_from=111,
            window_to=120,
            groups=640,
            names=["mean", "kl_mean"],
            values=[0.05, float("nan")],
            examples=[4, -7],
            project="math",
            sentence="`format` falls",
        )
    ),
    "verdict": _result(
        verdict=results_pb2.Verdict(
            attempt=2,
            step=199,
            state="suspicious",
            sentence="Suspicious: `форма ✓` fell from 0.9 to 0.4 since the start, since step 150.",
            since_step=150,
            judged=11,
            detections=[
                results_pb2.Detection(
                    detector="component divergence",
                    level="warning",
                    series="форма ✓",
                    statistic=-8.5,
                    threshold=-4.0,
                    p=2.0**-40,
                    standard_error=0.0625,
                    reference_to=50,
                    recent_from=150,
                    recent_to=200,
                    groups=3200,
                    examples=[-1, 7],
                    sentence="`форма ✓` fell from 0.9 to 0.4 since the start",
                    since_step=150,
                ),
                results_pb2.Detection(detector="off-policy", level="off", needs="the column importance", statistic=float("nan")),
            ],
            quality=[
                results_pb2.Quality(
                    series="total",
                    score=62.5,
                    low=60.0,
                    high=65.0,
                    coverage=0.75,
                    components=["signal"],
                    values=[0.5],
                    hacking=0.25,
                )
            ],
        )
    ),
    "quarantine": _result(quarantine=results_pb2.Quarantine(released=True, error="ValueError: x", traceback="Traceback\n ...")),
}


def key_of(event: object) -> bytes | None:
    return event.identity.run_id.encode() if isinstance(event, Event) else None


def encoded(event: Event | Control) -> bytes:
    return encode_event(event) if isinstance(event, Event) else encode_control(event)


def described(thing: Any) -> Any:
    """A value as JSON has it, every bit of it: floats that JSON lacks by their bits."""
    if isinstance(thing, msgspec.Struct):
        fields = {name: described(getattr(thing, name)) for name in thing.__struct_fields__}
        return {"is": type(thing).__name__, **fields}
    if isinstance(thing, np.ndarray):
        values = [_number(value) for value in thing.ravel()]
        return {"dtype": thing.dtype.str, "shape": list(thing.shape), "values": values}
    if isinstance(thing, Enum):
        return thing.name
    if isinstance(thing, bytes):
        return thing.hex()
    if isinstance(thing, dict):
        return {str(key): described(value) for key, value in thing.items()}
    if isinstance(thing, tuple | list):
        return [described(value) for value in thing]
    if isinstance(thing, set):
        return [described(value) for value in sorted(thing)]
    return _number(np.float64(thing)) if isinstance(thing, float) else thing


def _number(value: np.generic) -> float | int | str:
    return value.item() if np.isfinite(value) else "0x" + np.asarray(value).astype(value.dtype.newbyteorder(">")).tobytes().hex()


def meaning(kind: str, key: bytes | None, raw: bytes) -> str:
    """What today's code says of a golden message, as the text of its JSON file."""
    if kind == "event":
        said = {"key": key and key.decode(), "parsed": described(parse(key, raw))}
    else:
        said = {"result": MessageToDict(results_pb2.Result.FromString(raw), preserving_proto_field_name=True)}
    return json.dumps(said, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def stored() -> list[tuple[str, bytes, str]]:
    """(version/kind-name, bytes, the text of its meaning) of every golden message."""
    hexes = sorted(ROOT.glob("v*/*.hex"))
    return [
        (f"{h.parent.name}/{h.stem}", bytes.fromhex(h.read_text()), h.with_suffix(".json").read_text(encoding="utf-8"))
        for h in hexes
    ]


def differences(name: str, raw: bytes, said: str) -> list[str]:
    """Where today's code understands a stored message otherwise. A field that was not known then has to be unsaid."""
    kind = name.split("/")[1].split("-", maxsplit=1)[0]
    key = json.loads(said).get("key")
    today = meaning(kind, key.encode() if key else None, raw)
    return differing(said, today)


UNSAID = (None, False, 0, "", [], {})


def differing(said: str, today: str) -> list[str]:
    """Where one JSON text lacks or contradicts what another says. It may have more fields; they say nothing."""
    as_text = {"parse_float": str}  # -0.0 is not 0.0 here
    return list(_differing("", json.loads(said, **as_text), json.loads(today, **as_text)))


def _differing(place: str, said: Any, today: Any) -> Iterator[str]:
    if isinstance(said, dict) and isinstance(today, dict):
        for name, value in said.items():
            yield from _differing(f"{place}.{name}", value, today.get(name, "gone"))
        for name in today.keys() - said.keys():
            if today[name] not in UNSAID:
                yield f"{place}.{name}: was not known, {today[name]!r} is read"
    elif isinstance(said, list) and isinstance(today, list) and len(said) == len(today):
        for at, (one, other) in enumerate(zip(said, today, strict=True)):
            yield from _differing(f"{place}[{at}]", one, other)
    elif (type(said), said) != (type(today), today):
        yield f"{place}: {said!r} was written, {today!r} is read"


def written_today() -> dict[str, tuple[bytes | None, bytes]]:
    """What today's encoder makes of the same events and results: {kind-name: (key, bytes)}."""
    events = {f"event-{name}": (key_of(event), encoded(event)) for name, event in EVENTS.items()}
    return events | {f"result-{name}": (None, result.SerializeToString(deterministic=True)) for name, result in RESULTS.items()}


def main(version: str = "v1") -> None:
    folder = ROOT / version
    folder.mkdir(parents=True, exist_ok=True)
    for name, (key, raw) in written_today().items():
        hex_file = folder / f"{name}.hex"
        if not hex_file.exists():
            hex_file.write_text(raw.hex() + "\n")
            hex_file.with_suffix(".json").write_text(meaning(name.split("-")[0], key, raw), encoding="utf-8")
            print("written:", hex_file)


if __name__ == "__main__":
    main()
