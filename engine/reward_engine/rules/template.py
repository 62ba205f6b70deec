"""Texts of alerts with values in them: `{{ reward }} mean {{ mean | f3 }} at step {{ step }}`.

Names and filters are replaced by a pattern, and nothing else is understood: a text reaches no attribute and runs no code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

TEXTS = ("rule", "run", "project", "reward", "step", "at", "since", "window", "severity", "expr", "sentence", "reason")


def _fixed(digits: int, value: float) -> str:
    return f"{value:.{digits}f}"


FILTERS: dict[str, Callable[[float], str]] = {
    "": lambda value: f"{value:.4g}",
    **{f"f{digits}": partial(_fixed, digits) for digits in range(7)},
    "percent": lambda value: f"{100 * value:.3g}%",
    "int": lambda value: f"{value:.0f}",
}
_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class BadTemplate(ValueError):
    """what is wrong, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy = what, remedy


@dataclass(frozen=True)
class Template:
    """parts: texts, and (name, filter) for what stands in between."""

    parts: tuple[str | tuple[str, str], ...]

    @property
    def names(self) -> frozenset[str]:
        """The values that it wants."""
        return frozenset(part[0] for part in self.parts if isinstance(part, tuple) and part[0] not in TEXTS)

    def filled(self, texts: Mapping[str, str], values: Mapping[str, float]) -> str:
        """The text; what is unknown is `unknown`."""
        return "".join(part if isinstance(part, str) else _filled(*part, texts, values) for part in self.parts)


def parsed(text: str) -> Template:
    """The template of a text. Raises BadTemplate."""
    parts: list[str | tuple[str, str]] = []
    at = 0
    for hole in _HOLE.finditer(text):
        name, _, how = (part.strip() for part in hole[1].partition("|"))
        if how not in FILTERS or (how and name in TEXTS):
            raise BadTemplate(f"the filter `{how:.40}`", "use " + ", ".join(filter(None, FILTERS)) + ", on numbers")
        if not name:
            raise BadTemplate("`{{ }}` without a name", "write the name of a value in it")
        parts += [text[at : hole.start()], (name, how)]
        at = hole.end()
    parts.append(text[at:])
    return Template(tuple(part for part in parts if part))


def _filled(name: str, how: str, texts: Mapping[str, str], values: Mapping[str, float]) -> str:
    if name in TEXTS:
        return texts.get(name, "")
    value = values.get(name, math.nan)
    return "unknown" if math.isnan(value) else FILTERS[how](value)
