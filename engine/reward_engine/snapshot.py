"""Bytes of the state, versioned. `encode` yields piece by piece, so that a caller may let other work go on in between;
the state must not be folded into meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from reward_engine import bounds
from reward_engine.state import Partition, Run

# Rises when the encoding changes. Fixtures of every version are in tests/engine/fixtures.
STATE_SCHEMA = 4


class Incompatible(ValueError):
    """Bytes of a state that this version cannot go on from."""


class Header(msgspec.Struct):
    """The first piece: what the state is of, and how many runs follow."""

    schema: int
    generation: int
    runs: int
    partition: Partition  # without its runs


def encode(partition: Partition) -> Iterator[bytes]:
    """The state as length-prefixed pieces: the header, then one a run."""
    runs = partition.runs
    bare = msgspec.structs.replace(partition, runs={})
    yield _framed(_ENCODER.encode(Header(STATE_SCHEMA, bounds.FOLD_GENERATION, len(runs), bare)))
    for run in runs.values():
        yield _framed(_ENCODER.encode(run))


def decode(raw: bytes) -> Partition:
    """The state of these bytes. Raises `Incompatible` for another schema or generation, ValueError for damage."""
    pieces = _pieces(raw)
    try:
        head = next(pieces)
        meta = msgspec.msgpack.decode(head, type=dict[str, Any])
        if (meta["schema"], meta["generation"]) != (STATE_SCHEMA, bounds.FOLD_GENERATION):
            raise Incompatible(
                f"state schema {meta['schema']}, generation {meta['generation']}; this version reads schema {STATE_SCHEMA}, "
                f"generation {bounds.FOLD_GENERATION}"
            )
        header = _HEADER.decode(head)
        runs = [_RUN.decode(piece) for piece in pieces]
    except (msgspec.DecodeError, StopIteration, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"damaged state: {error!r}") from error
    if len(runs) != header.runs:
        raise ValueError(f"damaged state: {len(runs)} runs, {header.runs} were written")
    header.partition.runs = {run.run_id: run for run in runs}
    return header.partition


def _framed(piece: bytes) -> bytes:
    return len(piece).to_bytes(8, "little") + piece


def _pieces(raw: bytes) -> Iterator[memoryview]:
    view, at = memoryview(raw), 0
    while at < len(view):
        size = int.from_bytes(view[at : at + 8], "little")
        if at + 8 + size > len(view):
            raise ValueError("damaged state: it ends in the middle of a piece")
        yield view[at + 8 : at + 8 + size]
        at += 8 + size


def joined(pieces: Iterable[bytes]) -> bytes:
    """The whole of a state's pieces."""
    return b"".join(pieces)


def _array_out(value: object) -> object:
    if isinstance(value, np.ndarray):
        return [value.shape, value.dtype.str, _narrow(value).tobytes()]
    raise TypeError(f"{type(value)} in the fold's state")


def _narrow(value: np.ndarray) -> np.ndarray:
    """The same numbers, in a byte each where they fit: most counts of a sketch do."""
    return value.astype(np.uint8) if value.dtype == np.uint32 and value.max(initial=0) < 256 else value


def _array_in(wanted: type, value: Any) -> object:
    if wanted is not np.ndarray:
        raise TypeError(f"{wanted} in the fold's state")
    shape, dtype, raw = value
    if dtype not in _DTYPES or not all(type(size) is int and 0 <= size < 2**32 for size in shape):
        raise TypeError(f"an array of {dtype!r:.20} and shape {shape!r:.60} in the fold's state")
    narrow = dtype == "<u4" and len(raw) == math.prod(shape)
    return np.frombuffer(raw, "|u1" if narrow else dtype).astype(dtype).reshape(shape)  # a copy: the fold writes into it


_DTYPES = ("<f8", "<u4", "<i8", "<i4", "|u1")

_ENCODER = msgspec.msgpack.Encoder(enc_hook=_array_out)
_HEADER = msgspec.msgpack.Decoder(Header, dec_hook=_array_in)
_RUN = msgspec.msgpack.Decoder(Run, dec_hook=_array_in)
