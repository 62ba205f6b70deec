"""Data-parallel ranks on one machine: processes that meet at a Unix socket and average their vectors.

Rank 0 listens and the others connect. For each all-reduce, rank 0 gathers the vectors, adds them in the order of the
ranks, and sends the mean back, so every rank holds the same bits. A rank that dies or stalls ends the others with a
`RankError` after the time-out at the latest.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from .training import AllReduce, StepBatch, TrainConfig, identity, train

_GREETING = struct.Struct("<II32s")  # rank, world size, digest of the config


class RankError(RuntimeError):
    """Another rank is missing, gone, silent, or trains something else."""

    def __init__(self, rank: int, reason: str) -> None:
        super().__init__(f"rank {rank} {reason}")
        self.rank = rank
        self.reason = reason


def run_rank(
    config: TrainConfig,
    rank: int = 0,
    world_size: int = 1,
    rendezvous: Path | None = None,
    on_step: Callable[[StepBatch], None] = lambda batch: None,
    *,
    pause_ms: int = 0,
    timeout_s: float = 60.0,
) -> np.ndarray:
    """Trains as one of `world_size` processes with the same config and `rendezvous`; the final weights.

    `pause_ms` is slept after each step, for watching. It has to stay below the time-out, as has what `on_step` takes.
    """

    def step_then_pause(batch: StepBatch) -> None:
        on_step(batch)
        time.sleep(pause_ms / 1000)

    with meet(rendezvous, rank, world_size, config, timeout_s) as all_reduce:
        return train(config, rank, world_size, all_reduce, step_then_pause)


@contextmanager
def meet(
    rendezvous: Path | None, rank: int, world_size: int, config: TrainConfig, timeout_s: float = 60.0
) -> Iterator[AllReduce]:
    """The all-reduce of `world_size` processes; waits up to `timeout_s` for the others, here and in each reduction."""
    if world_size == 1:
        yield identity
        return
    if rendezvous is None:
        raise ValueError("several ranks need a rendezvous: the path of a socket, the same for all")
    digest = hashlib.sha256(repr(config).encode()).digest()
    with ExitStack() as stack:
        if rank == 0:
            peers = _accept(stack, rendezvous, world_size, digest, timeout_s)
            yield lambda vector: _reduce_at_root(peers, vector)
        else:
            root = _connect(stack, rendezvous, timeout_s)
            root.send(_GREETING.pack(rank, world_size, digest))
            yield lambda vector: _reduce_at_peer(root, vector)


def _reduce_at_root(peers: list[_Peer], vector: np.ndarray) -> np.ndarray:
    total = np.array(vector, float)
    for peer in peers:
        total += np.frombuffer(peer.receive(total.nbytes))
    mean = total / (1 + len(peers))
    for peer in peers:
        peer.send(mean.tobytes())
    return mean


def _reduce_at_peer(root: _Peer, vector: np.ndarray) -> np.ndarray:
    sent = np.asarray(vector, float).tobytes()
    root.send(sent)
    return np.frombuffer(root.receive(len(sent)))


def _accept(stack: ExitStack, path: Path, world_size: int, digest: bytes, timeout_s: float) -> list[_Peer]:
    """Waits for every other rank; in the order of the ranks."""
    if path.is_socket():
        path.unlink()  # left by a run that was killed
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.settimeout(timeout_s)
    listener.bind(str(path))
    stack.callback(path.unlink, missing_ok=True)
    listener.listen(world_size)
    peers: dict[int, _Peer] = {}
    while missing := sorted(set(range(1, world_size)) - peers.keys()):
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise RankError(missing[0], f"did not come within {timeout_s:g} s") from None
        stack.enter_context(connection).settimeout(timeout_s)
        peer = _Peer(missing[0], connection)
        peer.rank, *greeted = _GREETING.unpack(peer.receive(_GREETING.size))
        if greeted != [world_size, digest]:
            raise RankError(peer.rank, "trains something else: world size, seed and all settings have to agree")
        if peer.rank not in missing:
            raise RankError(peer.rank, f"is none of the ranks still expected, {missing}")
        peers[peer.rank] = peer
    return [peers[rank] for rank in sorted(peers)]


def _connect(stack: ExitStack, path: Path, timeout_s: float) -> _Peer:
    """Rank 0, as soon as it listens."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX))
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            return _Peer(0, connection)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            time.sleep(0.05)
    raise RankError(0, f"did not come within {timeout_s:g} s")


class _Peer:
    """A connected rank. Both ends know the size of every message, so bytes travel without a frame."""

    def __init__(self, rank: int, connection: socket.socket) -> None:
        self.rank = rank
        self.connection = connection

    def send(self, message: bytes) -> None:
        try:
            self.connection.sendall(message)
        except TimeoutError:
            raise RankError(self.rank, f"took nothing for {self.connection.gettimeout():g} s") from None
        except OSError as error:
            raise RankError(self.rank, f"is gone ({error})") from None

    def receive(self, size: int) -> bytes:
        message = bytearray()
        while len(message) < size:
            try:
                part = self.connection.recv(size - len(message))
            except TimeoutError:
                raise RankError(self.rank, f"was silent for {self.connection.gettimeout():g} s") from None
            except OSError as error:
                raise RankError(self.rank, f"is gone ({error})") from None
            if not part:
                raise RankError(self.rank, "hung up")
            message += part
        return bytes(message)
