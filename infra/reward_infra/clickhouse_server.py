"""The process that is the embedded ClickHouse: the engine of libchdb, serving its own HTTP and native protocols.

    python -m reward_infra.clickhouse_server --library libchdb.so --http-port N --tcp-port N

It runs in its data directory, beside config.xml and users.xml (see embedded_clickhouse). The engine is
clickhouse-local: it opens its ports by SQL and serves while a query runs. That query reads standard input, a pipe of
which this process holds the other end; closing it on SIGTERM ends the query, and with it the engine, in order.

Exit code 0 after SIGTERM or SIGINT; 1, with the reason on stderr, if the engine ended by itself.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import threading

from .errors import InfraError
from .ports import require_free

START_QUERIES = (
    "SYSTEM START LISTEN HTTP",
    "SYSTEM START LISTEN TCP",
    "SELECT count() FROM file('-', 'LineAsString', 'line String')",
)
# Names relative to the working directory, which may be called anything.
_ARGUMENTS = ("clickhouse", "--config-file=config.xml", "--path=db", "--output-format=TSV")


class Engine:
    """The engine in a thread of this process; one for each process."""

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)
        self._library.chdb_query_cmdline.restype = ctypes.c_void_p
        self._library.chdb_result_error.restype = ctypes.c_char_p
        self._library.chdb_result_error.argtypes = [ctypes.c_void_p]
        reading, self._hold = os.pipe()
        os.dup2(reading, 0)  # standard input of the engine
        os.close(reading)
        self.error = ""
        self.thread = threading.Thread(target=self._run, name="engine")

    def _run(self) -> None:
        words = [*_ARGUMENTS, "--query=" + "; ".join(START_QUERIES)]
        argv = (ctypes.c_char_p * len(words))(*[word.encode() for word in words])
        result = self._library.chdb_query_cmdline(len(words), argv)
        if result and (error := self._library.chdb_result_error(result)):
            self.error = error.decode(errors="replace").split(", Stack trace")[0]

    def end(self) -> None:
        """Let the engine end in order, and return when it has."""
        os.close(self._hold)
        self.thread.join()


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal comes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reward_infra.clickhouse_server")
    parser.add_argument("--library", required=True)
    parser.add_argument("--http-port", type=int, required=True)
    parser.add_argument("--tcp-port", type=int, required=True)
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        # The engine would end with an empty result and no word of which port it was.
        require_free(options.http_port, "ClickHouse (HTTP)")
        require_free(options.tcp_port, "ClickHouse (native protocol)")
    except InfraError as error:
        print(error, file=sys.stderr)
        return 1
    engine = Engine(options.library)
    engine.thread.start()
    while engine.thread.is_alive() and not stop.wait(0.1):
        pass
    stopped = stop.is_set()
    engine.end()
    # Any end that nobody asked for is a failure: the engine can print an error and still return an empty result.
    if engine.error or not stopped:
        print(f"the engine ended by itself: {engine.error[:2000] or 'see the lines above'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
