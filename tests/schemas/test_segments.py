"""Segments: what was written is read, a torn end is left out, damage has its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from reward_schemas.segments import MAGIC, Damaged, Frame, Writer, frame, read, segments

FRAMES = [Frame(b"run", bytes([i]) * i, 1_790_000_000_000 + i) for i in range(1, 6)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    writer = Writer(tmp_path / "runs" / "r" / "1-0-7.events", 10_000)
    for each in FRAMES:
        writer.append(each.key, each.value, each.time_ms)
    writer.close()
    return tmp_path / "runs" / "r" / "1-0-7.events"


def test_what_was_written_is_read(file: Path, tmp_path: Path) -> None:
    assert list(read(file)) == FRAMES
    assert segments(tmp_path) == [file]
    with pytest.raises(FileExistsError):
        Writer(file, 10_000)  # another process's


def test_an_end_that_is_torn_anywhere_is_left_out(file: Path) -> None:
    whole = file.read_bytes()
    last = len(whole) - len(frame(FRAMES[-1].key, FRAMES[-1].value, FRAMES[-1].time_ms))
    for size in range(last, len(whole)):
        file.write_bytes(whole[:size])
        assert list(read(file)) == FRAMES[:-1]
    for size in range(len(MAGIC) + 1):
        file.write_bytes(whole[:size])
        assert list(read(file)) == []


def test_damage_in_the_middle_is_an_error_with_its_place(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    second = len(MAGIC) + len(frame(FRAMES[0].key, FRAMES[0].value, FRAMES[0].time_ms))
    whole[second + 12] ^= 1
    file.write_bytes(whole)
    frames = read(file)
    assert next(frames) == FRAMES[0]
    with pytest.raises(Damaged, match=f"byte {second} is damaged.*{file.name}"):
        next(frames)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.events").write_text("hello, world")
    with pytest.raises(Damaged, match="no segment of events"):
        list(read(tmp_path / "x.events"))


def test_a_message_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_schemas.segments.FRAME_BYTES_MAX", 100)
    with pytest.raises(ValueError, match="a message of 111 bytes: at most 100"):
        frame(b"r", bytes(100), 0)
