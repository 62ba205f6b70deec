"""Java's class cache for Kafka: what a broker loads, parsed and linked ahead of time: a start is a second shorter.

It is made by one training start with the real flags and jars. Java ignores it, safely, when the runtime, the flags or a
jar differ; damage inside is not noticed, so it is written by rename and its name says what it was made for.
"""

from __future__ import annotations

import hashlib
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from .cache import workplace
from .embedded_kafka import JAVA_FLAGS, EmbeddedKafka, Programs
from .machine import java_identity
from .ports import Ports

_READY_TIMEOUT_S = 120
_END_TIMEOUT_S = 180


def file_name(lock_hash: str) -> str:
    """The name of the class cache for this runtime, these flags and the jars of this lock."""
    made_for = "\n".join((java_identity(), *JAVA_FLAGS, lock_hash))
    return f"kafka-{hashlib.sha256(made_for.encode()).hexdigest()[:12]}.aot"


def train(programs: Programs, cache: Path, target: Path) -> str | None:
    """Start a broker once and let Java write `target` as it ends; return None, or why there is no class cache.

    A missing class cache costs a second at each start and nothing else, so it is told, not raised.
    """
    ports = Ports(None, cache / "ports")
    with workplace(cache, "train") as place:
        try:
            chosen = ports.choose({"kafka": 29292, "controller": 29293})
            broker = EmbeddedKafka(replace(programs, class_cache=None), place, chosen["kafka"], chosen["controller"])
            broker.prepare()
            if problem := _run_once(broker, place):
                return problem
            (place / "trained.aot").replace(target)
        finally:
            ports.release()
    return None


def _run_once(broker: EmbeddedKafka, place: Path) -> str | None:
    ready = broker.part().ready
    assert ready is not None
    with (place / "out").open("w+b") as out:
        argv = broker.argv(flags=("-XX:AOTCacheOutput=trained.aot",))
        process = subprocess.Popen(argv, cwd=place, env=broker.env(), stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + _READY_TIMEOUT_S
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    out.seek(0)
                    return f"the training broker did not get ready: {out.read()[-500:].decode(errors='replace')}"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            process.wait(_END_TIMEOUT_S)  # Java writes the cache as it ends, which takes seconds
        except subprocess.TimeoutExpired:
            return f"the training broker did not end within {_END_TIMEOUT_S} s"
        finally:
            process.kill()
            process.wait()
    return None if (place / "trained.aot").exists() else "Java wrote no class cache"
