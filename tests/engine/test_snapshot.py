"""Bytes of the state: every version of them is read, and whatever is wrong with them is a ValueError."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_engine import bounds
from reward_engine.fold import fold
from reward_engine.snapshot import STATE_SCHEMA, Header, Incompatible, decode, encode, joined
from reward_engine.state import Partition
from reward_schemas.events import SEQ_MAX, Tick

from tests.engine.fixtures.state import HERE, facts, partition
from tests.engine.logs import Log, Trainer, folded
from tests.schemas.golden import differing

FIXTURES = sorted(HERE.glob("state_v*.bin"))
STATE = joined(encode(partition()))


def _schema(file: Path) -> int:
    return int(file.stem.removeprefix("state_v"))


def _with_meta(**changed: object) -> bytes:
    """The state with another schema or generation in its header."""
    size = int.from_bytes(STATE[:8], "little")
    head = msgspec.msgpack.decode(STATE[8 : 8 + size]) | changed
    return _framed(msgspec.msgpack.encode(head)) + STATE[8 + size :]


def _framed(piece: bytes) -> bytes:
    return len(piece).to_bytes(8, "little") + piece


# ---- what was written is read -------------------------------------------------------------------------------------


def test_there_is_a_fixture_of_this_schema() -> None:
    assert [file.stem for file in FIXTURES][-1] == f"state_v{STATE_SCHEMA}"


@pytest.mark.parametrize("file", [file for file in FIXTURES if _schema(file) == STATE_SCHEMA], ids=lambda file: file.stem)
def test_a_fixture_says_what_it_always_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = file.read_bytes()
    generation = int(re.search(rb"generation(.)", raw).group(1)[0])
    monkeypatch.setattr(bounds, "FOLD_GENERATION", generation)  # the encoding outlives a change of what the fold means
    assert differing(file.with_suffix(".json").read_text(encoding="utf-8"), facts(decode(raw))) == []


@pytest.mark.parametrize("file", [file for file in FIXTURES if _schema(file) < STATE_SCHEMA], ids=lambda file: file.stem)
def test_a_fixture_of_an_older_schema_is_refused_so_that_the_log_is_replayed(file: Path) -> None:
    with pytest.raises(Incompatible, match=f"^state schema {_schema(file)}, generation .*; this version reads"):
        decode(file.read_bytes())


def test_the_newest_fixture_can_be_folded_on() -> None:
    """A sum more or less is another fold: it raises `FOLD_GENERATION`, and needs a fixture anew while none was released."""
    state = decode(FIXTURES[-1].read_bytes())
    log = Log().ticks(65_000, 600_000).append(Trainer("live", 1, 2, attempt=3, session=8, seq=8).rollout(4, 600_100)).records
    _, results = folded([msgspec.structs.replace(r, offset=r.offset + state.through + 1) for r in log], state)
    assert {r.WhichOneof("kind") for r in results} == {"pane", "run"}


def test_the_comparison_sees_a_changed_state() -> None:
    raw = STATE.replace(b"math", b"matt")
    assert differing(facts(decode(STATE)), facts(decode(raw))) == [".runs.live.project: 'math' was written, 'matt' is read"]


def test_a_state_comes_back_as_it_was_and_can_be_folded_on() -> None:
    state = partition()
    read = decode(joined(encode(state)))
    assert facts(read) == facts(state)
    assert joined(encode(read)) == joined(encode(state))
    log = Log().ticks(65_000, 600_000).append(Trainer("live", 1, 2, attempt=3, session=8, seq=8).rollout(4, 600_100)).records
    shifted = [msgspec.structs.replace(record, offset=record.offset + state.through + 1) for record in log]
    results = [[r.SerializeToString(deterministic=True) for r in folded(shifted, s)[1]] for s in (state, read)]
    assert results[0] == results[1] and results[0]
    assert facts(read) == facts(state)


def test_encoding_changes_nothing() -> None:
    state = partition()
    before = facts(state)
    pieces = list(encode(state))
    assert len(pieces) == 1 + len(state.runs)
    assert facts(state) == before


def test_the_largest_numbers_that_the_door_lets_in_can_be_kept() -> None:
    trainer = Trainer(session=2**64 - 1, attempt=2**32 - 1, rank=65_535, seq=SEQ_MAX)
    state, _ = folded(Log().append(trainer.rollout(2**53, 0)).append(Tick(), 5_000).records)
    assert facts(decode(joined(encode(state)))) == facts(state)


# ---- what is damaged is refused -----------------------------------------------------------------------------------


def _decodes_or_is_refused(raw: bytes) -> None:
    try:
        assert isinstance(decode(raw), Partition)
    except ValueError as error:
        assert str(error)


@pytest.mark.slow
def test_every_truncation_is_refused() -> None:
    for end in range(len(STATE)):
        with pytest.raises(ValueError, match="damaged state"):
            decode(STATE[:end])


def test_what_follows_the_state_is_refused() -> None:
    for more in (b"\0", STATE, STATE[: 8 + int.from_bytes(STATE[:8], "little")], _framed(b""), _framed(b"\xc0")):
        with pytest.raises(ValueError, match="damaged state"):
            decode(STATE + more)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, len(STATE) - 1), st.integers(0, 7)), min_size=1, max_size=6))
@settings(max_examples=1500, deadline=None)
def test_flipped_bits_never_raise_anything_else(flips: list[tuple[int, int]]) -> None:
    raw = bytearray(STATE)
    for at, bit in flips:
        raw[at] ^= 1 << bit
    _decodes_or_is_refused(bytes(raw))


@pytest.mark.slow
def test_flipped_bytes_of_the_header_and_of_one_run() -> None:
    header, run = list(encode(partition()))[:2]
    for at in [*range(len(header)), *range(len(header), len(header) + len(run), 3)]:
        _decodes_or_is_refused(STATE[:at] + bytes([STATE[at] ^ 0xFF]) + STATE[at + 1 :])


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(raw: bytes) -> None:
    for given_bytes in (raw, _framed(raw)):
        with pytest.raises(ValueError):
            decode(given_bytes)


def _with_array(shape: object, raw: object, dtype: str = "<f8") -> bytes:
    """A state whose first series has this in place of an array."""

    def hook(value: object) -> object:
        assert isinstance(value, np.ndarray)
        return [shape, dtype, raw]

    runs = list(partition().runs.values())[:1]
    encoder = msgspec.msgpack.Encoder(enc_hook=hook)
    header = Header(STATE_SCHEMA, bounds.FOLD_GENERATION, 1, Partition(0))
    return _framed(encoder.encode(header)) + _framed(encoder.encode(runs[0]))


@pytest.mark.parametrize(
    ("shape", "raw"),
    [
        ([2**63], bytes(16)),
        ([2**31, 2**31], bytes(16)),
        ([3], bytes(16)),
        ([-1], bytes(16)),
        ([2, -1], bytes(16)),
        ("2", bytes(16)),
        (2, bytes(16)),
        (None, bytes(16)),
        ([], bytes(16)),
        ([1.5], bytes(16)),
        ([True, 2], bytes(16)),
        ([1] * 100, bytes(8)),
        ([0], bytes(7)),
        ([0], 5),
        (None, None),
    ],
)
def test_arrays_of_no_shape_are_refused(shape: object, raw: object) -> None:
    assert isinstance(decode(_with_array([2], bytes(16))), Partition)
    with pytest.raises(ValueError, match="damaged state"):
        decode(_with_array(shape, raw))


@pytest.mark.parametrize("dtype", ["|O", ">f8", "<U2", "<M8[s]", 5, None])
def test_arrays_of_another_type_are_refused(dtype: object) -> None:
    with pytest.raises(ValueError, match="damaged state"):
        decode(_with_array([2], bytes(16), dtype))


@pytest.mark.parametrize("piece", [b"\x91" * 10_000, b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"])
def test_a_header_that_is_deep_or_claims_to_be_huge_is_refused(piece: bytes) -> None:
    head = b"\x81\xa6schema" + piece
    with pytest.raises(ValueError, match="damaged state"):
        decode(_framed(head))
    assert sys.getrecursionlimit() < 10_000


def test_nothing_is_no_state() -> None:
    with pytest.raises(ValueError, match="damaged state"):
        decode(b"")


# ---- what belongs to another version is refused in other words ----------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"schema": STATE_SCHEMA + 1}, f"state schema {STATE_SCHEMA + 1}, generation {bounds.FOLD_GENERATION}"),
        ({"generation": bounds.FOLD_GENERATION + 1}, f"state schema {STATE_SCHEMA}, generation {bounds.FOLD_GENERATION + 1}"),
        ({"schema": 0, "generation": 0, "runs": None, "partition": "otherwise"}, "state schema 0, generation 0"),
    ],
)
def test_another_version_is_incompatible(changed: dict, said: str) -> None:
    with pytest.raises(Incompatible) as caught:
        decode(_with_meta(**changed))
    assert str(caught.value) == f"{said}; this version reads schema {STATE_SCHEMA}, generation {bounds.FOLD_GENERATION}"


def test_damage_is_not_taken_for_another_version() -> None:
    with pytest.raises(ValueError) as caught:
        decode(STATE[:-1])
    assert not isinstance(caught.value, Incompatible)


def test_the_state_is_not_shared_with_what_was_decoded() -> None:
    one, two = decode(STATE), decode(STATE)
    fold(one, Log().append(Trainer("live", 0, 2, attempt=3, session=2**64 - 1, seq=9).rollout(2, 70_000)).records[0])
    assert facts(two) == facts(decode(STATE)) != facts(one)
