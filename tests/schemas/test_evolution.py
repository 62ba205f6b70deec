"""Field numbers: the committed snapshot is today's, and each forbidden change is refused by name, number and remedy."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from reward_schemas.evolution import Change, compare, main, recorded, snapshot

Damage = Callable[[dict], None]


def _now(damage: Damage) -> dict:
    changed = copy.deepcopy(snapshot())
    damage(changed)
    return changed


def _rollout(s: dict) -> dict:
    return s["messages"]["rewards.v1.Rollout"]


def _status(s: dict) -> dict:
    return s["enums"]["rewards.v1.RewardStatus"]


def _remove(of: Callable[[dict], dict], number: str, reserve: bool = False) -> Damage:
    def damage(s: dict) -> None:
        del of(s)["numbers"][number]
        if reserve:
            of(s)["reserved"].append([int(number), int(number)])

    return damage


def _set(of: Callable[[dict], dict], number: str, /, **meaning: str | None) -> Damage:
    def damage(s: dict) -> None:
        field = of(s)["numbers"].setdefault(number, {})
        field.update(meaning)
        for name, value in meaning.items():
            if value is None:
                del field[name]

    return damage


def _envelope(s: dict) -> dict:
    return s["messages"]["rewards.v1.Envelope"]


def _function(s: dict) -> dict:
    return s["messages"]["rewards.v1.RewardFunction"]


FORBIDDEN: list[tuple[str, Damage, tuple[str, str, int | None], str]] = [
    ("a number reused", _set(_rollout, "7", name="prompt_hash"), ("Rollout", "prompt_hash", 7), "its name was 'group' and is"),
    ("a number retyped", _set(_rollout, "7", type="sint32"), ("Rollout", "group", 7), "its type was 'bytes' and is 'sint32'"),
    ("one value made many", _set(_rollout, "1", label="repeated"), ("Rollout", "step", 1), "its label was 'optional' and is"),
    ("another message", _set(_envelope, "16", of="rewards.v1.Tick"), ("Envelope", "rollout", 16), "its of was"),
    ("out of the oneof", _set(_envelope, "16", oneof=None), ("Envelope", "rollout", 16), "its oneof was 'kind' and is none"),
    ("into the oneof", _set(_envelope, "8", oneof="kind"), ("Envelope", "senders", 8), "its oneof was none and is 'kind'"),
    ("unknown made zero", _set(_function, "5", oneof=None), ("RewardFunction", "lo", 5), "its oneof was '_lo' and is none"),
    ("removed, not reserved", _remove(_rollout, "9"), ("Rollout", "advantage", 9), "removed, and its number is free"),
    ("an enum's meaning", _set(_status, "2", name="SKIPPED"), ("RewardStatus", "SKIPPED", 2), "its name was 'NOT_SCORED'"),
    ("an enum's value lost", _remove(_status, "1"), ("RewardStatus", "MISSING", 1), "removed, and its number is free"),
    ("a message removed", lambda s: s["messages"].pop("rewards.v1.Tick"), ("Tick", "", None), "removed"),
]


def test_the_committed_snapshot_is_todays() -> None:
    assert compare(recorded(), snapshot()) == []
    assert recorded() == snapshot()


@pytest.mark.parametrize(("damage", "place", "problem"), [case[1:] for case in FORBIDDEN], ids=[case[0] for case in FORBIDDEN])
def test_a_forbidden_change_is_refused_with_its_place(damage: Damage, place: tuple, problem: str) -> None:
    changes = [change for change in compare(recorded(), _now(damage)) if change.forbidden]
    message, field, number = place
    assert [(c.message, c.field, c.number) for c in changes] == [(f"rewards.v1.{message}", field, number)]
    assert problem in changes[0].problem
    assert changes[0].remedy and changes[0].remedy in str(changes[0])


def test_a_field_that_moved_is_refused() -> None:
    def damage(s: dict) -> None:
        _rollout(s)["numbers"]["13"] = _rollout(s)["numbers"].pop("6")

    (change,) = [c for c in compare(recorded(), _now(damage)) if c.forbidden]
    assert (change.field, change.number) == ("status", 6)


def test_a_reserved_number_stays_reserved() -> None:
    removed = _now(_remove(_rollout, "9", reserve=True))
    (change,) = compare(recorded(), removed)
    assert (change.forbidden, change.problem) == (False, "removed and reserved")
    # It was recorded. Later somebody takes the number, or drops the reservation.
    taken = copy.deepcopy(removed)
    taken["messages"]["rewards.v1.Rollout"]["numbers"]["9"] = {"name": "entropy", "type": "bytes", "label": "optional"}
    taken["messages"]["rewards.v1.Rollout"]["reserved"] = []
    (change,) = compare(removed, taken)
    assert (change.forbidden, change.field, change.number) == (True, "entropy", 9)
    assert change.problem == "the number was reserved: an older field had it"
    dropped = copy.deepcopy(removed)
    dropped["messages"]["rewards.v1.Rollout"]["reserved"] = []
    (change,) = compare(removed, dropped)
    assert (change.forbidden, change.number, change.remedy) == (True, 9, "write `reserved 9;` again")


def test_a_hole_in_a_reserved_range_is_seen() -> None:
    before, now = snapshot(), snapshot()
    _rollout(before)["reserved"] = [[20, 2**29 - 1]]
    _rollout(now)["reserved"] = [[20, 24], [26, 2**29 - 1]]
    assert [c.number for c in compare(before, now) if c.forbidden] == [25]


@pytest.mark.parametrize(
    ("addition", "field"),
    [
        (_set(_rollout, "13", name="turns", type="bytes", label="optional"), "turns"),
        (_set(_envelope, "22", name="note", type="message", label="optional", of="rewards.v1.Tick", oneof="kind"), "note"),
        (_set(_status, "3", name="TIMED_OUT"), "TIMED_OUT"),
        (lambda s: s["messages"].update({"rewards.v1.Note": {"numbers": {}, "reserved": []}}), ""),
        (lambda s: _rollout(s)["reserved"].append([14, 17]), "(reserved)"),
    ],
)
def test_an_addition_is_allowed_and_has_to_be_recorded(addition: Damage, field: str) -> None:
    (change,) = compare(recorded(), _now(addition))
    assert (change.forbidden, change.field) == (False, field)
    assert "--accept" in change.remedy


def _file(path: Path, damage: Damage) -> Path:
    """A committed snapshot from which today's descriptors differ."""
    path.write_text(json.dumps(_now(damage)))
    return path


def test_the_command_fails_until_an_addition_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _file(tmp_path / "numbers.json", _remove(_rollout, "10"))  # today has `truncated = 10` beyond it
    assert main(["--file", str(file)]) == 1
    assert "rewards.v1.Rollout.truncated = 10: new" in capsys.readouterr().err
    assert main(["--file", str(file), "--accept"]) == 0
    assert main(["--file", str(file)]) == 0
    assert json.loads(file.read_text()) == snapshot()


def test_accept_refuses_what_is_forbidden(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = _file(tmp_path / "numbers.json", _set(_rollout, "7", type="sint32"))
    before = file.read_text()
    assert main(["--file", str(file), "--accept"]) == 1
    assert file.read_text() == before
    said = capsys.readouterr().err
    assert "rewards.v1.Rollout.group = 7: its type was 'sint32' and is 'bytes'" in said
    assert "a number of its own" in said


def test_the_committed_file_is_written_as_accept_writes_it(tmp_path: Path) -> None:
    from importlib.resources import files

    file = _file(tmp_path / "numbers.json", lambda s: None)
    assert main(["--file", str(file), "--accept"]) == 0
    assert file.read_text() == files("reward_schemas").joinpath("field_numbers.json").read_text()


def test_generated_code_agrees_with_the_proto_files() -> None:
    """Every field that a .proto file writes is in the generated descriptors under its number."""
    import re
    from importlib.resources import files

    numbers = {f"{m['name']} = {n}" for thing in snapshot().values() for t in thing.values() for n, m in t["numbers"].items()}
    for name in ("events.proto", "results.proto"):
        source = re.sub(r"//.*", "", files("reward_schemas").joinpath(name).read_text())
        written = re.findall(r"\b(\w+ = \d+);", source)
        assert written and set(written) <= numbers


def test_a_change_shows_itself() -> None:
    change = Change("rewards.v1.Rollout", "group", 7, "its type was 'bytes' and is 'sint32'", "do this")
    assert str(change) == "rewards.v1.Rollout.group = 7: its type was 'bytes' and is 'sint32'\n    do this"
