"""Whether the wire formats may change as they did: today's descriptors against the committed `field_numbers.json`.

    python -m reward_schemas.evolution             fails where a number is reused, or a change isn't recorded
    python -m reward_schemas.evolution --accept    records new fields and reservations; refuses what is forbidden

Messages of every version lie in topics, in ClickHouse's `event_log` and in spools, so what a number means never changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto

from reward_schemas import events_pb2, results_pb2

__all__ = ["Change", "compare", "recorded", "snapshot"]

SNAPSHOT = "field_numbers.json"
FILES = (events_pb2.DESCRIPTOR, results_pb2.DESCRIPTOR)

# {"messages" | "enums": {full name: {"numbers": {number: what it means}, "reserved": [[first, last], ...]}}}
Snapshot = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Change:
    """One difference from what is recorded. `message`: or enum; `remedy`: what to do, also where it is only to be recorded."""

    message: str
    field: str
    number: int | None
    problem: str
    remedy: str
    forbidden: bool = True

    def __str__(self) -> str:
        place = f"{self.message}.{self.field} = {self.number}" if self.number is not None else self.message
        return f"{place}: {self.problem}\n    {self.remedy}"


def snapshot(descriptors: tuple[FileDescriptor, ...] = FILES) -> Snapshot:
    """What every number of these files means today."""
    found: Snapshot = {"messages": {}, "enums": {}}
    for descriptor in descriptors:
        file = FileDescriptorProto()
        descriptor.CopyToProto(file)
        for enum in file.enum_type:
            found["enums"][f"{file.package}.{enum.name}"] = _enum(enum)
        for message in file.message_type:
            _add_message(found, file.package, message)
    return {kind: dict(sorted(things.items())) for kind, things in found.items()}


def recorded() -> Snapshot:
    """The committed snapshot."""
    committed: Snapshot = json.loads(files(__package__).joinpath(SNAPSHOT).read_text(encoding="utf-8"))
    return committed


def compare(before: Snapshot, now: Snapshot) -> list[Change]:
    """Every difference between two snapshots, in the order of the names."""
    return [
        change
        for kind in ("messages", "enums")
        for name in sorted(before[kind].keys() | now[kind].keys())
        for change in _compare_one(name, before[kind].get(name), now[kind].get(name))
    ]


def _compare_one(name: str, before: dict[str, Any] | None, now: dict[str, Any] | None) -> Iterator[Change]:
    if now is None:
        yield Change(name, "", None, "removed", "put it back, empty if need be: old messages still name its fields' numbers")
    elif before is None:
        yield Change(name, "", None, "new", _RECORD, forbidden=False)
    else:
        yield from _old_numbers(name, before, now)
        yield from _new_numbers(name, before, now)
        yield from _reservations(name, before, now)


def _old_numbers(name: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    for number, meaning in before["numbers"].items():
        after = now["numbers"].get(number)
        if after is None and _is_reserved(int(number), now["reserved"]):
            yield Change(name, meaning["name"], int(number), "removed and reserved", _RECORD, forbidden=False)
        elif after is None:
            problem = "removed, and its number is free to be used again"
            yield Change(name, meaning["name"], int(number), problem, f"write `reserved {number};` in its place")
        for what in sorted(meaning.keys() | after.keys()) if after else ():
            if meaning.get(what) != after.get(what):
                problem = f"its {what} was {_shown(meaning.get(what))} and is {_shown(after.get(what))}"
                remedy = f"give {meaning['name']!r} its number back as it was, and the new meaning a number of its own"
                yield Change(name, after["name"], int(number), problem, remedy)


def _new_numbers(name: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    for number, meaning in now["numbers"].items():
        if _is_reserved(int(number), before["reserved"]):
            problem = "the number was reserved: an older field had it"
            yield Change(name, meaning["name"], int(number), problem, f"take another number, and keep `reserved {number};`")
        elif number not in before["numbers"]:
            yield Change(name, meaning["name"], int(number), "new", _RECORD, forbidden=False)


def _reservations(name: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    for first, last in before["reserved"]:
        if (number := _first_free(first, last, now)) is not None:
            yield Change(name, "(reserved)", number, "no longer reserved", f"write `reserved {number};` again")
    for first, last in now["reserved"]:
        if [first, last] not in before["reserved"] and str(first) not in before["numbers"]:
            yield Change(name, "(reserved)", first, "newly reserved", _RECORD, forbidden=False)


_RECORD = "record it: python -m reward_schemas.evolution --accept"


def _add_message(found: Snapshot, scope: str, message: DescriptorProto) -> None:
    name = f"{scope}.{message.name}"
    found["messages"][name] = {
        "numbers": {str(f.number): _field(message, f) for f in sorted(message.field, key=lambda f: f.number)},
        "reserved": sorted([r.start, r.end - 1] for r in message.reserved_range),  # `end` is exclusive here, not in enums
    }
    for enum in message.enum_type:
        found["enums"][f"{name}.{enum.name}"] = _enum(enum)
    for nested in message.nested_type:  # the entries of maps, too
        _add_message(found, name, nested)


def _field(message: DescriptorProto, field: FieldDescriptorProto) -> dict[str, str]:
    made = {
        "name": field.name,
        "type": FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower(),
        "label": FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower(),
    }
    if field.type_name:
        made["of"] = field.type_name.lstrip(".")
    if field.HasField("oneof_index"):
        made["oneof"] = message.oneof_decl[field.oneof_index].name
    return made


def _enum(enum: EnumDescriptorProto) -> dict[str, Any]:
    return {
        "numbers": {str(v.number): {"name": v.name} for v in sorted(enum.value, key=lambda v: v.number)},
        "reserved": sorted([r.start, r.end] for r in enum.reserved_range),
    }


def _is_reserved(number: int, ranges: list[list[int]]) -> bool:
    return any(first <= number <= last for first, last in ranges)


def _first_free(first: int, last: int, now: dict[str, Any]) -> int | None:
    """The first number of [first, last] that is neither reserved nor in use; a range may end at 2^29, so in strides."""
    while first <= last:
        cover = [to for start, to in now["reserved"] if start <= first <= to]
        if not cover and str(first) not in now["numbers"]:
            return first
        first = max(cover, default=first) + 1
    return None


def _shown(value: str | None) -> str:
    return "none" if value is None else repr(value)


def _text(of: Snapshot) -> str:
    """JSON with a line for each number, so that a diff shows what was changed."""
    kinds = []
    for kind, things in of.items():
        entries = []
        for name, thing in things.items():
            lines = [f"    {json.dumps(number)}: {json.dumps(meaning)}" for number, meaning in thing["numbers"].items()]
            numbers = "{\n" + ",\n".join(lines) + "\n   }" if lines else "{}"
            entries.append(
                f'  {json.dumps(name)}: {{\n   "numbers": {numbers},\n   "reserved": {json.dumps(thing["reserved"])}\n  }}'
            )
        kinds.append(f" {json.dumps(kind)}: {{\n" + ",\n".join(entries) + "\n }")
    return "{\n" + ",\n".join(kinds) + "\n}\n"


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 where the committed snapshot says what the descriptors say, or has been made to."""
    parser = argparse.ArgumentParser(prog="python -m reward_schemas.evolution", description="Checks protobuf field numbers.")
    parser.add_argument("--accept", action="store_true", help="record new fields and reservations")
    parser.add_argument("--file", type=Path, default=Path(__file__).with_name(SNAPSHOT), help="the committed snapshot")
    options = parser.parse_args(arguments)
    before = json.loads(options.file.read_text(encoding="utf-8"))
    now = snapshot()
    changes = compare(before, now)
    forbidden = [change for change in changes if change.forbidden]
    if options.accept and not forbidden:
        options.file.write_text(_text(now), encoding="utf-8")
        sys.stdout.write(f"{len(changes)} changes recorded in {options.file}\n")
        return 0
    for change in forbidden or changes:
        sys.stderr.write(f"{change}\n")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
