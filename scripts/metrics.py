"""Writes docs/METRICS.md from the catalogues of measures, sums and reported names.

python scripts/metrics.py [--check]     --check: exit code 1 where the file is not what it would be
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from reward_engine.detectors.catalogue import DETECTORS
from reward_engine.detectors.finding import Detector
from reward_engine.formula import Measure
from reward_engine.measures import BY_NAME
from reward_engine.quality import MEANS, SUFFICIENT, WEIGHTS
from reward_engine.reported import COLUMN, REPORTED, SCALAR, Reported
from reward_engine.sums import GROUPS, SUMS, Sum
from reward_engine.topics import TOPICS, range_of
from reward_store.catalogue import of_values

FILE = Path(__file__).resolve().parent.parent / "docs" / "METRICS.md"

_HEAD = """# Measures

<!-- Made by `make metrics` from the catalogues in engine/reward_engine/: change those. -->

What the monitor computes, by topic. `reward-monitor measures NAME` explains one in the terminal.

- **Of what:** every reward function, and `total`, the weighted sum of the trained ones. An *audit* function is measured like
  any other and has no part in the total.
- **Over what:** a step (view `steps`), or a window: the last 100 steps, 10 s, 5 min (view `windows`). Each measure is a column
  of that name, with this text as its COMMENT.
- **Unknown is NULL**, a gap in a chart; never 0, never NaN: the std of one reward, a share of nothing, what needs groups or
  lengths that were not reported.
- **Formulas** are over the [sums](#sums) of the step or window; numpy and ClickHouse compute the same expression, so the
  tracker, the stream and SQL agree.
- **Individual scores and contributions:** the view `rewards` has every single reward (`reward`) with what it adds to the
  completion's total (`contribution`, weight x reward). Contributions of a function as a whole are
  [measures](#contributions).
- **Over any steps:** take a window where there is one. Counts and totals add up; means, std and ratios do not. Quantiles:
  `quantileExactWeighted(0.5)(value, count)` over the view `distributions`. Correlations of functions: from the additive
  `product`, `squares` and `partner_squares` of the view `correlations`.
"""
_REPORTED = """## What trainers report

KL divergence, policy entropy and advantages are the trainer's own numbers; it alone knows its policy. A *scalar* is one number
a step: view `trainer_steps`, column `value`, the mean over the ranks that sent it. A *column* has one number a completion: view
`completions`, one row a step and property, and `completion_distributions` for quantiles over several steps. Any other name is
kept in the same way. The measures of a property are
{of_values}.
"""
_VERDICT = """## Verdict

After every ten steps (fewer in a run that is planned shorter than 800) a run is judged in one sentence: view `verdicts`, and
columns `verdict`, `verdict_sentence` of `runs`. The *recent* window is the last five of these blocks; it is compared with the first
five, with those just before it, and with some between. Neighbouring steps are alike, which the comparison allows for: see
[CALIBRATION.md](CALIBRATION.md).

| Verdict | Means |
| --- | --- |
| too early | fewer than four blocks |
| flat | the total reward neither rises nor falls |
| learning | it rises, and an audit function or an evaluation, which is not trained on, rises with it |
| unverified | it rises, and nothing independent measures the gain |
| falling | it falls |
| suspicious | a detector warns |
| hacking | a detector of cheating is certain, or two of different families warn |
| broken | the rewards themselves are unsound: missing, not finite, out of range, constant, or all equal in their groups |

It changes once what changes it has lasted, so that it doesn't flicker.
"""
_DETECTORS = """## Detectors

Each says `quiet`, `info`, `warning` or `critical`, or what it lacks: `arming` where that is steps, `off` where it is something
that the run doesn't report. A row each in the view `detections`, with statistic, threshold, windows and groups. What is *gated* is
information only while the total doesn't rise: a symptom without a gain pays nobody. How many hacks they find, how early, and how
often they are wrong: [DETECTION.md](DETECTION.md).
"""
_QUALITY = """## Quality

How good a signal a reward function gives, 0 to 100: view `quality`. The weighted geometric mean of its components, so that none
makes up for another, less what the detectors take (a quarter where one warns, 0.6 where one is certain). Its interval is of a
jackknife over blocks of steps. With less than {sufficient:.0%} of the weights known there is no score.
"""
_SUMS = """## Sums

What is stored of a step and series, in the table `pane_rows`; measures are computed from them when they are asked for. A window
is the merge of its steps, exactly, in any order but for rounding. To *add* and to take the smaller or the larger (*min*, *max*)
say what they do. A *mean* is weighted by its count; *squares*, *cubes* and *fourths* are of deviations from a mean and merge by
the formulas of Chan, Golub, LeVeque (1983) and Pebay (SAND2008-6212), so that 1e8 ± 0.3 keeps its digits.

Beside the sums a step has its distribution (`sketch_values`, `sketch_counts`: each value rounded to seven significant binary
digits, after DDSketch, 1908.10693), and each of the first 32 functions and the total its `products` with the others: the sums
of (value - its group's mean) x (the other's - its group's mean).
"""


def text() -> str:
    """The whole document."""
    if missing := BY_NAME.keys() ^ {name for topic in TOPICS for name in topic.names}:
        raise SystemExit(f"engine/reward_engine/topics.py: each measure stands in one topic; not so {sorted(missing)}")
    parts = [_HEAD]
    for topic in TOPICS:
        rows = [_measure(BY_NAME[name]) for name in topic.names]
        parts.append(f"## {topic.title}\n\n{topic.about}\n\n" + _table(_MEASURE, rows))
    of_completions = ", ".join(f"`{m.name}`" for m in of_values())
    parts.append(_REPORTED.format(of_values=of_completions) + "\n" + _table(_NAMES, map(_reported, REPORTED)))
    parts += [_VERDICT, _DETECTORS + "\n" + _table(_ASKED, map(_detector, DETECTORS))]
    quality = [(f"`{name}`", f"{weight:.2f}", MEANS[name]) for name, weight in WEIGHTS.items()]
    parts.append(_QUALITY.format(sufficient=SUFFICIENT) + "\n" + _table(("Component", "Weight", "What it is"), quality))
    parts.append(_SUMS + "\n" + _table(("Name", "Merge", "Of", "What it is"), map(_sum, SUMS)))
    return "\n".join(parts)


_MEASURE = ("Name", "Unit", "Formula", "Range", "Means", "Does not mean", "Reference")
_ASKED = ("Detector", "Family", "Gated", "Finds", "Does not mean", "Reference")
_NAMES = ("Name", "Unit", "Reported as", "Means", "Does not mean", "Reference")


def _measure(m: Measure) -> Sequence[str]:
    formula = f"`{m.formula}`" if m.formula else "from the sketch"
    return f"`{m.name}`", m.unit, formula, range_of(m), m.means, m.not_means, m.source


def _reported(r: Reported) -> Sequence[str]:
    ways = {SCALAR: "scalar", COLUMN: "column"}
    return f"`{r.name}`", r.unit, ", ".join(ways[way] for way in r.ways), r.means, r.not_means, r.source


def _detector(d: Detector) -> Sequence[str]:
    return d.name, d.family, "gated" if d.gated else "", d.means, d.not_means, d.source


def _sum(s: Sum) -> Sequence[str]:
    merge = f"mean by `{s.of_count}`" if s.merge == "mean" else s.merge
    return f"`{s.name}`", merge, "groups" if s.level == GROUPS else "values", s.comment


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, without the columns that say nothing."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    kept = [i for i in range(len(head)) if any(row[i] for row in cells)]
    lines = [head, ["---"] * len(head), *cells]
    return "".join("| " + " | ".join(line[i] for i in kept) + " |\n" for line in lines)


def main() -> int:
    """The exit code."""
    made = text()
    if "--check" not in sys.argv[1:]:
        FILE.write_text(made, encoding="utf-8")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != made:
        print(f"{FILE.name} is not what the catalogues give: run make metrics", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
