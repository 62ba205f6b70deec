"""How far another clock is from this machine's, as far as it can be known: between two bounds."""

from __future__ import annotations

from collections.abc import Iterator

from reward_engine.bounds import FUTURE_MAX_MS, LATENESS_MS

from .finding import Finding, error, ok, warning

_REMEDY = "let both machines follow a time server (chrony, systemd-timesyncd), or mend the one that is wrong"


def compare(whose: str, least_ms: float, most_ms: float, where: str) -> Iterator[Finding]:
    """A finding on a clock that is ahead of ours by `least_ms` to `most_ms`; negative: behind. The nearer bound is certain."""
    certain_ms = least_ms if least_ms > 0 else most_ms if most_ms < 0 else 0.0
    told = f"{abs(certain_ms) / 1000:.1f} s {'ahead of' if certain_ms > 0 else 'behind'} this machine's"
    if abs(certain_ms) > FUTURE_MAX_MS:
        clamped = f"event times more than {FUTURE_MAX_MS // 1000} s ahead of the broker are set back"
        yield error(f"{whose}'s clock is at least {told}; {clamped}.", where, _REMEDY)
    elif abs(certain_ms) > LATENESS_MS:
        yield warning(f"{whose}'s clock is at least {told}.", where, _REMEDY)
    else:
        yield ok(f"{whose}'s clock is between {least_ms / 1000:+.1f} and {most_ms / 1000:+.1f} s from this machine's")
