"""Whether what the documents name exists: linked files and headings, paths, make targets, commands with their options, modules.

    python scripts/check_docs.py [FILE.md ...]        by default README, CONTRIBUTING and everything below docs/

A path is what stands in backticks and ends like a source file, or starts with a folder of the repository. A command is a
line of a code block, or what stands in backticks, that starts with make, reward-monitor or python.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"\.?[\w*][\w.*-]*(/[\w.*-]+)*/?")
_SOURCE = (".md", ".proto", ".py", ".sql", ".toml")
_TARGET = re.compile(r"^([a-z][\w-]*):", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Z_]+=")
_WORD = re.compile(r"[a-z][a-z0-9_-]*")


def documents(root: Path = ROOT) -> list[Path]:
    """The documents that speak of the tree as it is; CHANGELOG speaks of what was."""
    return [path for path in (*sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md"))) if path.name != "CHANGELOG.md"]


def problems(document: Path, root: Path = ROOT) -> list[str]:
    """What a document names and the tree lacks, each with its line."""
    text = document.read_text(encoding="utf-8")
    prose = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    found = [(at, _link(target, document)) for at, target in _matches(_LINK, prose)]
    for at, code in _matches(_CODE, prose):
        found += [(at, problem) for problem in (_path(code, document, root), *_command(code, root))]
    for at, block in _matches(_FENCE, text):
        for offset, line in enumerate(block.splitlines()):
            found += [(at + 1 + offset, problem) for problem in _command(line, root)]
    return [f"{document.relative_to(root)}:{at}: {problem}" for at, problem in sorted(found, key=lambda f: f[0]) if problem]


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match[1]


def _link(target: str, document: Path) -> str:
    if re.match(r"[a-z]+:", target):
        return ""  # another site's business
    name, _, heading = target.partition("#")
    path = document.parent / name if name else document
    if not path.exists():
        return f"the link to {target} leads nowhere"
    if heading and heading not in _headings(path):
        return f"{path.name} has no heading #{heading}"
    return ""


def _headings(path: Path) -> set[str]:
    titles = re.findall(r"^#+ +(.+?) *$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _path(code: str, document: Path, root: Path) -> str:
    first, slash, _ = code.partition("/")
    if not _PATH.fullmatch(code) or {f"{first}/", f"{code.rstrip('/')}/"} & _ignored(
        root
    ):  # made by a run, as the data directory is
        return ""
    if slash and (code.endswith(_SOURCE) or (root / first).is_dir()):
        places = (place for base in (root, document.parent) for place in base.glob(code.rstrip("/")))
    elif not slash and code.endswith(_SOURCE):
        places = (place for pattern in (code, f"[!.]*/**/{code}") for place in root.glob(pattern))
    else:
        return ""
    return "" if any(True for _ in places) else f"there is no {code}"


@cache
def _ignored(root: Path) -> frozenset[str]:
    listed = root / ".gitignore"
    return frozenset(listed.read_text(encoding="utf-8").split()) if listed.exists() else frozenset()


def _command(line: str, root: Path) -> Iterator[str]:
    for part in re.split(r"&&|\|\|?|;|(?:^|\s)#.*", line.strip().removeprefix("$ ")):
        try:
            words = shlex.split(part)
        except ValueError:  # not for a shell
            words = part.split()
        while words and _ASSIGNMENT.match(words[0]):
            words = words[1:]
        match words:
            case ["make", *rest]:
                made = set(_TARGET.findall((root / "Makefile").read_text(encoding="utf-8")))
                yield from (f"make has no target {word}" for word in rest if _WORD.fullmatch(word) and word not in made)
            case ["reward-monitor", *rest]:
                yield _subcommand(rest)
            case ["python" | "python3", "-m", module, *_] if not _runs(module):
                yield f"there is no module {module} to run"
            case ["python" | "python3", script, *_] if script.endswith(".py") and not (root / script).exists():
                yield f"there is no {script}"


def _runs(module: str) -> bool:
    """Whether `python -m` finds the module, and it has something to run."""
    try:
        spec = find_spec(module)
        spec = find_spec(f"{module}.__main__") if spec and spec.submodule_search_locations else spec
    except ModuleNotFoundError:  # its package
        return False
    return bool(spec and spec.origin and "__main__" in Path(spec.origin).name + Path(spec.origin).read_text(encoding="utf-8"))


def _subcommand(words: list[str]) -> str:
    """Asks the command itself, by --help after the words before the first option; options must stand in that help."""
    from reward_monitor.cli import main

    names = []
    for word in words:
        if not _WORD.fullmatch(word):
            break
        names.append(word)
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            code: object = main([*names, "--help"])
    except SystemExit as end:
        code = end.code
    if code:
        return f"reward-monitor {' '.join(names)}: {said.getvalue().strip().splitlines()[-1]}"
    options = [word.strip("[]").split("=")[0] for word in words if re.match(r"\[?--?[a-z]", word)]
    unknown = [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", said.getvalue())]
    return f"reward-monitor {' '.join(names)} has no option {unknown[0]}" if unknown else ""


def main() -> int:
    """The exit code: 1 where something is named that isn't there."""
    named = [Path(name).resolve() for name in sys.argv[1:]] or documents()
    found = [problem for document in named for problem in problems(document)]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
