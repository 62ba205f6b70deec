"""The worker: decode, place, add, judge, emit. A Faust agent over fetched chunks of the events topic.

    python -m reward_jobs.aggregate [--config FILE]

The state of a partition is the pure fold of its prefix. At assignment it comes from the newest valid snapshot and goes on
at the offset after it, never at the committed one; committed offsets only show the lag. So it doesn't matter when the
process dies: its successor folds the same records again and emits the same results.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from reward_producers.kafka import entered
from reward_producers.kafka_errors import KafkaUnreachable
from reward_schemas.errors import MonitorError
from reward_schemas.topics import EVENTS

from reward_jobs import groups, logs
from reward_jobs.chunks import EXIT_FATAL, ChunkApp, chunk_app, leave, run, source_topic
from reward_jobs.settings import EXIT_CONFIGURATION, Settings, of_process
from reward_jobs.worker import Worker

log = logging.getLogger("reward_jobs.aggregate")

_ENTER_S = 30.0  # the longest wait for Kafka at the start


def app(settings: Settings) -> ChunkApp:
    """The Faust app of a worker."""
    worker = Worker(settings.kafka, settings.jobs.data_dir, settings.jobs.snapshot_s)
    app = chunk_app(groups.AGGREGATE, settings.kafka, EVENTS, settings.jobs.data_dir, worker.assign)

    @app.agent(source_topic(app), concurrency=1)
    async def aggregate(stream: Any) -> None:
        try:
            async for chunks in stream.noack_take(16, within=0.05):
                for chunk in chunks:
                    if chunk.message.generation_id == app.consumer_generation_id:
                        await worker.take(chunk.message.partition, chunk.value)
                    await stream.ack(chunk)  # the lag's display; where we go on is the snapshots' business
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("infrastructure failed")
            leave(EXIT_FATAL, "leaving unacknowledged; the next worker folds the same records again")

    app.task(worker.tick)
    app.task(worker.follow_rules)
    app.on_before_shutdown.connect(lambda _sender, **_: worker.store_all(), weak=False)  # type: ignore[arg-type]  # `**_` has it
    return app


def main() -> None:
    """Runs a worker until SIGTERM; exit code 70 where Kafka does not answer, 78 where a restart won't mend it."""
    settings = of_process("reward_jobs.aggregate", "Folds reward events into results.")
    logs.configure()
    try:
        entered(settings.kafka, _ENTER_S)
        run(lambda: app(settings))
    except MonitorError as error:
        leave(EXIT_FATAL if isinstance(error, KafkaUnreachable) else EXIT_CONFIGURATION, str(error))


if __name__ == "__main__":
    main()
