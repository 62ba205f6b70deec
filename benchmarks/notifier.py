"""How long an alert takes from the broker to a webhook on the loopback address: the real broker, the real process.

    python benchmarks/notifier.py [--alerts 500]

From handing a message to Kafka's producer to the request's arrival. Its route waits for nothing (group_wait: 0s); between two
alerts there is a pause of random length. The broker and this program share the machine's cores.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
from reward_infra.embedded_kafka import EmbeddedKafka
from reward_infra.fetch import fetch
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_infra.topics import ensure
from reward_producers.kafka import admin, producer
from reward_schemas.results_pb2 import Alert, Result
from reward_schemas.topics import RESULTS, catalogue

CONFIG = """
routes: [{{to: [hook], group_by: [run], group_wait: 0s, group_interval: 0s}}]
receivers: {{hook: {{type: webhook, url: "http://localhost:{port}/", allow_private: true, max_per_hour: 10000}}}}
allow_hosts: [localhost]
"""
_ARRIVED: queue.SimpleQueue[float] = queue.SimpleQueue()


class Hook(BaseHTTPRequestHandler):
    """Notes when a request came."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        _ARRIVED.put(time.perf_counter())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def main() -> None:
    """Prints the quantiles and what the notifier took for them."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--alerts", type=int, default=500)
    given = arguments.parse_args()
    installed = fetch()
    chosen = Ports(None, installed.cache / "ports").choose({"kafka": 29892, "controller": 29893})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        broker = EmbeddedKafka(installed.kafka(), home / "kafka", chosen["kafka"], chosen["controller"])
        broker.prepare()
        (home / "notify.yaml").write_text(CONFIG.format(port=server.server_address[1]))
        with Supervisor([broker.part()], home / "logs") as supervisor:
            supervisor.start()
            ensure(admin(broker.brokers), catalogue(8), broker.brokers)
            jobs = {"DATA_DIR": home / "data", "NOTIFY_CONFIG": home / "notify.yaml"}
            environment = {f"REWARD_MONITOR_JOBS_{name}": str(path) for name, path in jobs.items()}
            environment |= {**os.environ, "REWARD_MONITOR_KAFKA_BROKERS": broker.brokers}
            process = subprocess.Popen([sys.executable, "-m", "reward_jobs.notify"], env=environment, stderr=subprocess.DEVNULL)
            measure(broker.brokers, given.alerts, psutil.Process(process.pid))
            process.terminate()
            process.wait()


def measure(brokers: str, alerts: int, watched: psutil.Process) -> None:
    """Sends alerts one by one and waits for each."""
    out, pause, took = producer(brokers, linger_ms=0), random.Random(0), []  # noqa: S311 - pauses
    for number in range(-10, alerts):  # the first ones find everything cold
        alert = Alert(
            rule="collapse", state="firing", episode=1, sequence=1, severity="critical", project="math", expr="mean < 0.1"
        )
        result = Result(
            partition=0, offset=number + 11, run_id=f"r{number}", append_time_ms=round(time.time() * 1000), alert=alert
        )
        began = time.perf_counter()
        out.produce(RESULTS, result.SerializeToString(), result.run_id, 0)
        out.poll(0)
        took.append(_ARRIVED.get(timeout=30) - began)
        if number == 0:
            cpu = sum(watched.cpu_times()[:2])
        time.sleep(pause.uniform(0.0, 0.1))
    cpu = sum(watched.cpu_times()[:2]) - cpu
    quantiles = statistics.quantiles(took[10:], n=100)
    memory = watched.memory_info().rss // 1_000_000
    print(
        f"alerts {alerts}  p50 {1e3 * quantiles[49]:.1f} ms  p99 {1e3 * quantiles[98]:.1f} ms  max {1e3 * max(took[10:]):.1f} ms"
    )
    print(f"cpu {1e3 * cpu / alerts:.1f} ms an alert  rss {memory} MB")


if __name__ == "__main__":
    main()
