"""Each kind of receiver on a real server that is up, slow, broken, full, or not what it says."""

from __future__ import annotations

import base64
import email
import email.policy
import socket
import ssl
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme
from msgspec import structs
from reward_engine.rules.routes import Alertmanager, Mail, Notify, PagerDuty, Secret, Slack, Terminal, Webhook
from reward_jobs.notify import address, post, receivers
from reward_jobs.notify import mail as mails
from reward_jobs.notify.errors import Later, Refused
from reward_jobs.notify.state import Delivery, Entry
from reward_schemas.errors import MonitorError

from tests.jobs.notify.alerts import T0, H, notice
from tests.jobs.notify.servers import Answer, Post, web

SECRET = "s3cr3t-T0K3N"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    monkeypatch.setattr(post, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(post, "_DEADLINE_S", 1.0)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    made = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    return made, str(file)


@pytest.fixture(scope="module")
def tls(ca: tuple[trustme.CA, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca[0].issue_cert("localhost").configure_cert(context)
    return context


def message(*entries: Entry, **more: object) -> Delivery:
    return Delivery(receiver="it", entries=list(entries) or [entry()], created_ms=T0, expires_ms=T0 + H, **more)


def entry(status: str = "firing", **more: object) -> Entry:
    return Entry(id=more.pop("id", "e1"), about="alert", status=status, notice=notice(status, **more), fired_ms=T0)


def send(receiver: object, *messages: Delivery, hosts: tuple[str, ...] = ("localhost",)) -> None:
    out = receivers.senders(Notify(receivers={"it": receiver}, allow_hosts=hosts))["it"]
    for each in messages or (message(),):
        out(each)


def hook(url: str, **more: object) -> Webhook:
    return Webhook(url=url, allow_private=True, **more)


def test_a_webhook_gets_json_its_key_and_the_token() -> None:
    with web() as server:
        send(hook(server.url(), token=Secret(env="THE_SECRET")), message(), message(entry("resolved", sequence=3)))
    first, second = server.requests
    assert first.headers["Authorization"] == f"Bearer {SECRET}"
    assert first.key == first.json["key"] != second.key
    (alert,) = first.json["alerts"]
    assert alert | {"status": "firing", "run": "r1", "rule": "collapse", "values": {"mean": 0.04}, "sequence": 2} == alert
    assert first.json["title"] == "FIRING: critical · collapse · math/r1 · format"
    assert second.json["alerts"][0]["status"] == "resolved"


def test_alertmanagers_payload() -> None:
    with web() as server:
        send(hook(server.url(), format="alertmanager"), message(entry(), entry("resolved"), entry(id="e2", run="r2")))
    payload = server.requests[0].json
    assert (payload["version"], payload["status"], payload["receiver"]) == ("4", "firing", "it")
    assert payload["commonLabels"]["alertname"] == "collapse" and "run" not in payload["commonLabels"]
    assert [(alert["labels"]["run"], alert["status"]) for alert in payload["alerts"]] == [("r1", "resolved"), ("r2", "firing")]
    assert [alert["endsAt"].startswith("0001") for alert in payload["alerts"]] == [False, True]


def test_an_alertmanager_is_told_until_when_it_fires() -> None:
    receiver = {"resend": "1m", "allow_private": True}
    with web() as server:
        send(Alertmanager(url=server.url("/am/"), **receiver), message(entry(labels={"a.b": "1"})), message(entry("resolved")))
    fires, resolved = (request.json[0] for request in server.requests)
    assert server.requests[0].path == "/am/api/v2/alerts"
    assert fires["labels"] == {"alertname": "collapse", "project": "math", "run": "r1", "series": "format"} | {
        "severity": "critical", "about": "alert", "a_b": "1",
    }  # fmt: skip
    assert (
        fires["endsAt"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 200))
        and resolved["endsAt"] == "2027-01-15T08:00:00.000Z"
    )
    assert fires["annotations"]["summary"] == "format's mean is 0.04"


def test_slack_gets_a_text_in_which_nothing_is_a_command(tmp_path: Path) -> None:
    annotations = {"summary": "<!channel> a & b\nnext \x1b[31m"}
    with web() as server:
        (tmp_path / "url").write_text(server.url("/services/T0/B0") + "\n")
        send(Slack(url=Secret(file=str(tmp_path / "url")), allow_private=True), message(entry(annotations=annotations)))
    (request,) = server.requests
    assert request.path == "/services/T0/B0"
    assert request.json["text"] == (
        "*FIRING: critical · collapse · math/r1 · format*\n&lt;!channel&gt; a &amp; b next [31m (at step 0)"
    )


def test_pagerduty_has_an_incident_of_each_episode() -> None:
    with web(Answer(202)) as server:
        pager = PagerDuty(key=Secret(env="THE_SECRET"), url=server.url("/v2/enqueue"), allow_private=True)
        many = message(entry(id="e1"), entry(id="e2", run="r2", severity="warning"), kind="flood")
        send(pager, message(), message(entry("resolved")), many, message(entry("resolved"), kind="over", of=many.key))
    trigger, resolve, summary, over = (request.json for request in server.requests)
    assert (trigger["routing_key"], trigger["event_action"], trigger["dedup_key"]) == (SECRET, "trigger", "e1")
    assert trigger["payload"]["severity"] == "critical" and trigger["payload"]["source"] == "r1"
    assert resolve == {"routing_key": SECRET, "event_action": "resolve", "dedup_key": "e1"}
    assert summary["dedup_key"] == many.key and summary["payload"]["summary"].startswith(
        "More than may be sent one by one: 2 firing"
    )
    assert (over["event_action"], over["dedup_key"]) == ("resolve", many.key)


def test_the_terminal_shows_a_long_message_in_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    send(Terminal(), message(*(entry(id=str(n), run=f"r{n}") for n in range(50)), held_until_ms=T0 + H))
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "50 firing · collapse" and len(shown) == 23
    assert shown[1] == "  FIRING: critical · collapse · math/r0 · format: format's mean is 0.04 (at step 0)"
    assert shown[-2] == "  and 30 more" and "2027-01-15T09:00:00.000Z follows in one" in shown[-1]


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (Answer(500, body=b"boom"), Later, "HTTP 500: boom"),
        (Answer(503, {"Retry-After": "7"}), Later, "HTTP 503"),
        (Answer(408), Later, "HTTP 408"),
        (Answer(404, body=b"no such hook"), Refused, "HTTP 404: no such hook"),
        (Answer(413), Refused, "HTTP 413"),
        (Answer(400, body=f"bad token {SECRET}".encode()), Refused, "bad token [secret]"),
        (Answer(302, {"Location": "/elsewhere"}), Refused, "sends elsewhere, which is not followed"),
        (Answer(pause_s=1.0), Later, "didn't answer in 0.5 s"),
        (Answer(500, body=b"x" * 60, trickle_s=0.1), Later, "HTTP 500: xxxxx"),
    ],
)
def test_what_an_answer_means(answer: Answer, kind: type[Exception], says: str) -> None:
    with web(answer) as server:
        began = time.monotonic()
        with pytest.raises(kind) as failed:
            send(hook(server.url(), token=Secret(env="THE_SECRET")))
        assert time.monotonic() - began < 3.0
    assert says in str(failed.value) and SECRET not in repr(failed.value)
    assert [request.path for request in server.requests] == ["/hook"]  # a redirect was not followed


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("7", 7, 7), ("999999", 3_600, 3_600), ("soon", 0, 0), ("-5", 0, 0), ("a date", 80, 101)],
)
def test_retry_after_is_honoured_within_an_hour(text: str, low: float, high: float) -> None:
    text = formatdate(time.time() + 100, usegmt=True) if text == "a date" else text
    with web(Answer(429, {"Retry-After": text})) as server, pytest.raises(Later) as failed:
        send(hook(server.url()))
    assert low <= failed.value.after_s <= high


def test_an_endless_answer_is_read_to_a_bound() -> None:
    with web(Answer(500, {"Content-Length": "100000000000"}, body=b"x" * 100_000)) as server, pytest.raises(Later) as failed:
        send(hook(server.url()))
    assert len(str(failed.value)) < 300


def test_a_server_that_is_down() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Later, match=r"no connection to localhost:\d+: Connection refused"):
            send(hook(f"http://localhost:{unused.getsockname()[1]}/"))
    with pytest.raises(Later, match=r"nowhere\.invalid can't be resolved"):
        send(hook("http://nowhere.invalid/"), hosts=("*.invalid",))


def test_tls_is_checked(ca: tuple[trustme.CA, str], tls: ssl.SSLContext) -> None:
    with web(tls=tls) as server:
        send(hook(server.url(scheme="https"), ca_file=ca[1]))
        with pytest.raises(Later, match="certificate of localhost is not to be trusted"):
            send(hook(server.url(scheme="https")))
    assert len(server.requests) == 1


def test_a_host_has_to_be_allowed_and_not_private() -> None:
    with web() as server:
        with pytest.raises(Refused, match="host localhost is not among allow_hosts"):
            send(hook(server.url()), hosts=("example.org", "*.localhost"))
        with pytest.raises(Refused, match=r"localhost has the address .*, which is loopback: allow_private"):
            send(Webhook(url=server.url()))
    assert server.requests == []


@pytest.mark.parametrize(
    ("ip", "why", "even_if_allowed"),
    [
        ("93.184.216.34", None, False),
        ("2606:2800:220:1::1", None, False),
        ("10.0.0.1", "private", False),
        ("100.64.0.1", "private", False),
        ("192.168.1.1", "private", False),
        ("127.0.0.2", "loopback", False),
        ("::1", "loopback", False),
        ("::ffff:127.0.0.1", "loopback", False),
        ("::ffff:10.0.0.1", "private", False),
        ("64:ff9b::a00:1", "private", False),
        ("2002:a00:1::1", "private", False),
        ("fd12::1", "private", False),
        ("169.254.169.254", "metadata", True),
        ("::ffff:169.254.169.254", "metadata", True),
        ("64:ff9b::a9fe:a9fe", "metadata", True),
        ("fd00:ec2::254", "metadata", True),
        ("fe80::1%eth0", "metadata", True),
        ("0.0.0.0", "no host", True),
        ("255.255.255.255", "no host", True),
        ("224.0.0.1", "no host", True),
    ],
)
def test_addresses(ip: str, why: str | None, even_if_allowed: bool) -> None:
    found = address.objection(ip, private=False)
    assert (found is None) if why is None else (why in (found or ""))
    assert (address.objection(ip, private=True) is not None) == even_if_allowed


def test_a_name_that_changes_its_address_is_connected_to_the_one_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])

    def rebinding(host: str, port: int, **_: object) -> list:
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    tried: list[tuple] = []

    def connect(self: socket.socket, to: tuple) -> None:
        tried.append(to)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(address.socket.socket, "connect", connect)
    with pytest.raises(Later):
        send(Webhook(url="http://rebinds.example/"), hosts=("rebinds.example",))
    assert (looked_up, tried) == (["rebinds.example"], [("93.184.216.34", 80)])
    with pytest.raises(Refused, match="loopback"):
        send(Webhook(url="http://rebinds.example/"), hosts=("rebinds.example",))
    assert len(tried) == 1


def test_an_address_that_is_a_secret_is_in_no_error(tmp_path: Path) -> None:
    file = tmp_path / "url"
    receiver = Slack(url=Secret(file=str(file)), allow_private=True)
    for text in (
        "http://localhost:1/TOPSECRET",
        "TOPSECRET",
        "http://TOPSECRET@localhost/",
        "http://localhost/TOP SECRET",
        "http://[TOPSECRET",
    ):
        file.write_text(text)
        with pytest.raises((Refused, Later)) as failed:
            send(receiver)
        assert "SECRET" not in repr(failed.value) and "SECRET" not in repr(receiver)
        assert failed.value.__cause__ is None


def test_secrets_are_needed_at_the_start_and_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MonitorError, match=r"variable is not set\. \(NO_SUCH\)"):
        send(hook("https://localhost/", token=Secret(env="NO_SUCH")))
    file = tmp_path / "token"
    for text in ("SECRET\nX-Evil: 1", "SECRÉT", "SECRET\x00"):
        file.write_text(text)
        with pytest.raises(MonitorError, match="characters that can't be sent") as failed:
            send(hook("https://localhost/", token=Secret(file=str(file))))
        assert "SECR" not in str(failed.value)
    file.write_text("one\n")
    with web() as server:
        out = receivers.senders(
            Notify(receivers={"it": hook(server.url(), token=Secret(file=str(file)))}, allow_hosts=("localhost",))
        )["it"]
        out(message())
        file.write_text("two\n")
        out(message())
        file.unlink()
        with pytest.raises(Later, match="could not be read"):
            out(message())
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer one", "Bearer two"]


def mail(port: int, ca_file: str, **more: object) -> Mail:
    facts = {
        "host": "localhost",
        "sender": "monitor@example.org",
        "to": ("ada@example.org", "bob@example.org"),
        "allow_private": True,
    }
    return Mail(port=port, ca_file=ca_file, **facts | more)


def test_mail_over_starttls_with_a_login(ca: tuple[trustme.CA, str], tls: ssl.SSLContext) -> None:
    with Post(tls) as server:
        sent = message(entry(), entry(id="e2", run="r2"))
        send(mail(server.port, ca[1], user="ada", password=Secret(env="THE_SECRET")), sent)
    (text,) = server.letters
    letter = email.message_from_string(text, policy=email.policy.default)
    assert (letter["Subject"], letter["To"]) == ("2 firing · collapse", "ada@example.org, bob@example.org")
    assert letter["Message-ID"] == f"<{sent.key}@reward-monitor>"
    assert "math/r2 · format: format's mean is 0.04 (at step 0)" in letter.get_content()
    assert [base64.b64decode(login) for login in server.logins] == [f"\0ada\0{SECRET}".encode()]
    assert len(server.readers) == 2


def test_mail_under_tls_and_in_the_clear(ca: tuple[trustme.CA, str], tls: ssl.SSLContext) -> None:
    with Post(tls, implicit=True) as server:
        send(mail(server.port, ca[1], tls="tls"))
    with Post(tls, starttls=False) as clear:
        send(mail(clear.port, "", tls="none"))
        with pytest.raises(Later, match="offers no STARTTLS; nothing was sent"):
            send(mail(clear.port, ""))
    with Post(tls) as unknown, pytest.raises(Later, match="certificate of localhost is not to be trusted"):
        send(mail(unknown.port, ""))
    assert (len(server.letters), len(clear.letters), unknown.letters) == (1, 1, [])


@pytest.mark.parametrize(
    ("says", "kind", "text"),
    [
        ({"RCPT": "550 no such reader"}, Refused, "takes no mail for any of the readers: 550"),
        ({"RCPT": "450 greylisted"}, Later, "450"),
        ({"MAIL": "451 later"}, Later, "SMTP 451: later"),
        ({"DATA": "554 spam"}, Refused, "SMTP 554: spam"),
        ({"AUTH": f"535 wrong: {SECRET}"}, Refused, "SMTP 535: wrong: [secret]"),
    ],
)
def test_what_a_mail_server_says(
    ca: tuple[trustme.CA, str], tls: ssl.SSLContext, says: dict[str, str], kind: type[Exception], text: str
) -> None:
    with Post(tls, **says) as server:
        with pytest.raises(kind) as failed:
            send(mail(server.port, ca[1], user="ada", password=Secret(env="THE_SECRET")))
        assert text in str(failed.value)
    assert server.letters == []


def test_a_reader_who_is_refused_keeps_no_other_from_the_mail(
    ca: tuple[trustme.CA, str], tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    with Post(tls, refused="bob") as server:
        send(mail(server.port, ca[1]))
    assert len(server.letters) == 1 and len(server.readers) == 1
    assert "for all but 1 of 2 readers" in caplog.text


@pytest.mark.parametrize("word", ["EHLO", "DATA"])  # before STARTTLS, and after it
def test_a_mail_server_that_hangs_is_left(
    ca: tuple[trustme.CA, str], tls: ssl.SSLContext, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mails, "_DEADLINE_S", 0.3)
    says = "localhost broke off: SMTPServerDisconnected"  # a time-out would be TimeoutError
    with Post(tls, hangs=word) as server, pytest.raises(Later, match=says):
        send(mail(server.port, ca[1]))


def test_who_has_the_mail_has_it_however_rude(ca: tuple[trustme.CA, str], tls: ssl.SSLContext) -> None:
    with Post(tls, QUIT="451 stay") as server:
        send(mail(server.port, ca[1]))
    assert len(server.letters) == 1


def test_nothing_in_an_alert_makes_a_header() -> None:
    evil = entry(rule="a\r\nBcc: eve@example.org", run="r\u2028x")
    from reward_jobs.notify.mail import letter

    made = letter(mail(25, ""), message(evil))
    assert made["Bcc"] is None and made["Subject"] == "FIRING: critical · a Bcc: eve@example.org · math/r x · format"


def test_what_is_sent_is_the_same_at_each_attempt() -> None:
    one = message(entry(), held_until_ms=None)
    assert one.key == structs.replace(one, created_ms=T0 + 5).key != message(entry(sequence=3)).key
