"""The measures of a step or window as a trainer gets them: by name, printable, None where one is unknown."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from reward_engine import sums
from reward_engine.kinds import COMPLETION, REWARD, TRAINER
from reward_engine.measures import BY_NAME
from reward_engine.measuring import measured
from reward_schemas.events import TOTAL
from reward_schemas.results_pb2 import PaneRow

from reward_producers.metrics_table import table, wrapped

_SAID = [sums.INDEX[name] for name in ("count", "missing", "not_scored", "non_finite")]  # of nothing else is anything known


class Measures(Mapping[str, "float | None"]):
    """The measures of one series by their names in the catalogue: `m["mean"]`, or `m.mean`. None: unknown, never 0.

    role: trained, audit or total, of a reward function; completion or trainer. weight: in the total.
    """

    def __init__(self, name: str, role: str, weight: float, values: Mapping[str, float | None]) -> None:
        self.name, self.role, self.weight = name, role, weight
        self._values = values

    def __getitem__(self, measure: str) -> float | None:
        return self._values[measure]

    def __getattr__(self, measure: str) -> float | None:
        if measure in BY_NAME:
            return self._values[measure]
        raise AttributeError(f"{measure!r} is no measure; there are {', '.join(BY_NAME)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return wrapped(f"{self.name}: ", {name: value for name, value in self.items() if value is not None})


class Metrics(Mapping[str, Measures]):
    """The measures of every reward function, and of their weighted total as "total", over one step or window.

    step: the step, or the last one of the window. steps: how many are in it.
    """

    section = ""  # what the names of `as_dict` have after the kind

    def __init__(self, step: int, rows: Mapping[str, PaneRow]) -> None:
        self.step, self.steps = step, rows[REWARD].panes
        self._rows = rows

    @cached_property
    def _rewards(self) -> dict[str, Measures]:
        return _of_row(self._rows[REWARD])

    @cached_property
    def columns(self) -> dict[str, Measures]:
        """The measures of each further number of the completions: length, advantage, truncated, and what else was given."""
        return _of_row(self._rows.get(COMPLETION))

    @cached_property
    def scalars(self) -> dict[str, float | None]:
        """The trainer's scalars: kl, entropy, loss, and what else was given; of a window their mean over its steps."""
        return {name: measures.mean for name, measures in _of_row(self._rows.get(TRAINER)).items()}

    @property
    def total(self) -> Measures:
        """Of the weighted sum of the trained functions."""
        return self[TOTAL]

    @property
    def advantages(self) -> Measures:
        """Of the advantages; all unknown where none were given."""
        return self._column("advantage")

    @property
    def lengths(self) -> Measures:
        """Of the completions' lengths, in tokens."""
        return self._column("length")

    @property
    def truncated(self) -> Measures:
        """Of the marks of truncation: `truncated.mean` is the share of the completions."""
        return self._column("truncated")

    @property
    def kl_divergence(self) -> float | None:
        """In nats, as the trainer estimates it."""
        return self.scalars.get("kl")

    @property
    def policy_entropy(self) -> float | None:
        """In nats a token."""
        return self.scalars.get("entropy")

    def _column(self, name: str) -> Measures:
        return self.columns.get(name) or Measures(name, COMPLETION, 1.0, _values(sums.empty(1))[0])

    def __getitem__(self, function: str) -> Measures:
        return self._rewards[function]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rewards)

    def __len__(self) -> int:
        return len(self._rewards)

    def as_dict(self, measures: Collection[str] = tuple(BY_NAME)) -> dict[str, float]:
        """Flat names for a logger: `reward/accuracy/mean`, `completion/length/mean`, `trainer/kl`.

        Those of a window begin with `reward_window/` and so on. What is unknown is left out: a gap in the chart.
        measures: which ones, of rewards and completions.
        """
        flat = {
            f"{kind}{self.section}/{name}/{measure}": of[measure]
            for kind, named in ((REWARD, self), (COMPLETION, self.columns))
            for name, of in named.items()
            for measure in measures
        }
        flat |= {f"{TRAINER}{self.section}/{name}": value for name, value in self.scalars.items()}
        return {name: value for name, value in flat.items() if value is not None}

    @property
    def distributions(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of a step, by `reward/accuracy` or `completion/length`: values, float64[n] ascending, each within 1/128 of what was
        given, and how often each came, uint32[n]. Of a window it is empty."""
        return {
            f"{kind}/{name}": of
            for kind in (REWARD, COMPLETION)
            if kind in self._rows
            for name, of in _distributions(self._rows[kind])
        }

    def __repr__(self) -> str:
        return table(self)


class WindowMetrics(Metrics):
    """The measures of the last `size` steps, as far as there have been so many: `steps` of them."""

    section = "_window"

    def __init__(self, step: int, rows: Mapping[str, PaneRow], size: int) -> None:
        super().__init__(step, rows)
        self.size = size


class StepMetrics(Metrics):
    """The measures of one step; `window`: of the steps up to it."""

    def __init__(self, step: int, rows: Mapping[str, PaneRow], window: WindowMetrics) -> None:
        super().__init__(step, rows)
        self.window = window

    def __repr__(self) -> str:
        return table(self, self.window)


def _of_row(row: PaneRow | None) -> dict[str, Measures]:
    """The series of which anything was said, by name."""
    if row is None:
        return {}
    numbers = np.frombuffer(row.values, "<f8").reshape(len(row.series), len(row.sums))
    every = _values(numbers, row.roles)
    said = np.flatnonzero(numbers[:, _SAID].sum(axis=1))
    return {row.series[i]: Measures(row.series[i], row.roles[i], row.weights[i], every[i]) for i in said}


def _distributions(row: PaneRow) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    values, counts = np.frombuffer(row.sketch_values, "<f4"), np.frombuffer(row.sketch_counts, "<u4")
    ends = np.cumsum(row.sketch_sizes, dtype=np.int64)
    for name, start, end in zip(row.series, [0, *ends], ends, strict=False):  # ends has one for each series, or none at all
        if end > start:
            yield name, (values[start:end].astype(np.float64), counts[start:end])


def _values(numbers: np.ndarray, roles: Sequence[str] = ()) -> list[dict[str, float | None]]:
    """The measures of each series as Python's numbers."""
    found = measured(numbers, roles)
    return [{name: _plain(column[i], BY_NAME[name].whole) for name, column in found.items()} for i in range(len(numbers))]


def _plain(value: float, whole: bool) -> float | None:
    if np.isnan(value):
        return None
    return int(value) if whole else float(value)
