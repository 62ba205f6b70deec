"""What every place that measures are written to can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

Distribution = tuple[np.ndarray, np.ndarray]  # float64[n] values, ascending; uint32[n] how often each came


_BINS = 30


def histogram(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A distribution in bins of equal width from its least to its greatest value: float64[30] heights, float64[31] edges."""
    return np.histogram(values, bins=_BINS, weights=counts)


class Exporter(Protocol):
    """One run's writer. Steps come in their order; one that goes back is a training that went back to a checkpoint."""

    def write(self, step: int, scalars: Mapping[str, float], distributions: Mapping[str, Distribution]) -> None:
        """Takes finite numbers by name, `reward/accuracy/mean`, and distributions, `reward/accuracy`, of one step."""

    def close(self) -> None:
        """Everything is written when it returns."""
