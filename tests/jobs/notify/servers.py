"""Real servers on the loopback address that do as a test tells them: HTTP, and a small SMTP."""

from __future__ import annotations

import json
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What an HTTP server says. pause_s: before that; trickle_s: between two bytes of it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    pause_s: float = 0.0
    trickle_s: float = 0.0


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]


class Web:
    """An HTTP server: the answers in their order, the last for ever. on_request is called before the answer."""

    def __init__(
        self, *answers: Answer, tls: ssl.SSLContext | None = None, on_request: Callable[[Request], None] | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.answers = list(answers) or [Answer()]
        self.on_request = on_request
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Request(self.path, dict(self.headers), body, time.monotonic())
                web.requests.append(request)
                answer = web.answers.pop(0) if len(web.answers) > 1 else web.answers[0]
                if web.on_request:
                    web.on_request(request)
                time.sleep(answer.pause_s)
                self.send_response(answer.status)
                for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                for byte in answer.body if answer.trickle_s else ():
                    self.wfile.write(bytes([byte]))
                    time.sleep(answer.trickle_s)
                if not answer.trickle_s:
                    self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that leaves early is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, path: str = "/hook", scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def web(*answers: Answer, **more: Any) -> Iterator[Web]:
    running = Web(*answers, **more)
    try:
        yield running
    finally:
        running.close()


class Post:
    """An SMTP server that knows EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, QUIT; `says` replaces its answer to a word."""

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        implicit: bool = False,
        starttls: bool = True,
        refused: str = "nobody",
        hangs: str = "",
        **says: str,
    ) -> None:
        self.letters: list[str] = []
        self.readers: list[str] = []
        self.logins: list[str] = []
        post = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.secure = implicit
                if implicit:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                self.lines = self.request.makefile("rb")
                self.say("220 here")
                while line := self.lines.readline().decode().strip():
                    word = line.split()[0].upper()
                    if not self.answer(word, line):
                        return

            def answer(self, word: str, line: str) -> bool:
                if word == hangs:
                    self.lines.read()  # until the client leaves
                    return False
                if word in says:
                    self.say(says[word])
                elif word == "RCPT" and refused in line:
                    self.say("550 no such reader")
                elif word == "EHLO":
                    self.say("250-here")
                    self.say("250 AUTH PLAIN" if self.secure or not starttls else "250 STARTTLS")
                elif word == "STARTTLS":
                    self.say("220 go")
                    self.request = tls.wrap_socket(self.request, server_side=True)
                    self.lines, self.secure = self.request.makefile("rb"), True
                elif word == "AUTH":
                    post.logins.append(line.rsplit(maxsplit=1)[-1])
                    self.say("235 welcome")
                elif word == "DATA":
                    self.say("354 go")
                    text = b""
                    while (part := self.lines.readline()) != b".\r\n":
                        text += part
                    post.letters.append(text.decode())
                    self.say("250 taken")
                else:
                    if word == "RCPT":
                        post.readers.append(line)
                    self.say("221 bye" if word == "QUIT" else "250 ok")
                return word != "QUIT"

            def say(self, text: str) -> None:
                self.request.sendall(text.encode() + b"\r\n")

        class Server(socketserver.ThreadingTCPServer):
            def handle_error(self, *_: object) -> None:
                """A client that leaves early is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Post:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
