"""Conditions: what they mean, and that nothing else can be said in them."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reward_engine.rules.expression import FUNCTIONS, BadExpression, Expression, Unknown, compiled

NAMES = ("mean", "std", "count", "kl_mean", "truncation.statistic")
CONSTANTS = {"warning": 2.0}


def known(name: str) -> None:
    if name not in NAMES:
        raise LookupError(f"did you mean `{NAMES[0]}`?")


def made(text: str) -> Expression:
    return compiled(text, known, CONSTANTS)


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("mean < 0.1 and count >= 200", {"mean": 0.05, "count": 200.0}, True),
        ("mean < 0.1 and count >= 200", {"mean": 0.05, "count": 199.0}, False),
        ("not (mean < 0.1) or std == 0", {"mean": 0.05, "std": 0.0}, True),
        ("0 < mean < 1", {"mean": 0.5}, True),
        ("-mean + 2 * std / 4 - 1 != 0", {"mean": -1.0, "std": 0.0}, False),
        ("abs(kl_mean) > max(0.5, std, 0) * sqrt(4)", {"kl_mean": -1.5, "std": 0.7}, True),
        ("truncation.statistic >= warning", {"truncation.statistic": 2.0}, True),
        ("default(kl_mean, 1) > 0.5", {"kl_mean": math.nan}, True),
        ("default(kl_mean, 1) > 0.5", {"kl_mean": 0.25}, False),
        ("log(mean) < 1e-3", {"mean": 1.0}, True),
        ("true", {}, True),
        ("mean < 1\n  and std < 1", {"mean": 0.0, "std": 0.0}, True),
    ],
)
def test_what_a_condition_means(text: str, values: dict[str, float], holds: bool) -> None:
    expression = made(text)
    assert set(expression.names) == set(values)
    assert expression([values[name] for name in expression.names]) is holds


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("mean < 0.1 or count > 1", {"mean": math.nan, "count": 5.0}),  # though the other side would decide
        ("mean / std > 1", {"mean": 1.0, "std": 0.0}),
        ("sqrt(mean) > 1", {"mean": -1.0}),
        ("log(mean) > 1", {"mean": 0.0}),
        ("default(mean, 1) > mean", {"mean": math.nan}),
    ],
)
def test_what_is_not_known_is_neither_true_nor_false(text: str, values: dict[str, float]) -> None:
    expression = made(text)
    with pytest.raises(Unknown):
        expression([values[name] for name in expression.names])


BAD = {
    "": "no expression: write a condition, as `mean < 0.1`",
    "mean": "`mean` is a number: compare it, as `... > 0.5`",
    "mean and count > 3": "`mean` is a number, true or false is needed: compare it, as `... > 0.5`",
    "(mean > 1) + 1 > 2": "`mean > 1` is true or false, a number is needed: it can't be computed with",
    "maen > 1": "there is no `maen`: did you mean `mean`?",
    "mean.real > 1": "there is no `mean.real`: did you mean `mean`?",
    "mean.__class__.__mro__ > 1": "`mean.__class__.__mro__` isn't allowed",
    "().__class__ > 1": "`().__class__` isn't allowed",
    "mean[0] > 1": "`mean[0]` isn't allowed",
    "mean ** 9 > 1": "`mean ** 9` isn't allowed",
    "mean > 'x'": "'x'",
    "mean > 9007199254740993": "'9007199254740993': whole numbers up to 2^53",
    "mean > 1e999": "'inf': numbers, true and false alone",
    "[x for x in mean] > 1": "`[x for x in mean]` isn't allowed",
    "(lambda: 1)() > 1": "there is no function `...`: use abs",
    "__import__(mean) > 1": "there is no function `__import__`: use abs",
    "abs(mean, std) > 1": "abs() with 2 arguments: it takes 1",
    "min(mean) > 1": "min() with 1 arguments: it takes 2 to 8",
    "abs(x=mean) > 1": "abs() with 1 arguments: it takes 1",
    "max(*mean, 1) > 1": "`*mean` isn't allowed",
    "mean = 1": "no expression: invalid syntax",
    "mean > ": "no expression: invalid syntax",
    "mean >\x00 1": "no expression",
    "mean is 1": "`mean is 1` isn't allowed",
    "mean > 1 if std > 1 else 2": "isn't allowed",
    "méan > 1": "the character 'é': use plain letters",
    "mean > 1 " + "and mean > 1 " * 90: "characters long, at most 1000: divide it",
    "mean>1" + " or mean>1" * 66: "more than 200 parts: divide it",
    "(" * 300 + "mean" + ")" * 300: "no expression",
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BAD.items(), ids=[text[:25] or "empty" for text in BAD])
def test_every_mistake_has_its_message(text: str, says: str) -> None:
    with pytest.raises(BadExpression) as refused:
        made(text)
    assert says in str(refused.value)
    assert 0 <= refused.value.column <= len(text)


def test_the_place_of_a_mistake() -> None:
    with pytest.raises(BadExpression) as refused:
        made("mean < 1 and stdd > 2")
    assert refused.value.column == 13


@given(st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([*NAMES, *FUNCTIONS, "(", ")", "and", "or", "not", "<", ">=", "==", "+", "-", "/", "*", ",", "1", "0.5", ".", "[", "lambda", ":", "__class__"]), max_size=25).map(" ".join),
))  # fmt: skip
@settings(max_examples=300, deadline=None)
@example("1" * 5000)
@example("not " * 240 + "true")
@example("-" * 900 + "mean > 1")
def test_whatever_is_written_is_a_condition_or_a_mistake(text: str) -> None:
    try:
        expression = made(text)
    except BadExpression:
        return
    with contextlib.suppress(Unknown, OverflowError):
        assert expression([0.5] * len(expression.names)) in (True, False)
