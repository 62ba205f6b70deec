"""The published false-positive rates are those of the code."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "CALIBRATION.md").read_text(encoding="utf-8")


def load():
    spec = importlib.util.spec_from_file_location("calibrate", ROOT / "scripts" / "calibrate.py")
    module = sys.modules["calibrate"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


calibrate = load()


def published() -> dict[tuple[str, str], str]:
    table = next(part for part in DOCUMENT.split("\n\n") if part.startswith("| called |"))
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return {(row[0], kind): cell for row in rows for kind, cell in zip(head[1:], row[1:], strict=True)}


@pytest.mark.parametrize("test", ["change of 5 blocks, t > 3.5", "CUSUM, pre-whitened", "outlier", "change point"])
def test_the_published_rates_are_what_the_code_gives(test: str) -> None:
    kinds = ["AR(1), 0.6", "binary, in groups"]
    assert calibrate.rates(kinds, [test]).items() <= published().items()


@pytest.mark.slow
def test_the_whole_document_is_what_the_code_gives() -> None:
    assert calibrate.document() == DOCUMENT


def test_what_detectors_rest_on_is_seldom_wrong() -> None:
    for test in ("trend of blocks", "change of 5 blocks, t > 3.5"):
        for kind in ("AR(1), 0", "AR(1), 0.3", "AR(1), 0.6", "binary, in groups"):
            share = float(re.match(r"[\d.]+", published()[test, kind])[0])
            assert share <= 0.02, (test, kind)
