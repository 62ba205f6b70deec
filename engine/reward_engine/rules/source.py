"""A YAML text as values that know their places: YAML 1.2's scalars, no aliases, no tags, no name twice.

PyYAML's own reading is not used beyond its events: it takes `12:30` for 750, `on` for true, `1e-3` for a text, and the last of
two equal names in silence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

BYTES_MAX = 1 << 19
DEPTH_MAX = 40

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands: line and column count from 1; 0: the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, order=True)
class Mistake:
    """What is wrong, where, in which rule, and what to do."""

    place: Place
    what: str
    remedy: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {f'rule `{self.rule}`: ' if self.rule else ''}{self.what}: {self.remedy}"


@dataclass
class Node:
    """A value: None, bool, int, float, str, a list of nodes, or a mapping of names to nodes. keys: where each name stands."""

    value: Any
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it is, in a person's words."""
        names = {
            bool: "true or false",
            int: "a whole number",
            float: "a number",
            str: "a text",
            list: "a list",
            dict: "a mapping",
        }
        return "nothing" if self.value is None else names[type(self.value)]


class _Refused(Exception):
    def __init__(self, mark: Any, what: str, remedy: str) -> None:
        super().__init__(what)
        self.mark, self.what, self.remedy = mark, what, remedy


def read(text: str, file: str, mistakes: list[Mistake]) -> Node | None:
    """The value of a text; None where it is no YAML, or empty, which is then among the mistakes."""
    if (size := len(text.encode("utf-8", "surrogatepass"))) > BYTES_MAX:
        mistakes.append(Mistake(Place(file), f"{size} bytes long, {BYTES_MAX} are read", "divide it into several files"))
        return None
    try:
        import yaml
    except ImportError:
        mistakes.append(Mistake(Place(file), "rules are read with PyYAML, which is not installed", "pip install PyYAML"))
        return None
    try:
        return _built(yaml.parse(text, Loader=yaml.SafeLoader), yaml, file, mistakes)
    except _Refused as refused:
        mistakes.append(Mistake(_place(file, refused.mark), refused.what, refused.remedy))
    except (yaml.YAMLError, UnicodeError, ValueError) as error:  # ValueError: escapes of characters that there are not
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        mistakes.append(Mistake(_place(file, mark), f"no YAML: {problem:.200}", "mend the text here or just before"))
    return None


def _place(file: str, mark: Any) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark is not None else Place(file)


def _built(events: Any, yaml: Any, file: str, mistakes: list[Mistake]) -> Node | None:
    """The node of the events, without recursion: the text decides how deep it is."""
    top: Node | None = None
    open_nodes: list[tuple[Node, list[Node]]] = []  # each with the name that awaits its value
    for event in events:
        _refuse(event, yaml, top, len(open_nodes))
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            open_nodes.pop()
        elif isinstance(event, yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent):
            scalar = isinstance(event, yaml.ScalarEvent)
            value = _scalar(event) if scalar else {} if isinstance(event, yaml.MappingStartEvent) else []
            node = Node(value, _place(file, event.start_mark))
            top = top or node
            if open_nodes:
                _hang(*open_nodes[-1], node, event, mistakes)
            if not scalar:
                open_nodes.append((node, []))
    if top is None:
        mistakes.append(Mistake(Place(file), "empty", "begin with `version: 1`"))
    return top


def _refuse(event: Any, yaml: Any, top: Node | None, depth: int) -> None:
    """Raises for what YAML has and rules don't."""
    if isinstance(event, yaml.AliasEvent):
        raise _Refused(event.start_mark, f"an alias, *{event.anchor}", "write out what it stands for")
    if isinstance(event, yaml.DocumentStartEvent) and top is not None:
        raise _Refused(event.start_mark, "a second document", "put it into a file of its own")
    if getattr(event, "tag", None) is not None:
        raise _Refused(event.start_mark, f"a tag, {event.tag}", "leave it out: a value is what it looks like")
    if depth > DEPTH_MAX:
        raise _Refused(event.start_mark, f"nested deeper than {DEPTH_MAX}", "no rule needs that")


def _hang(into: Node, names: list[Node], node: Node, event: Any, mistakes: list[Mistake]) -> None:
    """Puts a node into the list or mapping that it stands in."""
    if isinstance(into.value, list):
        into.value.append(node)
    elif names:
        name = names.pop()
        if name.value in into.value:
            what = f"`{name.value:.60}` a second time; the first is in line {into.keys[name.value].line}"
            mistakes.append(Mistake(name.place, what, "leave one of them out"))
        else:
            into.value[name.value], into.keys[name.value] = node, name.place
    elif isinstance(node.value, list | dict):
        raise _Refused(event.start_mark, "a list or mapping as a name", "names are texts")
    else:
        names.append(Node(event.value, node.place))  # as it is written: a name `on` or `1` stays that


def _scalar(event: Any) -> object:
    text = event.value
    if not event.implicit[0]:  # quoted, or a block
        return text
    if _NULL.fullmatch(text):
        return None
    if found := _BOOL.fullmatch(text):
        return bool(found[1])
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
