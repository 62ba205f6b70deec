"""What the documents name exists; and a document that names what doesn't is refused, place by place."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from reward_engine.rule_tests import read_tests
from reward_engine.rules.machine import QUARANTINE
from reward_engine.rules.ruleset import load
from reward_engine.rules.source import Mistake
from reward_producers.rule_files import DEFAULT_PACK, rule_set

from scripts.check_docs import ROOT, documents, problems


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_exists(document: Path) -> None:
    assert problems(document) == []


def test_readme_and_the_documents_below_docs_are_looked_at() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in documents()}
    assert {"README.md", "docs/GLOSSARY.md", "docs/decisions/0001-faust-without-tables.md"} <= names


GOOD = """# A title, and `code` in it

[a heading](#a-title-and-code-in-it), [a place](https://example.org/x.md), `sub/there.py`, `there.py`, `sub/*.py`, `sub/`,
`.made/by-a-run.py`, `grafana/grafana`, `/metrics`, `a/b`, `rewards.events.v1`, `make it`, `python -m json.tool x.json`,
`reward-monitor demo --seed 3`, `reward-monitor`

```
ENV=1 make it DEMO="--seed 0"   # nothing of make's
$ reward-monitor demo --steps 12 && make it
Somebody's text, with an apostrophe
```
"""
BAD = [
    ("[gone](gone.md)", "the link to gone.md leads nowhere"),
    ("[lost](#lost)", "bad.md has no heading #lost"),
    ("`sub/gone.py`", "there is no sub/gone.py"),
    ("`away/gone.py`", "there is no away/gone.py"),
    ("`gone.sql`", "there is no gone.sql"),
    ("`sub/gone`", "there is no sub/gone"),
    ("`make that`", "make has no target that"),
    ("`reward-monitor dmo`", "dmo"),
    ("`reward-monitor demo --stips 12`", "reward-monitor demo has no option --stips"),
    ("`python -m reward_jobs.agregate`", "there is no module reward_jobs.agregate to run"),
    ("`python -m reward_jobs.assign`", "there is no module reward_jobs.assign to run"),
    ("`python -m nobody.knows`", "there is no module nobody.knows to run"),
    ("`python scripts/gone.py`", "there is no scripts/gone.py"),
    ("\n```\nmake it\nX=1 make that\n```", "make has no target that"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "there.py").touch()
    (tmp_path / "Makefile").write_text("it: other\n\techo\nother:\n")
    (tmp_path / ".gitignore").write_text(".made/\n")
    return tmp_path


def test_a_good_document_has_no_problems(tree: Path) -> None:
    (tree / "good.md").write_text(GOOD)
    assert problems(tree / "good.md", tree) == []


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_document_is_refused_with_its_place(text: str, said: str, tree: Path) -> None:
    (tree / "bad.md").write_text(f"# Bad\n\nnames {text} here\n")
    (problem,) = problems(tree / "bad.md", tree)
    line = 6 if "```" in text else 3
    assert problem.startswith(f"bad.md:{line}: ")
    assert said in problem


def test_every_hook_calls_a_target_of_make() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    entries = [hook["entry"].split() for hook in hooks]
    assert ["make", "check"] in entries
    for words in entries:
        assert words[0] == "make"
        subprocess.run([*words, "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_every_rule_that_comes_along_is_in_the_runbook() -> None:
    headings = {
        line[3:] for line in (ROOT / "docs" / "RUNBOOK.md").read_text(encoding="utf-8").splitlines() if line.startswith("## ")
    }
    rules = rule_set(DEFAULT_PACK).rules
    linked = {rule.uid: "".join(map(str, rule.annotations["runbook"].parts)) for rule in rules}
    assert linked == {rule.uid: f"docs/RUNBOOK.md#{rule.uid}" for rule in rules}
    assert headings == {*linked, QUARANTINE}


def test_rules_in_the_documents_are_rules() -> None:
    found = [
        block
        for name in ("README.md", "docs/RULES.md")
        for block in re.findall(r"```yaml\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
        if not block.startswith("kafka:")  # settings
    ]
    mistakes: list[Mistake] = []
    for block in found:
        if block.startswith("tests:"):
            assert read_tests(block, "a block", mistakes)
        else:
            mistakes += load({"a block": block if "version: 1" in block else "version: 1\n" + block})[1]
    assert len(found) == 4 and not mistakes, "\n".join(map(str, mistakes))
