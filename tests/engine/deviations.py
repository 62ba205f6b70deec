"""How far each measure is from the reference at most: a table, from seeded runs.

    python -m tests.engine.deviations [--runs 200]

A run is a window of four panes of 6 x 8 completions and three functions. A deviation is relative: |engine - reference|
divided by |reference|, or by a thousandth of the largest one of the measure in that column where it is smaller.
"""

from __future__ import annotations

import argparse

import numpy as np
from reward_engine.measures import MEASURES

from tests.engine.raw import Shape, measures_of, messages, pane_of
from tests.engine.reference import reference

COLUMNS = {
    "usual": [("normal", "levels", "mostly solved"), ("binary", "equal in a group", "wild")],
    "gaps": [("normal", "levels", "mostly solved"), ("binary", "wild", "equal")],
    "1e8 ± 0.3": [("1e8 ± 0.3",) * 3],
    "float32 extremes": [("extremes", "normal", "extremes")],
}


def runs(column: str, number: int) -> list[Shape]:
    sizes = ((8, 8, 8, 8, 8, 8),) * 2 + ((1, 2, 3, 5, 8, 13),) * 2
    gaps = {"adjacent": False, "absent": 0.2} if column == "gaps" else {}
    ranges = ((0.0, 1.0), (-1.0, 1.0), (0.0, 1.0))
    kinds = COLUMNS[column]
    return [Shape(seed, kinds[seed % len(kinds)], ranges, sizes, **gaps) for seed in range(number)]


def deviations(shapes: list[Shape]) -> dict[str, float]:
    """The largest relative deviation of each measure; NaN where it was never known."""
    got: dict[str, list[float]] = {m.name: [] for m in MEASURES}
    wanted: dict[str, list[float]] = {m.name: [] for m in MEASURES}
    for shape in shapes:
        bodies = messages(shape)
        found = measures_of([pane_of([body]) for body in bodies], bodies[-1])
        for name, values in reference(bodies).items():
            got[name] += found[name].tolist()
            wanted[name] += values
    return {name: _largest(np.array(got[name]), np.array(wanted[name])) for name in got}


def _largest(got: np.ndarray, wanted: np.ndarray) -> float:
    known = ~np.isnan(wanted) & ~np.isnan(got)
    if not known.any():
        return float("nan")
    got, wanted = got[known], wanted[known]
    scale = np.maximum(np.abs(wanted), 1e-3 * np.abs(wanted).max())
    return float((np.abs(got - wanted) / np.where(scale > 0, scale, 1.0)).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    number = parser.parse_args().runs
    found = {column: deviations(runs(column, number)) for column in COLUMNS}
    print("| measure | " + " | ".join(COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for m in MEASURES:
        cells = ("–" if np.isnan(value := found[c][m.name]) else "0" if not value else f"{value:.1e}" for c in COLUMNS)
        print(f"| {m.name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
