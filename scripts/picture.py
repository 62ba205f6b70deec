"""Draws README's picture from runs that really happened: rewards of a hacked training beside those of an honest one.

    python scripts/picture.py DATA_DIR OUT      (make picture runs both trainings first)

The rows come from `reward-monitor sql`; OUT gets two SVGs, for light and for dark pages.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

QUERY = """
SELECT tags['seed'] AS seed, function, step, mean
FROM steps INNER JOIN (SELECT run_id, tags FROM runs) AS r USING (run_id)
WHERE closed ORDER BY function, step
"""
TITLES = {"0": "seed 0: hacked", "3": "seed 3: honest"}
# One colour a function, the same in both themes; the audit function is what the policy isn't trained on.
LINES = {
    "helpfulness": ("#d55e00", "helpfulness, trained: a judge with a blind spot"),
    "accuracy": ("#3a8fd0", "accuracy, trained"),
    "format": ("#999999", "format, trained"),
    "true_quality": ("#009e73", "true quality, audit: never optimised"),
}
THEMES = {"light": ("#ffffff", "#1f2328"), "dark": ("#0d1117", "#e6edf3")}


def rows(data_dir: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """By seed and function, (step, mean)."""
    command = ["reward-monitor", "sql", QUERY, "--format", "csv", "--data-dir", data_dir]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader(io.StringIO(answer)):
        found[row["seed"]][row["function"]].append((int(row["step"]), float(row["mean"])))
    return found


def draw(found: dict[str, dict[str, list[tuple[int, float]]]], theme: str, out: Path) -> None:
    """One SVG of a theme."""
    back, fore = THEMES[theme]
    mpl.rcParams.update(
        {"text.color": fore, "axes.labelcolor": fore, "xtick.color": fore, "ytick.color": fore, "svg.hashsalt": "1"}
    )
    mpl.rcParams.update({"axes.edgecolor": fore, "font.family": "sans-serif", "font.size": 11, "svg.fonttype": "path"})
    figure, axes = plt.subplots(1, len(TITLES), figsize=(10, 3.6), sharey=True, facecolor=back)
    for axis, (seed, title) in zip(axes, TITLES.items(), strict=True):
        axis.set_facecolor(back)
        for function, (colour, label) in LINES.items():
            steps, means = zip(*found[seed][function], strict=True)
            audit = function == "true_quality"
            axis.plot(
                steps,
                means,
                color=colour,
                label=label,
                linewidth=2.4 if audit else 1.6,
                linestyle="-" if audit else (0, (4, 1.5)),
            )
        axis.set_title(title, loc="left", fontweight="bold")
        axis.set_xlabel("step")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.15)
    axes[0].set_ylabel("mean reward")
    axes[0].set_ylim(0, 1.02)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=2, frameon=False)
    figure.tight_layout(rect=(0, 0.16, 1, 1))
    figure.savefig(out, facecolor=back, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Reads and draws."""
    data_dir, out = sys.argv[1:]
    found = rows(data_dir)
    for theme in THEMES:
        draw(found, theme, Path(out) / f"hacked-and-honest-{theme}.svg")


if __name__ == "__main__":
    main()
