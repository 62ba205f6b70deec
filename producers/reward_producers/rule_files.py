"""Files of alert rules on disk: one, or all of a directory, read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

from reward_engine.rules.ruleset import RuleSet, load
from reward_engine.rules.source import Mistake
from reward_schemas.errors import MonitorError

DEFAULT_PACK = Path(str(files("reward_engine.rules"))) / "packs"  # a wheel's files lie on disk
_RULES, _TESTS = (".yaml", ".yml"), (".test.yaml", ".test.yml")


class RulesRefused(MonitorError):
    """Files of rules that can't be used. mistakes: each with its place and remedy; empty where the files can't be read."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "", mistakes: Iterable[Mistake] = ()) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.mistakes = list(mistakes)


def texts(*paths: Path | str) -> dict[str, str]:
    """The texts of rule files by their names; of a directory, all that end with .yaml or .yml, except the tests of rules.

    Raises RulesRefused where there are none, or one can't be read.
    """
    found: dict[str, str] = {}
    for path in map(Path, paths):
        inside = _of(path, tests=False)
        if not inside:
            raise RulesRefused("There are no rules here.", where=str(path), remedy="write them into a file that ends with .yaml")
        found |= {str(each): _read(each) for each in inside}
    return found


def bare_names(of: Mapping[str, str]) -> dict[str, str]:
    """Texts by their files' bare names, as they are published. Raises RulesRefused where two are called the same."""
    made = {Path(name).name: text for name, text in of.items()}
    if len(made) < len(of):
        raise RulesRefused(
            "Two files have the same name.", where=", ".join(of), remedy="give them different ones: a rule set has no directories"
        )
    return made


def texts_of_tests(*paths: Path | str) -> dict[str, str]:
    """The texts of the rules' tests by name: files named, or all of a directory that end with .test.yaml."""
    return {str(each): _read(each) for path in map(Path, paths) for each in ([path] if path.is_file() else _of(path, tests=True))}


def rule_set(*paths: Path | str) -> RuleSet:
    """The rules of files or directories. Raises RulesRefused with every mistake."""
    return checked(texts(*paths))


def checked(of: Mapping[str, str]) -> RuleSet:
    """The rules of these texts. Raises RulesRefused with every mistake."""
    found, mistakes = load(of)
    if found is None:
        raise refusal(mistakes)
    return found


def refusal(mistakes: list[Mistake]) -> RulesRefused:
    """All mistakes as one error."""
    number = f"{len(mistakes)} mistakes" if len(mistakes) > 1 else "a mistake"
    return RulesRefused(f"The rules have {number}:\n" + "\n".join(map(str, mistakes)), mistakes=mistakes)


def _of(path: Path, *, tests: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    names = sorted(each for each in path.iterdir() if each.name.endswith(_RULES) and not each.name.startswith("."))
    return [each for each in names if each.name.endswith(_TESTS) is tests]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RulesRefused(
            "The file is no UTF-8 text.", where=str(path), remedy=f"byte {error.start} begins no letter"
        ) from error
    except OSError as error:
        raise RulesRefused("The rules can't be read.", where=str(path), remedy=str(error.strerror)) from error
