"""From YAML's nodes to typed structs: every mistake with its place and its remedy, not the first one alone."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from reward_engine.rules.source import Mistake, Node

T = TypeVar("T", bound=msgspec.Struct)

_SCALARS: dict[type[inspect.Type], tuple[tuple[type, ...], str]] = {
    inspect.StrType: ((str,), "a text"),
    inspect.BoolType: ((bool,), "true or false"),
    inspect.IntType: ((int,), "a whole number"),
    inspect.FloatType: ((int, float), "a number"),
}


def converted(node: Node, into: type[T], mistakes: list[Mistake]) -> T | None:
    """The struct that a node says; None where there is a mistake in it, which is then among the mistakes."""
    before = len(mistakes)
    value = _Converter(mistakes).value(node, inspect.type_info(into), "")
    return value if len(mistakes) == before else None


def partial(node: Node, into: type[T]) -> T | None:
    """What of a node can be read, where its mistakes are told elsewhere; None where something needed is missing."""
    value = _Converter([]).value(node, inspect.type_info(into), "")
    return value if isinstance(value, into) else None


def nearest(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """A remedy for a name that there is not: the nearest one, or what is said otherwise, or all of them."""
    every = sorted(names)
    if close := difflib.get_close_matches(name, every, 1):
        return f"did you mean `{close[0]}`?"
    return otherwise or "there " + ("are " if len(every) > 1 else "is ") + ", ".join(every)


class _Wrong:
    """Stands for a value that can't be read."""


_WRONG = _Wrong()


class _Converter:
    def __init__(self, mistakes: list[Mistake]) -> None:
        self._mistakes = mistakes
        self._rule = ""

    def value(self, node: Node, type_: inspect.Type, path: str) -> Any:
        if isinstance(type_, inspect.Metadata):
            return self.value(node, type_.type, path)
        if isinstance(type_, inspect.UnionType):
            return self._one_of(node, type_, path)
        if isinstance(type_, inspect.StructType):
            return self._struct(node, type_, path)
        if isinstance(type_, inspect.ListType | inspect.VarTupleType):
            return self._list(node, type_, path)
        if isinstance(type_, inspect.DictType):
            return self._mapping(node, type_, path)
        if isinstance(type_, inspect.LiteralType):
            return self._literal(node, type_, path)
        return self._scalar(node, type_, path)

    def _wrong(self, node: Node, what: str, remedy: str) -> _Wrong:
        self._mistakes.append(Mistake(node.place, what, remedy, self._rule))
        return _WRONG

    def _kind(self, node: Node, wanted: str, path: str) -> _Wrong:
        return self._wrong(node, f"{path or 'the file'} is {node.kind}", f"write {wanted}")

    def _one_of(self, node: Node, type_: inspect.UnionType, path: str) -> Any:
        """A value or nothing; or one of several structs, which a tag tells apart."""
        others = [each for each in type_.types if not isinstance(each, inspect.NoneType)]
        if node.value is None and len(others) < len(type_.types):
            return None
        structs = [each for each in others if isinstance(each, inspect.StructType) and each.tag_field]
        if not structs:
            return self.value(node, others[0], path)
        field = structs[0].tag_field or ""
        tag = node.value.get(field) if isinstance(node.value, dict) else None
        chosen = next((each for each in structs if tag is not None and each.tag == tag.value), None)
        if chosen is not None:
            return self._struct(node, chosen, path)
        names = [str(each.tag) for each in structs]
        if tag is None:
            return self._wrong(node, f"{path} has no `{field}`", f"give it one of {', '.join(names)}")
        return self._wrong(tag, f"{path}.{field} is {tag.value!r:.60}", nearest(str(tag.value), names))

    def _struct(self, node: Node, type_: inspect.StructType, path: str) -> Any:
        if not isinstance(node.value, dict):
            return self._kind(node, "a mapping", path)
        outer = self._rule
        uid = node.value.get("uid")
        if uid is not None and isinstance(uid.value, str):
            self._rule, path = uid.value[:100], ""  # messages name the rule
        fields = {field.encode_name: field for field in type_.fields}
        values = {}
        for name, value in node.value.items():
            if name in fields:
                made = self.value(value, fields[name].type, _under(path, name))
                if made is not _WRONG:
                    values[fields[name].name] = made
            elif name != type_.tag_field:
                place = node.keys[name]
                self._mistakes.append(Mistake(place, f"there is no `{name:.60}` here", nearest(name, fields), self._rule))
        for name, field in fields.items():
            if field.required and name not in node.value:
                self._wrong(node, f"`{name}` is missing", "add it")
        try:
            needed = {field.name for field in type_.fields if field.required}
            return type_.cls(**values) if needed <= values.keys() else _WRONG
        except ValueError as error:  # what a struct checks of itself
            return self._wrong(node, f"{path}: {error}" if path else str(error), "mend it")
        finally:
            self._rule = outer

    def _list(self, node: Node, type_: inspect.ListType | inspect.VarTupleType, path: str) -> Any:
        if not isinstance(node.value, list):
            return self._kind(node, "a list, as [a, b], or a line `- ...` for each", path)
        limits = type_.min_length or 0, type_.max_length
        if len(node.value) < limits[0] or (limits[1] is not None and len(node.value) > limits[1]):
            most = "" if limits[1] is None else f" to {limits[1]}"
            self._wrong(node, f"{path} has {len(node.value)} entries", f"write {limits[0]}{most} of them")
        every = (self.value(each, type_.item_type, f"{path}[{i}]") for i, each in enumerate(node.value))
        made = [each for each in every if each is not _WRONG]
        return tuple(made) if isinstance(type_, inspect.VarTupleType) else made

    def _mapping(self, node: Node, type_: inspect.DictType, path: str) -> Any:
        if not isinstance(node.value, dict):
            return self._kind(node, "a mapping, as {name: value}", path)
        if type_.max_length is not None and len(node.value) > type_.max_length:
            self._wrong(node, f"{path} has {len(node.value)} entries", f"write at most {type_.max_length}")
        made = {name: self.value(value, type_.value_type, _under(path, name)) for name, value in node.value.items()}
        return {name: value for name, value in made.items() if value is not _WRONG}

    def _literal(self, node: Node, type_: inspect.LiteralType, path: str) -> Any:
        if node.value in type_.values and type(node.value) in {type(value) for value in type_.values}:
            return node.value
        said = f"`{node.value:.60}`" if isinstance(node.value, str) else node.kind if node.value is None else repr(node.value)
        if isinstance(node.value, list | dict):
            said = node.kind
        return self._wrong(node, f"{path} is {said}", nearest(str(node.value), map(str, type_.values)))

    def _scalar(self, node: Node, type_: Any, path: str) -> Any:
        """A value of the right kind is handed on even where it is too long or too large, so that the rest is looked at as well."""
        of, wanted = _SCALARS[type(type_)]
        value: Any = node.value
        if type(value) not in of:
            quoted = wanted == "a text" and isinstance(value, int | float)  # a bool is an int
            return self._kind(node, f'{wanted}, as "{str(value).lower()}"' if quoted else wanted, path)
        if isinstance(type_, inspect.StrType):
            if type_.max_length is not None and len(value) > type_.max_length:
                self._wrong(node, f"{path} is {len(value)} characters long", f"write at most {type_.max_length}")
            if type_.pattern is not None and not re.search(type_.pattern, value):
                self._wrong(node, f"{path} is `{value:.60}`", f"write what matches {type_.pattern}")
        elif isinstance(type_, inspect.IntType | inspect.FloatType):
            low = -math.inf if type_.ge is None else type_.ge
            high = math.inf if type_.le is None else type_.le
            if not low <= value <= high:
                self._wrong(node, f"{path} is {value}", f"write {low:g} to {high:g}")
        return value


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
