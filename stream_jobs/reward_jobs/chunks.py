"""The one module that knows Faust's and aiokafka's insides: a consumer that hands over fetched chunks.

Faust's own path costs 160-200 us a message in asyncio work. Here one Faust event is one fetched chunk of a partition,
undecoded, and the cost a message is 6 us. What is overridden is internal, hence the exact pins of both packages.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

# Before Faust is imported and before an app is made; otherwise parts of it hold another loop, and it hangs.
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

import faust  # noqa: E402
from faust.serializers import codecs  # noqa: E402
from faust.transport.drivers import aiokafka as driver  # noqa: E402
from faust.types import TP  # noqa: E402
from reward_producers.kafka_settings import Kafka  # noqa: E402
from reward_schemas.settings import secret  # noqa: E402

Assign = Callable[[set[int]], Awaitable[dict[int, int]]]

EXIT_FATAL = 70

_FETCH_BYTES = 4 * 1024 * 1024


class _Records(codecs.Codec):
    """Records pass through as they were fetched."""

    def loads(self, value: Any) -> Any:
        return value

    def dumps(self, value: Any) -> Any:
        return value


codecs.register("records", _Records())


class _Consumer(driver.Consumer):
    """Fetches chunks; after every rebalance it asks the app where each of its partitions goes on."""

    app: ChunkApp

    async def seek_to_committed(self) -> dict[TP, int]:
        committed = dict(await super().seek_to_committed())
        assigned = {tp.partition: tp for tp in self.assignment() if tp.topic == self.app.source}
        own = {assigned[p]: offset for p, offset in (await self.app.assign(set(assigned))).items()}
        await self._thread.seek_wait(own)
        return {**committed, **own}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:
            # As in the original: these records were taken off aiokafka's position already, so go back.
            await self.perform_seek()
            return
        for tp, chunk in records.items():
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return
            if active is None or tp in active:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                message = self._to_message(tp, chunk[-1])
                message.key, message.value = None, chunk  # type: ignore[assignment]  # passed through `_Records`, as it is
                yield tp, message


class _Transport(driver.Transport):
    Consumer = _Consumer


class ChunkApp(faust.App):
    """A Faust app over the chunks of one topic. `assign` says where each newly assigned partition goes on."""

    source: str
    assign: Assign


def chunk_app(name: str, kafka: Kafka, source: str, datadir: Path, assign: Assign) -> ChunkApp:
    """The app, quiet and without Tables, web server or leader topic: its state is the snapshots' business."""
    app = ChunkApp(
        name,
        broker=";".join(f"kafka://{broker}" for broker in kafka.brokers.split(",")),
        broker_credentials=_credentials(kafka),
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        datadir=str(datadir),
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        worker_redirect_stdouts=False,
        stream_wait_empty=False,
        stream_recovery_delay=0,
        stream_buffer_maxsize=8,  # chunks
        broker_session_timeout=8,
        broker_heartbeat_interval=2,
        broker_request_timeout=20,
        broker_rebalance_timeout=20,
        broker_max_poll_interval=60,
        broker_commit_interval=1.0,
        broker_max_poll_records=500,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        consumer_metadata_max_age_ms=30_000,
        producer_max_request_size=_FETCH_BYTES + 65_536,
    )
    app.transport = _Transport(app.conf.broker_consumer, app)
    app.source, app.assign = source, assign
    return app


def _credentials(kafka: Kafka) -> Any:
    """Faust's form of the keys to the cluster; None for none. They are known to fit: `kafka.entered` has used them."""
    context = kafka.tls_context()
    if kafka.sasl and kafka.sasl_password_file:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=secret(kafka.sasl_password_file),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def source_topic(app: ChunkApp) -> Any:
    """The topic whose events are chunks: lists of aiokafka records."""
    return app.topic(app.source, key_type=bytes, value_type=None, key_serializer="raw", value_serializer="records")


def run(app_of: Callable[[], ChunkApp]) -> None:
    """Makes the app on a loop of its own and runs it as a worker until SIGTERM or SIGINT; exits the process."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = faust.Worker(app_of(), override_logging=False, loop=loop)
    worker.spinner = None
    worker.execute_from_commandline()


def leave(code: int, message: str) -> None:
    """Ends the process at once, unacknowledged: what it held is folded again by its successor."""
    logging.getLogger(__name__).critical(message)
    logging.shutdown()
    os._exit(code)
