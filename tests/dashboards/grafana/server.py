"""A server on the loopback address that speaks the part of Grafana's HTTP API that publishing uses, and nothing beside it.

A route or a field that it doesn't know is a failure of the test: HTTP 500, and noted in `problems`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_secret-token"
_SOURCE_FIELDS = {"name", "uid", "type", "access", "jsonData", "secureJsonData"}
_JSON_DATA = {"host", "port", "protocol", "secure", "username", "defaultDatabase", "dialTimeout", "queryTimeout", "managedBy"}
_BOARD_FIELDS = {
    "annotations", "description", "editable", "fiscalYearStartMonth", "graphTooltip", "id", "links", "panels", "refresh",
    "schemaVersion", "tags", "templating", "time", "timezone", "title", "uid", "version",
}  # fmt: skip
Answer = tuple[int, Any]


class FakeGrafana:
    """What it stores: folders by uid, data sources and dashboards (with their meta) by uid. writes: every POST and PUT.

    answers: what a path is answered with instead; plugin False: it has no ClickHouse plugin; reaches: whether ClickHouse
    lets the data source in, by its password.
    """

    def __init__(self, *, password: str = "right", prefix: str = "") -> None:
        self.folders: dict[str, str] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.boards: dict[str, dict[str, Any]] = {}
        self.metas: dict[str, dict[str, Any]] = {}
        self.passwords: dict[str, str] = {}
        self.writes: list[str] = []
        self.problems: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.before_write: Callable[[], None] = lambda: None
        self.plugin, self.password = True, password
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(None)

            def do_POST(self) -> None:
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def do_PUT(self) -> None:
                self.do_POST()

            def answer(self, body: Any) -> None:
                path = self.path.removeprefix(prefix + "/api")
                status, said = fake.answer(self.command, path, body, self.headers.get("Authorization"))
                raw = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                if status == 302:
                    self.send_header("Location", "/login")
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}{prefix}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> FakeGrafana:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, method: str, path: str, body: Any, authorization: str | None) -> Answer:
        if method != "GET":
            self.before_write()
            self.writes.append(f"{method} {path}")
        if path in self.answers:
            return self.answers[path]
        if path != "/health" and authorization != f"Bearer {TOKEN}":
            return 401, {"message": "Invalid API key"}
        for pattern, handle in _ROUTES.items():
            if found := re.fullmatch(pattern, f"{method} {path}"):
                return handle(self, body, *found.groups())
        return self.problem(f"no route {method} {path}")

    def problem(self, text: str) -> Answer:
        self.problems.append(text)
        return 500, {"message": text}

    def health(self, _: Any) -> Answer:
        return 200, {"commit": "abc", "database": "ok", "version": "13.2.3"}

    def list_folders(self, _: Any) -> Answer:
        return 200, [{"id": i, "uid": uid, "title": title} for i, (uid, title) in enumerate(self.folders.items(), 1)]

    def make_folder(self, body: Any) -> Answer:
        if body.keys() != {"title"}:
            return self.problem(f"folder {sorted(body)}")
        uid = f"made-{len(self.folders)}"
        self.folders[uid] = body["title"]
        return 200, {"id": 1, "uid": uid, "title": body["title"], "version": 1}

    def source(self, _: Any, uid: str) -> Answer:
        if uid not in self.sources:
            return 404, {"message": "Data source not found"}
        return 200, self.sources[uid] | {"id": 3, "orgId": 1, "readOnly": False, "secureJsonFields": {"password": True}}

    def make_source(self, body: Any) -> Answer:
        if body["uid"] in self.sources:
            return 409, {"message": "data source with the same uid already exists"}
        return self.keep_source(body, body["uid"])

    def keep_source(self, body: Any, uid: str) -> Answer:
        if (
            body.keys() != _SOURCE_FIELDS
            or body["jsonData"].keys() != _JSON_DATA
            or body["secureJsonData"].keys() != {"password"}
        ):
            return self.problem(f"data source {sorted(body)} {sorted(body['jsonData'])}")
        if not isinstance(body["jsonData"]["queryTimeout"], str) or not isinstance(body["jsonData"]["port"], int):
            return self.problem("a type that makes the plugin fail")
        self.sources[uid] = {key: value for key, value in body.items() if key != "secureJsonData"}
        self.passwords[uid] = body["secureJsonData"]["password"]
        return 200, {"id": 3, "message": "Datasource added", "name": body["name"], "datasource": self.sources[uid]}

    def check_source(self, _: Any, uid: str) -> Answer:
        if not self.plugin or uid not in self.sources:
            return 404, {"message": "Plugin not found"}
        if self.passwords[uid] != self.password:
            return 400, {"status": "ERROR", "message": "Authentication failed"}
        return 200, {"status": "OK", "message": "Data source is working"}

    def board(self, _: Any, uid: str) -> Answer:
        if uid not in self.boards:
            return 404, {"message": "Dashboard not found"}
        return 200, {"dashboard": self.boards[uid], "meta": self.metas[uid]}

    def keep_board(self, body: Any) -> Answer:
        if body.keys() != {"dashboard", "folderUid", "overwrite", "message"} or body["overwrite"] is not False:
            return self.problem(f"dashboard request {sorted(body)}, overwrite {body.get('overwrite')}")
        board = body["dashboard"]
        if unknown := board.keys() - _BOARD_FIELDS:
            return self.problem(f"dashboard fields {sorted(unknown)}")
        if body["folderUid"] not in self.folders:
            return 400, {"message": "folder not found"}
        uid, stored = board["uid"], self.boards.get(board["uid"])
        if stored and (board["id"], board["version"]) != (stored["id"], stored["version"]):
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        if not stored and board["id"] is not None:
            return 404, {"message": "Dashboard not found"}
        version = stored["version"] + 1 if stored else 1
        self.boards[uid] = board | {"id": stored["id"] if stored else 10 + len(self.boards), "version": version}
        self.metas[uid] = {"folderUid": body["folderUid"], "folderTitle": self.folders[body["folderUid"]], "provisioned": False}
        return 200, {
            "id": self.boards[uid]["id"],
            "uid": uid,
            "status": "success",
            "version": version,
            "slug": "x",
            "url": "/d/x",
        }


_ROUTES: dict[str, Callable[..., Answer]] = {
    r"GET /health": FakeGrafana.health,
    r"GET /folders\?limit=1000": FakeGrafana.list_folders,
    r"POST /folders": FakeGrafana.make_folder,
    r"GET /datasources/uid/([\w-]+)": FakeGrafana.source,
    r"POST /datasources": FakeGrafana.make_source,
    r"PUT /datasources/uid/([\w-]+)": lambda fake, body, uid: fake.keep_source(body, uid),
    r"GET /datasources/uid/([\w-]+)/health": FakeGrafana.check_source,
    r"GET /dashboards/uid/([\w-]+)": FakeGrafana.board,
    r"POST /dashboards/db": FakeGrafana.keep_board,
}
