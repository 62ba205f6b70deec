"""What a configuration says, and every mistake in it with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from reward_engine.rules.routes import Alertmanager, Mail, Match, PagerDuty, Slack, Terminal, Webhook, moment_ms, seconds
from reward_jobs.notify.config import declared, load
from reward_jobs.notify.matching import match_of
from reward_schemas.errors import MonitorError

from tests.jobs.notify.alerts import T0

WHOLE = """
routes:
- match: {severity: critical, labels: {team: rl}}
  to: [pd, team]
  group_by: [project, labels.team]
  group_wait: 0s
  continue: true
- to: [log]
receivers:
  pd: {type: pagerduty, key: {file: /run/secrets/pd}, max_per_hour: 20}
  team: {type: slack, url: {env: SLACK_WEBHOOK_URL}}
  hook: {type: webhook, url: "https://hooks.example.org/x", token: {env: T}, format: alertmanager}
  mail: {type: email, host: mail.example.org, from: m@example.org, to: [a@example.org], user: m, password: {env: P}}
  am: {type: alertmanager, url: "http://am:9093", allow_private: true}
  log: {type: terminal}
silences:
- {match: {rule: "kl-*"}, until: "2026-12-01T00:00Z", comment: known}
- {match: {run: r1}, until: resolved}
allow_hosts: ["*.example.org", am]
"""


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "notify.yaml").write_text(text)
    return tmp_path / "notify.yaml"


def test_a_whole_one(tmp_path: Path) -> None:
    config = load(written(tmp_path, WHOLE))
    assert [type(r) for r in config.receivers.values()] == [PagerDuty, Slack, Webhook, Mail, Alertmanager, Terminal]
    assert config.routes[0].go_on and config.routes[0].match == Match(severity="critical", labels={"team": "rl"})
    assert config.routes[1].repeat_interval == "4h"
    timed, bound = declared(config.silences, T0)
    assert (timed.until_ms, bound.until_ms) == (1_796_083_200_000, None)
    assert [timed.id, bound.id] == [silence.id for silence in declared(config.silences, T0 + 1)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("routes: [{to: [nobody]}]", "no such receiver: nobody; there are none"),
        ("receivers: {a: {type: slack, url: 'https://hooks.slack.com/SECRET'}}", "notify.yaml:1:35: receivers.a.url is a text"),
        ("receivers: {a: {type: pagerduty, key: {}}}", "a secret is named by one of {file: PATH} and {env: NAME}"),
        ("receivers: {a: {type: pager}}", "did you mean `pagerduty`?"),
        ("receivers: {a: {type: webhook}}", "a webhook has one of url and secret_url"),
        ("receivers: {a: {type: webhook, url: 'ftp://x'}}", "an address is needed: https://host/path"),
        ("receivers: {a: {type: webhook, url: 'https://u:SECRET@x/'}}", "a password stands in the address"),
        ("receivers: {a: {type: email, host: h, from: f, to: [t], user: u, password: {env: P}, tls: none}}", "in the clear"),
        ("receivers: {a: {type: webhook, url: 'http://x.org', token: {env: T}}}", "in the clear: https://"),
        ("receivers: {a: {type: email, host: h, from: f, to: [t], user: u}}", "user and password go together"),
        ("receivers: {a: {type: alertmanager, url: 'http://a', resend: 0s}}", "resend is 0s: write at least 1s"),
        ("receivers: {a: {type: terminal}}\nroutes: [{to: [a], group_wait: 10}]", "routes[0].group_wait is a whole number"),
        ("receivers: {a: {type: terminal}}\nroutes: [{to: [a], group_wait: soon}]", "'soon' is no duration: write `10s`"),
        ("receivers: {a: {type: terminal}}\nroutes: [{to: [a], group_by: [uid]}]", "routes[0].group_by[0] is `uid`"),
        ("receivers: {a: {type: terminal}}\nroutes: [{to: [a], repeat_interval: 1s}]", "write at least 1m"),
        ("silences: [{match: {}, until: tomorrow}]", "'tomorrow' is no time: write `2026-01-31T18:00+01:00`"),
        ("receivers: {a: {type: slack, url: {env: A}, channel: x}}", "there is no `channel` here"),
        ("- a", "the file is a list"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MonitorError) as told:
        load(written(tmp_path, text))
    assert says in str(told.value) and "SECRET" not in str(told.value)


def test_a_file_that_cant_be_read(tmp_path: Path) -> None:
    with pytest.raises(MonitorError, match="can't be read: No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(MonitorError, match="it is not text"):
        load(tmp_path / "bytes.yaml")


def test_durations_and_times() -> None:
    assert [seconds(text) for text in ("500ms", " 10 s", "2m", "4h", "1d")] == [0.5, 10, 120, 14_400, 86_400]
    for text in ("", "10", "s", "-1s", "1.5h", "10 steps", "1h30m"):
        with pytest.raises(ValueError, match="is no duration: write"):
            seconds(text)
    assert moment_ms("1970-01-01T01:00+01:00") == moment_ms("1970-01-01") == 0
    with pytest.raises(ValueError, match="is no time"):
        moment_ms("1e999")


def test_matchers() -> None:
    assert match_of(["rule=kl=*", "labels.a.b=c", "severity=info"]) == Match(rule="kl=*", labels={"a.b": "c"}, severity="info")
    for text, says in (
        ("rule", "no matcher"),
        ("rule=", "no matcher"),
        ("colour=red", "no 'colour'"),
        ("severity=bad", "no severity"),
    ):
        with pytest.raises(ValueError, match=says):
            match_of([text])
