"""Which completions of a message belong to one prompt: groups as runs of adjacent columns."""

from __future__ import annotations

import numpy as np


class Groups:
    """The groups of n completions. order: columns by group, None where they stand so already; starts, sizes: int[P].

    >>> groups = Groups(np.array([7, 7, 3, 3, 3]))
    >>> groups.ids.tolist(), groups.sizes.tolist(), groups.order
    ([7, 3], [2, 3], None)
    """

    def __init__(self, group: np.ndarray) -> None:
        self.order: np.ndarray | None = None
        starts = _starts(group)
        if len(np.unique(group[starts])) != len(starts):
            self.order = np.argsort(group, kind="stable")
            group = group[self.order]
            starts = _starts(group)
        self.starts = starts
        self.ids = group[starts]
        self.sizes = np.append(starts[1:], len(group)) - starts
        self.size = int(self.sizes[0]) if (self.sizes == self.sizes[0]).all() else 0  # of each, where they are equal

    def ordered(self, columns: np.ndarray) -> np.ndarray:
        """Columns, [..., n], with each group's together."""
        return columns if self.order is None else columns[..., self.order]

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """[..., P]: the sum of each group, of ordered columns, [..., n]."""
        return np.add.reduceat(columns, self.starts, axis=-1)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """[..., n]: each group's value, [..., P], for all of its completions."""
        return np.repeat(values, self.size or self.sizes, axis=-1)


def _starts(group: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.append(True, group[1:] != group[:-1]))
