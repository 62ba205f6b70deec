"""The writer of the results topic: results lie in the partition of their source, in its order."""

from __future__ import annotations

from reward_producers.kafka import KafkaException, Message, producer
from reward_producers.kafka_settings import Kafka
from reward_schemas.results_pb2 import Result
from reward_schemas.topics import RESULTS


class ResultsWriter:
    """Writes results; what the broker has not taken is known at the next call."""

    def __init__(self, kafka: Kafka | str) -> None:
        # No time-out: while the broker is down results wait here, and the fold behind them.
        self._producer = producer(kafka, linger_ms=5, message_timeout_ms=0)
        self._refused: object = None

    @property
    def backlog(self) -> int:
        """How many results the broker has not taken yet."""
        return len(self._producer)

    def write(self, partition: int, results: list[Result]) -> None:
        """Hands results over for sending; waits while the queue is full."""
        for result in results:
            value = result.SerializeToString(deterministic=True)  # maps have no order of their own
            while True:
                try:
                    self._producer.produce(RESULTS, value, result.run_id.encode(), partition, on_delivery=self._delivered)
                    break
                except BufferError:
                    self._producer.poll(0.1)

    def poll(self) -> None:
        """Serves delivery reports; raises KafkaException if the broker has refused a result."""
        self._producer.poll(0)
        if self._refused is not None:
            raise KafkaException(self._refused)

    def flush(self) -> None:
        """Waits until the broker has every result; raises KafkaException if it refused one."""
        self._producer.flush()
        self.poll()

    def _delivered(self, error: object, _: Message) -> None:
        if error is not None:
            self._refused = error
