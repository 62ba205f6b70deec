"""The YAML of a settings file, read as text: `section: {name: value}`, each value with its place and none with a type.

YAML's own types are not used: `on`, `1e3` and `12:30` stay what was written, and the setting's type reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

FILE_BYTES_MAX = 1 << 16


class Unreadable(Exception):
    """A file that is no YAML at all: the message says where, why, and what to do."""


def values(file: Path, mistakes: list[str], sections: Collection[str] | None = None) -> Iterator[tuple[str, str, str]]:
    """Name (`section.name`), text and place of every value; null is an empty text. What has another shape becomes a mistake.

    sections: those that are looked at; None: all. Raises Unreadable.
    """
    for section, fields, place in _pairs(_parsed(file), file, mistakes, "sections"):
        if sections is not None and section not in sections:
            continue
        for name, value, at in _pairs(fields, file, mistakes, f"settings of {section}", place):
            if value.id != "scalar":
                mistakes.append(f"{at}: {section}.{name} is a list or a mapping, one value is needed")
            else:
                yield f"{section}.{name}", "" if value.tag.endswith(":null") else value.value.strip(), at


def _parsed(file: Path) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise Unreadable(f"{file}: a settings file needs PyYAML: pip install PyYAML, or set variables instead") from error
    try:
        if not file.is_file():
            raise Unreadable(f"{file}: {'not a file' if file.exists() else 'there is no such file'}: name another")
        if (size := file.stat().st_size) > FILE_BYTES_MAX:
            raise Unreadable(f"{file}: {size} bytes long, {FILE_BYTES_MAX} are read: this is no settings file")
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        problem = getattr(error, "problem", None) or f"{type(error).__name__}: {error}"
        raise Unreadable(f"{place}: not YAML text: {' '.join(str(problem).split()):.200}") from error


def _pairs(node: Any, file: Path, mistakes: list[str], what: str, place: str = "") -> Iterator[tuple[str, Any, str]]:
    if node is None or (node.id == "scalar" and node.tag.endswith(":null")):
        return  # an empty file or section
    if node.id != "mapping":
        mistakes.append(f"{place or file}: a mapping of {what} is needed")
        return
    for key, value in node.value:
        at = f"{file}:{key.start_mark.line + 1}:{key.start_mark.column + 1}"
        if key.id == "scalar":
            yield key.value, value, at
        else:
            mistakes.append(f"{at}: the name of one of the {what} is a list or a mapping")
