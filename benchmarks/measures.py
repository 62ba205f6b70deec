"""The fold with every measure on, beside a bare loop that decodes the same messages and computes the same measures.

    python benchmarks/measures.py [--messages 400] [--rounds 5]

8 functions x 512 completions a message in groups of 8, one or eight messages a step, in one process. The bare loop keeps
no state and tells nothing: for each message stacked numpy over the functions and their total gives that step's measures.
The fold also merges panes, keeps windows of 100 steps and 5 minutes with their quantiles, and makes rows of all of them,
which who has no panes computes from the vectors anew: that is timed apart. CPU time; a share is the bare loop's time by
the fold's, of the same round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import product

import numpy as np
from reward_engine.fold import Record, fold
from reward_engine.snapshot import encode
from reward_engine.state import Partition
from reward_schemas.encode import encode_event, function_table
from reward_schemas.events import Event, Identity, RewardFunction, Rollout
from reward_schemas.parse import parse

FUNCTIONS, COMPLETIONS, GROUP = 8, 512, 8
WEIGHTS = np.linspace(0.2, 1.6, FUNCTIONS)
T0 = 1_790_000_000_000
STEP_MS = 5_000  # a step of a usual training
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def messages(steps: int, ranks: int = 1) -> list[bytes]:
    """A run's messages, one of each rank a step: half of the functions are binary, the others real; lengths are known."""
    rng = np.random.default_rng(0)
    table = function_table(tuple(RewardFunction(f"f{k}", float(w), lo=0.0, hi=1.0) for k, w in enumerate(WEIGHTS)))
    group = np.arange(COMPLETIONS, dtype=np.int32) // GROUP
    made = []
    for step, rank in product(range(steps), range(ranks)):
        rewards = rng.beta(2, 2, (FUNCTIONS, COMPLETIONS)).astype(np.float32)
        rewards[::2] = rewards[::2] > 0.5
        length = rng.integers(1, 4096, COMPLETIONS).astype(np.int32)
        body = Rollout(step, table, rewards, group + rank * COMPLETIONS, length=length)
        made.append(encode_event(Event(Identity("r", 1, rank, 7 + rank, step), T0 + step * STEP_MS, ranks, body)))
    return made


def folded(sent: list[bytes]) -> Partition:
    """What is measured: the door and the fold."""
    state = Partition(0)
    for offset, raw in enumerate(sent):
        event = parse(b"r", raw)
        fold(state, Record(offset, event.event_time_ms, event))
    return state


def bare(sent: list[bytes]) -> list[dict[str, np.ndarray]]:
    """The yardstick: the door and plain numpy, whole groups of one size, nothing missing."""
    return [measures(parse(b"r", raw).body) for raw in sent]


def measures(body: Rollout) -> dict[str, np.ndarray]:
    """Every measure of one step, [9]; as somebody would write it who needs no more than this."""
    rewards = body.rewards.astype(np.float64)
    x = np.concatenate([(body.table.weights[:, None] * rewards).sum(axis=0)[None], rewards])
    lo, hi = np.append(0.0, np.zeros(FUNCTIONS)), np.append(body.table.weights.sum(), np.ones(FUNCTIONS))
    n, finite = x.shape[1], np.isfinite(x)
    mean = x.mean(axis=1)
    apart = x - mean[:, None]
    squares = apart * apart
    var = squares.sum(axis=1) / (n - 1)
    margin = 0.01 * (hi - lo)[:, None]
    at_high, at_low = x >= hi[:, None] - margin, x <= lo[:, None] + margin
    g = x.reshape(len(x), -1, GROUP)
    p, means = g.shape[1], g.mean(axis=2)
    centred = g - means[:, :, None]
    within = (centred * centred).sum(axis=2)
    spread = within / (GROUP - 1)
    msw, msb = within.sum(axis=1) / (n - p), GROUP * means.var(axis=1, ddof=1)
    flat = g.max(axis=2) - g.min(axis=2) <= 1e-12
    solved = at_high.reshape(g.shape).sum(axis=2)
    logs = np.log(np.maximum(body.length, 1.0)).reshape(-1, GROUP)
    logs -= logs.mean(axis=1, keepdims=True)
    by_length, rows = (centred * logs).sum(axis=(1, 2)), centred.reshape(len(x), -1)
    pairs = rows @ rows.T
    bins = np.clip((x - lo[:, None]) / (hi - lo)[:, None] * 32, 0, 31).astype(np.int64) + 32 * np.arange(len(x))[:, None]
    shares = np.bincount(bins.ravel(), minlength=32 * len(x)).reshape(-1, 32) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = -np.where(shares > 0, shares * np.log(shares), 0.0).sum(axis=1)
        out = {
            "count": finite.sum(axis=1), "mean": mean, "variance": var, "std": np.sqrt(var), "min": x.min(axis=1),
            "max": x.max(axis=1), "total": mean * n, "standard_error": means.std(axis=1, ddof=1) / np.sqrt(p),
            "signal_to_noise": np.abs(mean) / np.sqrt(var), "skewness": (squares * apart).mean(axis=1) / var**1.5,
            "kurtosis": (squares * squares).mean(axis=1) / var**2 - 3, "positive_share": (x > 0).mean(axis=1),
            "zero_share": (x == 0).mean(axis=1), "effective_samples": np.abs(x).sum(axis=1) ** 2 / (x * x).sum(axis=1),
            "saturation_high": at_high.mean(axis=1), "saturation_low": at_low.mean(axis=1),
            "out_of_range": ((x < lo[:, None]) | (x > hi[:, None])).mean(axis=1),
            "quantiles": np.quantile(x, SHARES, axis=1, method="inverted_cdf"), "entropy": nats / np.log(32),
            "within_variance": msw, "between_variance": means.var(axis=1, ddof=1),
            "intraclass_correlation": (msb - msw) / (msb + (GROUP - 1) * msw), "zero_variance_groups": flat.mean(axis=1),
            "zero_variance_high": (flat & (solved == GROUP)).mean(axis=1), "zero_variance_low": (flat & (solved == 0)).mean(axis=1),
            "zero_variance_expected": at_high.mean(axis=1) ** GROUP + at_low.mean(axis=1) ** GROUP,
            "effective_groups": spread.sum(axis=1) ** 2 / (spread**2).sum(axis=1), "group_std": np.sqrt(spread).mean(axis=1),
            "mean_contribution": np.append(1.0, body.table.weights) * x.sum(axis=1) / np.abs(x[1:].T * body.table.weights).sum(),
            "variance_contribution": np.append(1.0, body.table.weights) * pairs[0] / pairs[0, 0],
            "correlations": pairs / np.sqrt(np.outer(pairs.diagonal(), pairs.diagonal())),
            "length_correlation": by_length / np.sqrt(pairs.diagonal() * (logs * logs).sum()),
            "length_slope": by_length / (logs * logs).sum(),
            "learnability": (solved / GROUP * (1 - solved / GROUP) * GROUP / (GROUP - 1)).mean(axis=1),
        }  # fmt: skip
    for k in (2, 4, 8):
        none = np.ones(solved.shape)
        for i in range(k):
            none *= np.clip((GROUP - solved - i) / (GROUP - i), 0, 1)
        out[f"pass_at_{k}"] = (1 - none).mean(axis=1)
    return out


def windowed(sent: list[bytes]) -> None:
    """The plain way to what the fold also tells at each step: the measures of the last 100, from their kept vectors."""
    bodies = [parse(b"r", raw).body for raw in sent]
    for end in range(100, len(bodies)):
        kept = bodies[end - 100 : end]
        columns = ((b.rewards, b.length, b.group) for b in kept)
        rewards, length, group = (np.concatenate(part, axis=-1) for part in zip(*columns, strict=True))
        measures(Rollout(end, kept[0].table, rewards, group, length=length))


def cpu_us(work: Callable[[list[bytes]], object], sent: list[bytes]) -> float:
    """CPU microseconds a message."""
    start = time.process_time()
    work(sent)
    return 1e6 * (time.process_time() - start) / len(sent)


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(
        f"{FUNCTIONS} functions x {COMPLETIONS} completions a message; bare: decode and stacked numpy, fold: all measures, rows"
    )
    window = cpu_us(windowed, messages(105)) * 105 / 5
    print(f"a window of 100 steps from its vectors: {window:.0f} us; the fold's windows are in its time")
    for ranks in (1, 8):
        sent = messages(given.messages // ranks, ranks)
        rounds = [(cpu_us(bare, sent), cpu_us(folded, sent)) for _ in range(given.rounds)]
        plain, full = (statistics.median(side) for side in zip(*rounds, strict=True))
        share = statistics.median(one / other for one, other in rounds)
        half = statistics.median(cpu_us(folded, sent[: len(sent) // 2]) / cpu_us(folded, sent) for _ in range(given.rounds))
        size = sum(map(len, encode(folded(sent))))
        print(
            f"{ranks} messages a step: bare {plain:.0f} us, fold {full:.0f} us a message, {100 * share:.0f} % of the bare speed;"
            f" a run half as long takes {half:.2f} of it a message; state {size} bytes, {size // (FUNCTIONS + 1)} a series"
        )


if __name__ == "__main__":
    main()
