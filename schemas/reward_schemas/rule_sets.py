"""What travels on the rules topic: the files of a rule set as they were written, as JSON. Its offset there is its version."""

from __future__ import annotations

import msgspec
from msgspec import Struct

SETS_BYTES_MAX = 4194304 - 4096


class PublishedRules(Struct, frozen=True):
    """A rule set that was published; or, where it has mistakes, one that was refused, which is told and never in force.

    files: texts by name. by: who published it. rules: how many there are.
    """

    files: dict[str, str] = {}
    by: str = ""
    rules: int = 0
    mistakes: list[str] = []


def rule_set_bytes(published: PublishedRules) -> bytes:
    """The record's value."""
    return msgspec.json.encode(published)


def read_rule_set(value: bytes | None) -> PublishedRules:
    """What a record says; one that nobody can read is a set with that mistake: the topic may be written by others."""
    try:
        return msgspec.json.decode(value or b"", type=PublishedRules)
    except msgspec.DecodeError as error:
        return PublishedRules(mistakes=[f"no rule set: {error}"])
