"""TLS before the real engine, which can't listen with TLS itself: what a cluster's ClickHouse or the proxy before it does."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path


class TlsProxy:
    """Takes TLS connections on a port of the loopback address and hands their bytes to another port."""

    def __init__(self, certificate: Path, target_port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._listener = context.wrap_socket(
            socket.create_server(("127.0.0.1", 0)), server_side=True, do_handshake_on_connect=False
        )
        self._target_port = target_port
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: ssl.SSLSocket) -> None:
        try:
            client.do_handshake()
        except OSError:  # a client that does not trust us
            client.close()
            return
        self.connections += 1
        with client, socket.create_connection(("127.0.0.1", self._target_port)) as target:
            answers = threading.Thread(target=_hand_over, args=(target, client), daemon=True)
            answers.start()
            _hand_over(client, target)
            answers.join()


def _hand_over(source: socket.socket, target: socket.socket) -> None:
    """All bytes to the end, and then the end."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side has gone
        pass
