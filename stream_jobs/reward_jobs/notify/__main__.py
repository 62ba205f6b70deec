"""The job: tells people of alerts, until SIGTERM.

python -m reward_jobs.notify [--config FILE]
"""

from __future__ import annotations

import logging
import signal
import sqlite3
import sys

from reward_producers.kafka import KafkaException
from reward_producers.kafka_errors import KafkaUnreachable
from reward_schemas.errors import MonitorError

from reward_jobs import logs
from reward_jobs.notify.job import Job
from reward_jobs.settings import EXIT_CONFIGURATION, of_process

log = logging.getLogger("reward_jobs.notify")

EXIT_OK, EXIT_FATAL = 0, 70


def main() -> int:
    """Exit code 0 after SIGTERM, 70 after an error of Kafka or the disk, 78 where a restart won't mend it."""
    settings = of_process("reward_jobs.notify", "Tells people of alerts.")
    logs.configure()
    try:
        job = Job(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: job.stop())
        job.run()
        return EXIT_OK
    except (KafkaUnreachable, KafkaException) as error:
        log.error("%s", f"Kafka: {error.args[0].str()}" if isinstance(error, KafkaException) else error)
        return EXIT_FATAL
    except sqlite3.Error as error:
        log.error("the notifier's file in %s: %s", settings.jobs.data_dir, error)
        return EXIT_FATAL
    except MonitorError as error:
        log.error("%s", error)
        return EXIT_CONFIGURATION


if __name__ == "__main__":
    sys.exit(main())
