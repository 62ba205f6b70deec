"""Does the generated code work under every protobuf runtime that a trainer's environment may carry?

    python scripts/protobuf_matrix.py [VERSION ...]

For each version a fresh directory takes that runtime from the package index; a new process then imports the generated
modules, checks the field numbers, reads every golden message, writes them again and meets damaged ones. Prints a table;
the exit code is 1 if a version fails. Needs the project's own environment for everything but protobuf.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("4.25.0", "4.25.*", "5.26.*", "5.29.*", "6.30.*", "6.*", "7.*")
# The C implementation is what wheels carry; the pure one is what is left on a platform without a wheel.
IMPLEMENTATIONS = ("upb", "python")

PROBE = """
import random, google.protobuf
from google.protobuf.internal import api_implementation
from reward_schemas import evolution, parse
from tests.schemas import golden

assert not evolution.compare(evolution.recorded(), evolution.snapshot()), "field numbers"
stored = golden.stored()
assert stored
if api_implementation.Type() == "python" and google.protobuf.__version__ < "6":
    # It takes -0.0 for the default and reads 0.0. The C implementation doesn't, nor the pure one from 6 on.
    stored = [golden_ for golden_ in stored if golden_[0] != "v1/event-trainer_step"]
for name, raw, said in stored:
    assert not golden.differences(name, raw, said), name
written = {f"v1/{name}": raw for name, (_, raw) in golden.written_today().items()}
for name, raw, _ in stored:
    assert not name.startswith("v1/") or written[name] == raw, f"{name} is written otherwise"
rng = random.Random(1)
for name, raw, _ in stored:
    for _ in range(200):
        damaged = bytearray(raw)
        damaged[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        parse.parse(b"r", bytes(damaged)), parse.parse(b"r", raw[: rng.randrange(len(raw))])
print(google.protobuf.__version__, api_implementation.Type(), len(stored))
"""


def check(version: str, target: Path) -> list[tuple[str, str, str]]:
    """Rows (asked, implementation, outcome) of one version; an outcome that is fine starts with "ok"."""
    install = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", str(target)]
    done = subprocess.run([*install, f"protobuf=={version}"], capture_output=True, text=True, check=False)
    if done.returncode:
        return [(version, "", f"not installed: {done.stderr.strip().splitlines()[-1]}")]
    return [(version, implementation, _probe(target, implementation)) for implementation in IMPLEMENTATIONS]


def _probe(target: Path, implementation: str) -> str:
    # The target stands before this environment's own protobuf; -W error: a runtime warns before it stops to support a gencode.
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)]),
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE], capture_output=True, text=True, env=env, cwd=ROOT, check=False
    )
    if done.returncode:
        return "FAILED: " + (done.stderr.strip().splitlines() or ["no word"])[-1]
    runtime, used, goldens = done.stdout.split()
    return f"ok, {goldens} goldens under {runtime}" if used == implementation else f"FAILED: {used} was used"


def main(versions: list[str]) -> int:
    """The exit code."""
    rows = []
    for version in versions or VERSIONS:
        with tempfile.TemporaryDirectory() as target:
            rows += check(version, Path(target))
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"{'protobuf':<10} {'implementation':<15} outcome (Python {python})")
    for version, implementation, outcome in rows:
        print(f"{version:<10} {implementation:<15} {outcome}")
    return int(any(not outcome.startswith("ok") for *_, outcome in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
