"""Alerts for tests of the notifier, and a notifier whose clock a test sets."""

from __future__ import annotations

import itertools

import msgspec
from reward_engine.rules.routes import Notify, PagerDuty, Route, Secret, Slack, Webhook
from reward_jobs.notify.core import Notifier
from reward_jobs.notify.notice import Notice, Place
from reward_jobs.notify.state import Delivery, Silence, State
from reward_schemas.results_pb2 import Alert, Result

S, M, H = 1_000, 60_000, 3_600_000
T0 = 1_800_000_000_000
URL = "https://example.org/hook"

HOOK = Webhook(url=URL)
CHAT = Slack(url=Secret(env="CHAT"))
PAGER = PagerDuty(key=Secret(env="PAGER"))


def config(*routes: Route, **receivers: object) -> Notify:
    return Notify(routes=routes, receivers=receivers or {"hook": HOOK})


def route(*to: str, **more: object) -> Route:
    return Route(to=to or ("hook",), **more)


def notice(state: str = "firing", episode: int = 1, sequence: int = 2, **more: object) -> Notice:
    facts = {
        "partition": 0,
        "place": Place(0, sequence, 0),
        "time_ms": T0,
        "run": "r1",
        "project": "math",
        "rule": "collapse",
        "series": "format",
        "severity": "critical",
        "labels": {"team": "rl"},
        "annotations": {"summary": "format's mean is 0.04"},
        "expr": "mean < 0.1",
        "values": {"mean": 0.04},
    }
    return Notice(state=state, episode=episode, sequence=sequence, **facts | more)


def result(
    state: str, offset: int, *, run: str = "r1", rule: str = "collapse", episode: int = 1, sequence: int = 1, time_ms: int = T0
) -> bytes:
    """A message of the results topic."""
    alert = Alert(
        rule=rule, state=state, episode=episode, sequence=sequence, severity="critical", project="math", expr="mean < 0.1"
    )
    alert.names.append("mean")
    alert.values.append(float("nan"))
    return Result(partition=0, offset=offset, run_id=run, append_time_ms=time_ms, alert=alert).SerializeToString()


class Bench:
    """A notifier, and what it said to each receiver: what a person there believes to fire."""

    def __init__(self, of: Notify, now_ms: int = T0) -> None:
        self.config, self.now_ms = of, now_ms
        self.core = Notifier(of, State(), now_ms)
        self.sent: list[Delivery] = []
        self._offsets = itertools.count(1)
        self._sequences: dict[tuple, int] = {}

    def tell(self, state: str, run: str = "r1", *, episode: int = 1, ago_ms: int = 0, **more: object) -> None:
        alert = (run, more.get("rule"), more.get("series"))
        self._sequences[alert] = sequence = self._sequences.get(alert, 0) + 1
        place = Place(more.pop("epoch", 0), next(self._offsets), 0)
        of = notice(state, episode, sequence, run=run, place=place, time_ms=self.now_ms - ago_ms, **more)
        self.core.read(of, self.now_ms)

    def wait(self, ms: int, step_ms: int = S) -> list[Delivery]:
        """Lets time pass; the messages of it."""
        made: list[Delivery] = []
        until = self.now_ms + ms
        while True:
            made += self.core.tick(self.now_ms)
            if self.now_ms >= until:
                break
            self.now_ms = min(self.now_ms + step_ms, until)
        self.sent += made
        return made

    def silence(self, **more: object) -> None:
        of = Silence(**{"id": "s", "match": more.pop("match"), **more})
        self.core.silence({**self.core.state.silences, of.id: of}, self.now_ms)

    def unsilence(self) -> None:
        self.core.silence({}, self.now_ms)

    def restart(self, of: Notify | None = None) -> None:
        """As after kill -9 and a start: of all that it knows there is what was written down."""
        self.config = of or self.config
        state = msgspec.json.decode(msgspec.json.encode(self.core.state), type=State)
        self.core = Notifier(self.config, state, self.now_ms)


def told(made: list[Delivery]) -> list[tuple[str, str, str]]:
    """Receiver, run and status of every entry."""
    return [(message.receiver, entry.notice.run, entry.status) for message in made for entry in message.entries]
