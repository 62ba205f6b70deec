"""How often the statistics call something that isn't there, and how often they see what is: docs/CALIBRATION.md.

    python scripts/calibrate.py            writes the document, in about a minute

Everything is simulated from fixed seeds. A test recomputes some of the rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from reward_engine.statistics.change import change
from reward_engine.statistics.change_points import change_points
from reward_engine.statistics.distribution import Difference, difference
from reward_engine.statistics.needs import Needs
from reward_engine.statistics.outlier import outliers
from reward_engine.statistics.shift import Shift
from reward_engine.statistics.trend import trend
from scipy.stats import beta, kendalltau

ROOT = Path(__file__).parent.parent
SERIES = 400  # of each kind
STEPS, BLOCK = 200, 10
Series = np.ndarray  # float64[series, steps]


def autoregressive(phi: float, series: int = SERIES, steps: int = STEPS, seed: int = 0) -> Series:
    """AR(1) of unit variance: x_t = phi x_(t-1) + noise."""
    noise = np.random.default_rng([seed, int(100 * phi)]).normal(size=(series, steps)) * np.sqrt(1 - phi**2)
    noise[:, 0] /= np.sqrt(1 - phi**2)
    for step in range(1, steps):
        noise[:, step] += phi * noise[:, step - 1]
    return noise


def binary(series: int = SERIES, steps: int = STEPS, groups: int = 32, size: int = 8, seed: int = 1) -> Series:
    """Means of binary rewards in groups whose difficulty differs: completions of a group are alike."""
    rng = np.random.default_rng(seed)
    return rng.binomial(size, rng.beta(1, 1, (series, steps, groups))).mean(axis=2) / size


def saturating(series: int = SERIES, steps: int = STEPS, seed: int = 2) -> Series:
    """A learning curve that rises and levels off, with autocorrelated noise."""
    curve = 1 - np.exp(-np.arange(steps) / 60)
    return curve + 0.05 * autoregressive(0.6, series, steps, seed)


def switched(series: int = SERIES, steps: int = STEPS, seed: int = 3) -> Series:
    """A curriculum switch in the middle: the level falls by three standard deviations of a step."""
    return autoregressive(0.6, series, steps, seed) - 3.0 * (np.arange(steps) >= steps // 2)


def drifting(series: int = SERIES, steps: int = STEPS, seed: int = 4) -> Series:
    """A slow rise: two standard deviations of a step over the whole."""
    return autoregressive(0.6, series, steps, seed) + 2.0 * np.arange(steps) / steps


KINDS: dict[str, Callable[[], Series]] = {
    **{f"AR(1), {phi:g}": (lambda phi=phi: autoregressive(phi)) for phi in (0.0, 0.3, 0.6, 0.8)},
    "binary, in groups": binary,
    "saturating curve": saturating,
    "slow rise": drifting,
    "curriculum switch": switched,
}


def blocks(series: Series) -> Series:
    """Means of ten steps."""
    return series.reshape(len(series), -1, BLOCK).mean(axis=2)


def kendall(series: Series) -> np.ndarray:
    """bool[series]: a trend by Kendall's tau at 1 %, steps as they are."""
    steps = np.arange(series.shape[1])
    return np.array([kendalltau(steps, one).pvalue < 0.01 for one in series])


def trending(series: Series) -> np.ndarray:
    """bool[series]: a trend of the means of ten."""
    found = (trend(one) for one in blocks(series))
    return np.array([not isinstance(one, Needs) and one.direction != 0 for one in found])


def changed(width: int, t: float) -> Callable[[Series], np.ndarray]:
    """bool[series]: the last `width` blocks differ from those just before."""

    def of(series: Series) -> np.ndarray:
        means = blocks(series).T
        return np.asarray(np.abs(change(means[-2 * width : -width], means[-width:]).t) > t)

    return of


def plain_cusum(series: Series) -> np.ndarray:
    """bool[series]: the textbook CUSUM on standardised values (k = 0.5, h = 5)."""
    z = (series - series[:, :50].mean(axis=1, keepdims=True)) / series[:, :50].std(axis=1, keepdims=True)
    up = down = np.zeros(len(series))
    alarm = np.zeros(len(series), bool)
    for now in z.T[50:]:
        up, down = np.maximum(up + now - 0.5, 0), np.maximum(down - now - 0.5, 0)
        alarm |= np.maximum(up, down) > 5
    return alarm


def shifted(series: Series) -> np.ndarray:
    """bool[series]: the pre-whitened CUSUM calls a jump."""
    state, alarm = Shift(), np.zeros(len(series), bool)
    for now in series.T:
        alarm |= state.update(now) != 0
    return alarm


def split(series: Series) -> np.ndarray:
    """bool[series]: there is a change point."""
    found = (change_points(one) for one in blocks(series))
    return np.array([not isinstance(one, Needs) and len(one) > 0 for one in found])


def apart(series: Series) -> np.ndarray:
    """bool[series]: some step is an outlier."""
    return np.array([len(outliers(one)) > 0 for one in series])


TESTS: dict[str, Callable[[Series], np.ndarray]] = {
    "Kendall on steps, p < .01": kendall,
    "trend of blocks": trending,
    "change of 5 blocks, t > 3.5": changed(5, 3.5),
    "change of 2 blocks, t > 3.5": changed(2, 3.5),
    "CUSUM, plain": plain_cusum,
    "CUSUM, pre-whitened": shifted,
    "change point": split,
    "outlier": apart,
}


def interval(hits: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper, Pearson 1934)."""
    low = beta.ppf(0.025, hits, of - hits + 1) if hits else 0.0
    return float(low), float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0


def share(called: np.ndarray) -> str:
    """A share with its interval."""
    hits, of = int(called.sum()), len(called)
    low, high = interval(hits, of)
    return f"{hits / of:.3f} ({low:.3f}–{high:.3f})"


def rates(kinds: Iterable[str] = KINDS, tests: Iterable[str] = TESTS) -> dict[tuple[str, str], str]:
    """What each test calls of each kind of series."""
    return {(test, kind): share(TESTS[test](KINDS[kind]())) for kind in kinds for test in tests}


def clustered(shift: float, runs: int = 300, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """bool[runs] twice: whether two samples of 64 groups of 8 differ, by the number of rewards and by that of groups."""
    rng, naive, robust = np.random.default_rng(seed), [], []
    for _ in range(runs):
        sides = [rng.normal(0, 1, 64).repeat(8) + rng.normal(0, 0.5, 512) + by for by in (0.0, shift)]
        counts = np.ones(512)
        for worth, found in ((512.0, naive), (64.0, robust)):
            answer = difference(sides[0], counts, sides[1], counts, (worth, worth))
            found.append(isinstance(answer, Difference) and answer.clear)
    return np.array(naive), np.array(robust)


def powers() -> list[tuple[str, ...]]:
    """How often a rise by so many standard deviations of a step, ten blocks before the end or in the middle, is seen."""
    rows = []
    for size in (0.5, 1.0, 2.0, 3.0):
        step = autoregressive(0.6, seed=7) + size * (np.arange(STEPS) >= STEPS - 5 * BLOCK)
        slope = autoregressive(0.6, seed=8) + size * np.arange(STEPS) / STEPS
        cells = (changed(5, 3.5)(step), trending(slope), shifted(step), split(step), clustered(size)[1])
        rows.append((f"{size:g}", *(f"{cell.mean():.2f}" for cell in cells)))
    return rows


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def document() -> str:
    """The whole document."""
    found = rates()
    naive, robust = clustered(0.0)
    kinds = [*KINDS]
    return f"""# Calibration

How often each statistic calls something on {SERIES} seeded series of {STEPS} steps of each kind, with the exact 95 % interval.
In the first five kinds nothing happens: what is called there is false. A saturating curve and a slow rise do have a trend, and
a curriculum switch is a change; a jump called on the first two is false. `make calibrate` makes this page anew.

{table(["called", *kinds], [[test, *(found[test, kind] for kind in kinds)] for test in TESTS])}

Steps of a training are alike, and what ignores that calls trends and jumps out of nothing: Kendall's test on the steps as they are,
and the plain CUSUM. Means of ten steps are nearly independent, so trends and changes are judged on them; jumps on what the last steps
don't explain.

Completions of a group are alike as well. Of two samples of 64 groups of 8 without any difference, the test of Kolmogorov and Smirnov
calls one in {share(naive)} where it counts rewards, and in {share(robust)} where it counts groups, as it does here.

## What is seen

Shares of the series in which a rise by so many standard deviations of a step is called (autocorrelation 0.6): over the last 50 steps
for change, jump and change point, spread over all 200 for the trend, of one sample against another for the distribution.

{table(["rise", "change of 5 blocks", "trend", "jump", "change point", "distribution"], powers())}
"""


def main() -> None:
    """Writes the document."""
    (ROOT / "docs" / "CALIBRATION.md").write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
