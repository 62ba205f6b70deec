"""How a job logs: one line an event to stderr, ours from INFO, the clients' from WARNING and sparsely."""

from __future__ import annotations

import logging

from reward_producers.sparse import Sparse

_CLIENTS = ("aiokafka", "faust", "mode", "asyncio", "clickhouse_connect")


def configure() -> None:
    """Sets up the process's logging. Call once, first."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_Clients())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("reward_jobs").setLevel(logging.INFO)


class _Clients(Sparse):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.name.startswith(_CLIENTS) or super().filter(record)
