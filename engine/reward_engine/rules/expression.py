"""Conditions: a small language of comparisons, compiled to a function that reaches nothing but its own numbers.

    mean < 0.1 and count >= 200
    not (abs(kl_mean) < 0.5) or default(entropy_mean, 1) < 0.05

It is read by Python's parser and checked node by node against a list of what is allowed; what isn't on the list is a mistake.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHARACTERS_MAX, NODES_MAX, WHOLE_MAX = 1_000, 200, 2**53
NUMBER, TRUTH = "a number", "true or false"
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


def _default(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value


FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {  # with the least and the largest number of arguments
    "abs": (abs, 1, 1),
    "min": (min, 2, 8),
    "max": (max, 2, 8),
    "sqrt": (math.sqrt, 1, 1),
    "log": (math.log, 1, 1),
    "default": (_default, 2, 2),
}


class BadExpression(Exception):
    """column: where in the text, from 0; what is wrong, and what to do."""

    def __init__(self, what: str, remedy: str, column: int = 0) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy, self.column = what, remedy, column


class Unknown(Exception):
    """A value that the expression needs isn't known, or what it computes has no value: x / 0, sqrt(-1)."""


@dataclass(frozen=True)
class Expression:
    """text: as it was written. names: the values it is of. required: those without which nothing can be said."""

    text: str
    names: tuple[str, ...]
    required: tuple[int, ...]
    function: Callable[..., bool]

    def __call__(self, values: Sequence[float]) -> bool:
        """Whether it holds of these values, one of each name; NaN: unknown. Raises Unknown; OverflowError."""
        for place in self.required:
            if math.isnan(values[place]):
                raise Unknown(self.names[place])
        try:
            return self.function(*values)
        except (ZeroDivisionError, ValueError) as error:
            raise Unknown(str(error)) from None


def compiled(text: str, known: Callable[[str], None], constants: Mapping[str, float]) -> Expression:
    """The expression of a text. known: raises LookupError with a remedy for a name that there is not. Raises BadExpression."""
    line = _line(text)
    found = _Reader(line, _parsed(line), known, constants)
    return Expression(text, tuple(found.names), tuple(sorted(found.required)), found.function)


def _line(text: str) -> str:
    """The text in one line."""
    if not text.strip():
        raise BadExpression("no expression", "write a condition, as `mean < 0.1`")
    if len(text) > CHARACTERS_MAX:
        raise BadExpression(f"{len(text)} characters long, at most {CHARACTERS_MAX}", "divide it into several rules")
    if not text.isascii():
        column = next(i for i, c in enumerate(text) if not c.isascii())
        raise BadExpression(f"the character {text[column]!r}", "use plain letters, digits and operators", column)
    return " ".join(text.splitlines()).strip()


def _parsed(line: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(line, mode="eval").body
    except SyntaxError as error:
        what, column = error.msg, max((error.offset or 1) - 1, 0)
    except (ValueError, RecursionError, MemoryError) as error:
        what, column = type(error).__name__, 0
    raise BadExpression(f"no expression: {what}", "as `mean < 0.1 and count >= 200`", column)


class _Reader:
    """Walks over the tree once: what is allowed, of what type each part is, and the function."""

    def __init__(self, line: str, tree: ast.expr, known: Callable[[str], None], constants: Mapping[str, float]) -> None:
        self.names: dict[str, int] = {}
        self.required: set[int] = set()
        self._known, self._constants, self._nodes = known, constants, 0
        self._line = line
        made, kind = self._read(tree, optional=False)
        if kind is not TRUTH:
            raise BadExpression(f"`{line:.60}` is {kind}", "compare it, as `... > 0.5`")
        arguments = ast.arguments([], [ast.arg(f"v{i}") for i in range(len(self.names))], None, [], [], None, [])
        function = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, made)))
        reachable: dict[str, Any] = {"__builtins__": {}, **{name: of for name, (of, _, _) in FUNCTIONS.items()}}
        self.function = eval(compile(function, "<rule>", "eval"), reachable)  # noqa: S307 - of nodes that are listed below alone

    def _read(self, node: ast.expr, *, optional: bool) -> tuple[ast.expr, str]:
        """What a node becomes, and its type."""
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise BadExpression(f"more than {NODES_MAX} parts", "divide it into several rules", node.col_offset)
        if isinstance(node, ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare) and (made := self._operation(node, optional)):
            return made
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Call):
            return self._call(node, optional=optional)
        if isinstance(node, ast.Name):
            return self._name(node, node.id, optional=optional)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):  # no attribute of anything: a name with a dot
            return self._name(node, f"{node.value.id}.{node.attr}", optional=optional)
        allowed = "use and, or, not, + - * /, comparisons, " + ", ".join(FUNCTIONS)
        raise BadExpression(f"{self._part(node)} isn't allowed", allowed, node.col_offset)

    def _operation(self, node: ast.BoolOp | ast.UnaryOp | ast.BinOp | ast.Compare, optional: bool) -> tuple[ast.expr, str] | None:
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self._of(TRUTH, value, optional) for value in node.values]), TRUTH
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            kind = TRUTH if isinstance(node.op, ast.Not) else NUMBER
            return ast.UnaryOp(node.op, self._of(kind, node.operand, optional)), kind
        if isinstance(node, ast.BinOp) and isinstance(node.op, _OPERATORS):
            return ast.BinOp(self._of(NUMBER, node.left, optional), node.op, self._of(NUMBER, node.right, optional)), NUMBER
        if isinstance(node, ast.Compare) and all(isinstance(op, _COMPARISONS) for op in node.ops):
            first, *others = [self._of(NUMBER, side, optional) for side in (node.left, *node.comparators)]
            return ast.Compare(first, node.ops, others), TRUTH
        return None

    def _part(self, node: ast.expr) -> str:
        return f"`{ast.get_source_segment(self._line, node) or '':.60}`"

    def _of(self, wanted: str, node: ast.expr, optional: bool) -> ast.expr:
        made, kind = self._read(node, optional=optional)
        if kind is not wanted:
            remedy = "compare it, as `... > 0.5`" if wanted is TRUTH else "it can't be computed with"
            raise BadExpression(f"{self._part(node)} is {kind}, {wanted} is needed", remedy, node.col_offset)
        return made

    def _constant(self, node: ast.Constant) -> tuple[ast.expr, str]:
        value = node.value
        if isinstance(value, bool):
            return node, TRUTH
        if isinstance(value, int) and abs(value) <= WHOLE_MAX:
            return ast.Constant(float(value)), NUMBER
        if isinstance(value, float) and math.isfinite(value):
            return node, NUMBER
        remedy = f"whole numbers up to 2^53 = {WHOLE_MAX}" if isinstance(value, int) else "numbers, true and false alone"
        raise BadExpression(repr(str(value)[:40]), remedy, node.col_offset)

    def _call(self, node: ast.Call, *, optional: bool) -> tuple[ast.expr, str]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in FUNCTIONS:
            raise BadExpression(f"there is no function `{name or '...'}`", "use " + ", ".join(FUNCTIONS), node.col_offset)
        _, least, most = FUNCTIONS[name]
        if node.keywords or not least <= len(node.args) <= most:
            takes = f"{least}" if least == most else f"{least} to {most}"
            raise BadExpression(
                f"{name}() with {len(node.args) + len(node.keywords)} arguments", f"it takes {takes}", node.col_offset
            )
        first = self._of(NUMBER, node.args[0], optional or name == "default")
        rest = [self._of(NUMBER, argument, optional) for argument in node.args[1:]]
        return ast.Call(ast.Name(name, ast.Load()), [first, *rest], []), NUMBER

    def _name(self, node: ast.expr, name: str, *, optional: bool) -> tuple[ast.expr, str]:
        if name in ("true", "false"):
            return ast.Constant(name == "true"), TRUTH
        if name in self._constants:
            return ast.Constant(float(self._constants[name])), NUMBER
        try:
            self._known(name)
        except LookupError as error:
            raise BadExpression(f"there is no `{name}`", str(error.args[0]), node.col_offset) from None
        place = self.names.setdefault(name, len(self.names))
        if not optional:
            self.required.add(place)
        return ast.Name(f"v{place}", ast.Load()), NUMBER
