"""How things look: units and descriptions from the catalogues, one colour a measure, and the colours of health."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model
from reward_engine.measures import BY_NAME
from reward_engine.verdict import BAD, FALLING, FLAT, LEARNING, TOO_EARLY, UNVERIFIED

from reward_dashboards.grafana.query import reported

GREEN, AMBER, RED = "#56A64B", "#FF9830", "#E02F44"  # health, and nothing else
NEUTRAL, GREY = "#5794F2", "#8E8E8E"

# One colour a measure, on every dashboard.
COLOURS = {
    "mean": NEUTRAL,
    "p05": "#8AB8FF",
    "p25": "#3274D9",
    "p50": NEUTRAL,
    "p75": "#3274D9",
    "p95": "#8AB8FF",
    "std": "#B877D9",
    "group_std": "#8F3BB8",
    "zero_variance_low": "#A16BD6",
    "zero_variance_high": "#37B7C3",
    "zero_variance_expected": GREY,
    "pass_at_2": "#7EC8E3",
    "pass_at_4": "#37B7C3",
    "pass_at_8": "#1F7A8C",
}

# A verdict's colour, worst first.
VERDICTS = {
    **dict.fromkeys(reversed(BAD), RED),
    FALLING: AMBER,
    UNVERIFIED: AMBER,
    FLAT: NEUTRAL,
    TOO_EARLY: GREY,
    LEARNING: GREEN,
}
SEVERITIES = {"critical": RED, "warning": AMBER, "info": NEUTRAL}
STATES = {"firing": RED, "error": RED, "recovering": AMBER, "pending": AMBER, "resolved": GREEN, "inactive": GREY}
RUN_STATES = {"live": GREEN, "finished": NEUTRAL, "lost": RED, "forgotten": GREY}
LEVELS = {"critical": RED, "warning": AMBER, "info": NEUTRAL, "quiet": GREEN, "arming": GREY, "off": GREY}

# The catalogue's units that Grafana has a name for. Of a reward's own unit nobody knows more than the number.
_UNITS = {
    "share": "percentunit",
    "dB": "dB",
    **dict.fromkeys(("0 or 1",), "percentunit"),
    **dict.fromkeys(("reward", "reward^2", "reward per e-fold", "ratio", "1", "loss", "norm", "rewards", "groups"), "short"),
}


def unit(measure: str) -> str:
    """Grafana's unit of a measure."""
    return grafana_unit(BY_NAME[measure].unit)


def grafana_unit(of_catalogue: str) -> str:
    """Grafana shows a unit that it doesn't know behind the number, as it stands: 5 nats."""
    return _UNITS.get(of_catalogue, of_catalogue)


def meaning(*measures: str) -> str:
    """What measures say, and what they must not be taken for."""
    return "\n\n".join(f"**{name}**: {_sentence(BY_NAME[name].means, BY_NAME[name].not_means)}" for name in measures)


def meaning_of_told(name: str) -> str:
    """The same of what trainers report."""
    return f"**{name}**: {_sentence(reported(name).means, reported(name).not_means)}"


def words(colours: dict[str, str]) -> list[model.ValueMapping]:
    """Colours words."""
    return [
        model.ValueMap(
            {word: model.ValueMappingResult(color=colour, index=i) for i, (word, colour) in enumerate(colours.items())}
        )
    ]


def numbered(colours: dict[str, str]) -> list[model.ValueMapping]:
    """Words and colours of numbers from 1 on: `place` in SQL."""
    named = {
        str(i): model.ValueMappingResult(text=word, color=colour, index=i) for i, (word, colour) in enumerate(colours.items(), 1)
    }
    return [model.ValueMap(named)]


def place(colours: dict[str, str], column: str) -> str:
    """SQL: which of the words, from 1 on."""
    listed = ", ".join(f"'{word}'" for word in colours)
    return f"indexOf([{listed}], {column})"


def fixed(colour: str) -> build.FieldColor:
    """One colour, whatever the value."""
    return build.FieldColor().mode(model.FieldColorModeId.FIXED).fixed_color(colour)


def health(*steps: tuple[float | None, str]) -> build.ThresholdsConfig:
    """Colours from values on; the first value is None, from the beginning."""
    marks = [model.Threshold(value, colour) for value, colour in steps]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(marks)


def _sentence(means: str, not_means: str) -> str:
    return means + (f". Not {not_means}" if not_means else "")
