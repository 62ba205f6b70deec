"""Reading YAML: values are what they look like in YAML 1.2, and every mistake has its place and remedy."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reward_engine.rules.source import BYTES_MAX, Mistake, Node, Place, read


def plain(node: Node) -> object:
    if isinstance(node.value, list):
        return [plain(one) for one in node.value]
    return {name: plain(one) for name, one in node.value.items()} if isinstance(node.value, dict) else node.value


def told(text: str) -> list[str]:
    mistakes: list[Mistake] = []
    read(text, "r.yaml", mistakes)
    return [str(mistake) for mistake in mistakes]


def test_scalars_are_those_of_yaml_1_2() -> None:
    mistakes: list[Mistake] = []
    text = """
    on: [yes, off, 12:30, 1e-3, 1_000, 0o7, 1., .5, -3, +4, ~, null, "", "1", 'true', true, FALSE, .inf, 99999999999999999999]
    block: |
      mean < 1
    2: {no: x}
    """
    top = read(text, "r.yaml", mistakes)
    assert not mistakes and top is not None
    assert plain(top) == {
        "on": [
            "yes", "off", "12:30", 1e-3, "1_000", "0o7", 1.0, 0.5, -3, 4, None, None, "", "1", "true", True, False, ".inf", 1e20,
        ],
        "block": "mean < 1\n",
        "2": {"no": "x"},
    }  # fmt: skip


def test_places_are_of_values_and_of_names() -> None:
    top = read("a: 1\nlist:\n  - b: x\n", "r.yaml", [])
    assert top is not None and top.kind == "a mapping" and top.keys["list"] == Place("r.yaml", 2, 1)
    inner = top.value["list"].value[0]
    assert str(inner.value["b"].place) == "r.yaml:3:8" and inner.value["b"].kind == "a text"


BAD = {
    "": "r.yaml: empty: begin with `version: 1`",
    "a: 1\nb: 2\na: 3": "r.yaml:3:1: `a` a second time; the first is in line 1: leave one of them out",
    "a: &x 1\nb: *x": "r.yaml:2:4: an alias, *x: write out what it stands for",
    "a: !!python/object:os.system x": "r.yaml:1:4: a tag, tag:yaml.org,2002:python/object:os.system: leave it out",
    "a: 1\n---\nb: 2": "r.yaml:2:1: a second document: put it into a file of its own",
    "[a]: 1": "r.yaml:1:1: a list or mapping as a name: names are texts",
    "a: [1, 2": "no YAML: ",
    "a:\n\t- 1": "r.yaml:2:1: no YAML: found character '\\t' that cannot start any token: mend the text here or just before",
    "[" * 100_000: "nested deeper than 40: no rule needs that",
    "{a: " * 100_000: "nested deeper than 40: no rule needs that",
    "a: \x00": "no YAML: ",
    'a: "\\ud800 \\U00110000"': "no YAML: ",
    "a" * (BYTES_MAX + 1): f"{BYTES_MAX + 1} bytes long, {BYTES_MAX} are read: divide it into several files",
}


@pytest.mark.parametrize(("text", "says"), BAD.items(), ids=[text[:20] or "empty" for text in BAD])
def test_every_mistake_has_its_place_and_remedy(text: str, says: str) -> None:
    assert says in told(text)[0]


def test_all_names_that_come_twice_are_told_at_once() -> None:
    assert len(told("a: 1\na: 2\nb: {c: 1, c: 2}\nb: 3")) == 3


def test_a_rule_is_named_where_it_is_known() -> None:
    assert str(Mistake(Place("r.yaml", 3, 2), "`x` is wrong", "write y", rule="collapse")) == (
        "r.yaml:3:2: rule `collapse`: `x` is wrong: write y"
    )


@given(st.one_of(st.text(max_size=120), st.text("[]{}:,-&*!|>'\"#%@` \n\tab1?", max_size=80)))
@settings(max_examples=400, deadline=None)
@example("? a\n: b")
@example("- - - -\n")
@example("%YAML 1.1\n---\na: 1")
def test_whatever_is_written_is_read_or_a_mistake(text: str) -> None:
    mistakes: list[Mistake] = []
    top = read(text, "r.yaml", mistakes)
    assert (top is not None) or mistakes
