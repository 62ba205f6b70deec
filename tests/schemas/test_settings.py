"""Settings from the environment and a YAML file: who wins, every mistake at once, and nothing read otherwise than written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct
from reward_jobs.settings import Settings
from reward_producers.kafka_settings import Kafka, OfTrainer, of_environment
from reward_schemas.errors import MonitorError
from reward_schemas.settings import DEFAULT, PREFIX, SettingsError, declared, load, readable, secret, variables
from reward_schemas.settings_yaml import FILE_BYTES_MAX

pytestmark = pytest.mark.pure


class Door(Struct, frozen=True, kw_only=True):
    """A section of a test's own, with each kind of value."""

    name: Annotated[str, Meta(pattern="^[a-z]*$", title="small letters", description="what it is called")] = "door"
    count: Annotated[int, Meta(ge=1, le=9)] = 3
    share: Annotated[float, Meta(gt=0)] = 0.5
    open: bool = False
    kind: Annotated[Literal["in", "out"], Meta(description="the way")] = "in"
    http_port: int = 80
    file: Path | None = None
    key_password_file: Path | None = None

    def __post_init__(self) -> None:
        if self.open and self.file is None:
            raise ValueError("open needs file")


class House(Struct, frozen=True, kw_only=True):
    """Two sections."""

    door: Door = Door()
    gate: Door = Door()


Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the settings file."""

    def file(text: str | bytes) -> Path:
        path = tmp_path / "settings.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


def env(**given: str) -> dict[str, str]:
    return {PREFIX + name: value for name, value in given.items()}


def mistakes(file: Path | None = None, environment: dict[str, str] | None = None, **options: object) -> list[str]:
    """Of an attempt, with the file as F."""
    with pytest.raises(SettingsError) as refused:
        load(House, environment or {}, file, **options)
    assert "Traceback" not in str(refused.value)
    return [mistake.replace(str(file), "F") for mistake in refused.value.mistakes]


# --- where values come from


def test_without_a_word_there_are_defaults() -> None:
    loaded = load(House, {"PATH": "/bin", "OTHER_DOOR_NAME": "x"})
    assert loaded.value == House()
    assert set(loaded.sources.values()) == {DEFAULT} and loaded.sources.keys() == {s.name for s in declared(House)}


def test_the_environment_wins_over_the_file_value_by_value(write: Write) -> None:
    file = write("door: {name: file, count: 4}\ngate: {count: 5}")
    loaded = load(House, env(DOOR_NAME="env", GATE_NAME="env"), file)
    assert (loaded.value.door.name, loaded.value.door.count, loaded.value.gate) == ("env", 4, Door(name="env", count=5))
    assert loaded.sources["door.name"] == f"environment {PREFIX}DOOR_NAME"
    assert loaded.sources["door.count"] == f"{file}:1:20"
    assert loaded.sources["gate.count"] == f"{file}:2:8"
    assert loaded.sources["door.share"] == DEFAULT


def test_the_file_is_named_by_the_environment_unless_it_is_given(write: Write, tmp_path: Path) -> None:
    file = write("door: {count: 4}")
    assert load(House, env(CONFIG=str(file))).value.door.count == 4
    other = tmp_path / "other.yaml"
    other.write_text("door: {count: 5}")
    assert load(House, env(CONFIG=str(file)), other).value.door.count == 5
    assert load(House, env(CONFIG="")).value == House()


@pytest.mark.parametrize(
    "empty", ["", "door:", "door: {}", "door: {name: }", "door: {name: null}", "door: {name: ~}", "door: {name: ''}"]
)
def test_an_empty_value_is_no_value(write: Write, empty: str) -> None:
    loaded = load(House, env(DOOR_COUNT="", DOOR_SHARE="  "), write(empty))
    assert loaded.value == House() and set(loaded.sources.values()) == {DEFAULT}


def test_what_lies_beneath_counts_for_sections_of_which_nothing_else_says_a_word(write: Write, tmp_path: Path) -> None:
    beneath = tmp_path / "beneath.yaml"
    beneath.write_text("door: {name: below, count: 7}\ngate: {name: below, count: 7}")
    assert load(House, {}, beneath=beneath).value == House(door=Door(name="below", count=7), gate=Door(name="below", count=7))
    from_file = load(House, {}, write("door: {share: 0.1}"), beneath=beneath)
    assert from_file.value == House(door=Door(share=0.1), gate=Door(name="below", count=7))
    from_environment = load(House, env(GATE_COUNT="2"), beneath=beneath)
    assert from_environment.value == House(door=Door(name="below", count=7), gate=Door(name="door", count=2))
    assert from_environment.sources["gate.name"] == DEFAULT
    beneath.write_text("door: {nmae: x}\ngate: {count: 70}")
    assert [m.replace(str(beneath), "B") for m in mistakes(beneath=beneath)] == [
        "B:1:8: no such setting: door.nmae: did you mean door.name?",
        "B:2:8: gate.count is '70': Expected int <= 9",
    ]


def test_variables_give_a_section_its_values_back() -> None:
    door = Door(name="a", count=9, share=0.25, open=True, kind="out", file=Path("/x y"))
    assert load(House, variables("door", door)).value.door == door
    assert variables("door", Door(name="", file=None)).keys() == {
        f"{PREFIX}DOOR_{name}" for name in ("COUNT", "SHARE", "OPEN", "KIND", "HTTP_PORT")
    }
    for setting in declared(Settings):  # each of ours stands where it is looked for
        assert setting.variable == f"{PREFIX}{setting.name}".upper().replace(".", "_") and setting.meaning


# --- mistakes


def test_every_mistake_at_once_each_with_its_place(write: Write) -> None:
    file = write("door:\n  name: A\n  count: many\n  coutn: 3\nhouse: {x: 1}\ngate: [1]\n")
    found = mistakes(file, env(DOOR_SHARE="0", DOR_NAME="x", GATE_KIND="up", GATE_OPEN="on"))
    assert sorted(found) == sorted(
        [
            "F:2:3: door.name is 'A': small letters is needed",
            "F:3:3: door.count is 'many': a whole number is needed",
            "F:4:3: no such setting: door.coutn: did you mean door.count?",
            "F:5:9: no such setting: house.x: see `reward-monitor config`",
            "F:6:1: a mapping of settings of gate is needed",
            f"environment {PREFIX}DOOR_SHARE: door.share is '0': Expected float > 0.0",
            f"environment {PREFIX}DOR_NAME: no such setting: did you mean {PREFIX}DOOR_NAME?",
            f"environment {PREFIX}GATE_KIND: gate.kind is 'up': one of in, out is needed",
            f"environment {PREFIX}GATE_OPEN: gate.open is 'on': true or false is needed",
        ]
    )


def test_a_single_mistake_is_one_line_and_many_are_listed(write: Write) -> None:
    with pytest.raises(SettingsError) as one:
        load(House, env(DOOR_COUNT="x"))
    assert (
        str(one.value) == f"1 setting can't be used: environment {PREFIX}DOOR_COUNT: door.count is 'x': a whole number is needed"
    )
    file = write("door: {" + ", ".join(f"x{i}: 1" for i in range(100)) + "}")
    with pytest.raises(SettingsError) as many:
        load(House, {}, file)
    lines = str(many.value).splitlines()
    assert len(many.value.mistakes) == 100 and lines[0] == "100 settings can't be used: " and len(lines) == 32
    assert lines[-1] == f"  and 70 more -> mend them in {file} or the environment"


def test_what_values_are_together_is_a_mistake_of_the_section() -> None:
    assert mistakes(environment=env(DOOR_OPEN="true", GATE_COUNT="0")) == [
        f"environment {PREFIX}GATE_COUNT: gate.count is '0': Expected int >= 1",
        "door: open needs file",
    ]


@pytest.mark.parametrize("name", ["password", "key_password", "PASSWORD"])
def test_a_password_has_no_place_in_settings_and_is_not_repeated(write: Write, name: str) -> None:
    found = mistakes(write(f"door: {{{name}: hunter2}}"), env(**{f"DOOR_{name.upper()}": "hunter2"}))
    assert len(found) == 2 and all("passwords are read from files: set the one that ends in password_file" in m for m in found)
    assert "hunter2" not in "".join(found)


def test_a_long_value_is_cut(write: Write) -> None:
    (found,) = mistakes(write(f"door: {{name: {'A' * 5000}}}"))
    assert len(found) < 200


# --- YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("1", True), ("'true'", True), ("false", False), ("no", None), ("on", None), ("yes", None)],
)
def test_yamls_booleans_are_not_used(write: Write, text: str, value: bool | None) -> None:
    file = write(f"door: {{open: {text}, file: /x}}")
    if value is None:
        assert mistakes(file) == [f"F:1:8: door.open is '{text}': true or false is needed"]
    else:
        assert load(House, {}, file).value.door.open is value


@pytest.mark.parametrize(
    ("text", "count"), [("8", 8), ("'8'", 8), ("' 8 '", 8), ("0x8", None), ("010", None), ("1_0", None), ("1:2", None)]
)
def test_yamls_numbers_are_not_used(write: Write, text: str, count: int | None) -> None:
    file = write(f"door: {{count: {text}}}")
    if count is None:
        assert mistakes(file) == [f"F:1:8: door.count is {text!r}: a whole number is needed"]
    else:
        assert load(House, {}, file).value.door.count == count


def test_the_environment_and_the_file_read_a_value_alike(write: Write) -> None:
    for text in ("1e3", "12:30", "on", "08", "1_000", ".5", "0x1F", "2024-01-01", "null "):
        read = []
        for environment, file in ((env(DOOR_SHARE=text), None), ({}, write(f"door: {{share: '{text}'}}"))):
            try:
                read.append(load(House, environment, file).value.door.share)
            except SettingsError:
                read.append("refused")
        assert read[0] == read[1], text
    assert load(House, env(DOOR_SHARE="1e3")).value.door.share == 1000.0


def test_a_setting_or_a_section_twice(write: Write) -> None:
    twice = "stands there a second time: take one of them out"
    assert mistakes(write("door: {count: 1, count: 2}")) == [f"F:1:18: door.count {twice}"]
    assert mistakes(write("door: {count: 1}\ngate: {}\ndoor: {count: 1}")) == [f"F:3:8: door.count {twice}"]
    assert mistakes(write("door: {count: , count: 2}")) == [f"F:1:17: door.count {twice}"]


def test_aliases_are_followed_and_merges_are_not(write: Write) -> None:
    assert load(House, {}, write("door: &d {count: 4}\ngate: *d")).value.gate.count == 4
    assert load(House, {}, write("door: {count: &n 4}\ngate: {count: *n}")).value.gate.count == 4
    assert mistakes(write("door: &d {count: 4}\ngate: {<<: *d}")) == [
        "F:2:8: gate.<< is a list or a mapping, one value is needed"
    ]
    assert mistakes(write("door: &d\n  name: *d")) == ["F:2:3: door.name is a list or a mapping, one value is needed"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- door", "F: a mapping of sections is needed"),
        ("door", "F: a mapping of sections is needed"),
        ("door: 3", "F:1:1: a mapping of settings of door is needed"),
        ("door: [name]", "F:1:1: a mapping of settings of door is needed"),
        ("door: {name: [a]}", "F:1:8: door.name is a list or a mapping, one value is needed"),
        ("door: {name: {a: b}}", "F:1:8: door.name is a list or a mapping, one value is needed"),
        ("? [door]\n: {name: a}", "F:1:3: the name of one of the sections is a list or a mapping"),
        ("door: {? {a: b} : c}", "F:1:10: the name of one of the settings of door is a list or a mapping"),
        ("door.name: a", "F:1:1: a mapping of settings of door.name is needed"),
        ("door: !!python/object/apply:os.system ['true']", "F:1:1: a mapping of settings of door is needed"),
        ("door:\n\tname: a", r"F:2:1: not YAML text: found character '\t' that cannot start any token"),
        ("door: {name: a", "F:1:15: not YAML text: expected ',' or '}', but got '<stream end>'"),
        ("door: {}\n---\ndoor: {}", "F:2:1: not YAML text: but found another document"),
        ("door: *nobody", "F:1:7: not YAML text: found undefined alias 'nobody'"),
        (b"\xff\xfe\x00\x01", "F: not YAML text: UnicodeDecodeError: "),
        (b"door: {}\x00", "F: not YAML text: ReaderError: "),
        (bytes(range(256)), "F: not YAML text: "),
        ("[" * 20_000, "F: not YAML text: RecursionError: "),
        ("{a: " * 10_000, "F: not YAML text: RecursionError: "),
        ("#" * (FILE_BYTES_MAX + 1), f"F: {FILE_BYTES_MAX + 1} bytes long, {FILE_BYTES_MAX} are read: this is no settings file"),
    ],
)
def test_what_is_no_settings_file(write: Write, text: str | bytes, said: str) -> None:
    (found,) = mistakes(write(text))
    assert found.startswith(said) and (len(found) == len(said) or said.endswith(": ")) and len(found) < 300 and "\n" not in found


def test_a_byte_order_mark_and_a_full_file_are_fine(write: Write) -> None:
    assert load(House, {}, write("\ufeffdoor: {count: 4}")).value.door.count == 4
    assert load(House, {}, write("door: {count: 4}".ljust(FILE_BYTES_MAX))).value.door.count == 4


def test_files_that_are_none(tmp_path: Path, write: Write) -> None:
    missing = tmp_path / "missing"
    assert mistakes(missing) == ["F: there is no such file: name another"]
    assert mistakes(tmp_path) == ["F: not a file: name another"]
    assert mistakes(Path("/dev/zero")) == ["F: not a file: name another"]
    with pytest.raises(SettingsError, match="no such file"):
        load(House, env(CONFIG=str(missing)))
    if os.getuid():  # root reads everything
        file = write("door: {}")
        file.chmod(0)
        assert "Permission denied" in mistakes(file)[0]


# --- Kubernetes, trainers, secrets


def test_service_links_of_kubernetes_are_no_settings() -> None:
    address = "tcp://10.0.0.1:9092"
    links = env(
        DOOR_SERVICE_HOST="10.0.0.1",
        DOOR_SERVICE_PORT="9092",
        DOOR_SERVICE_PORT_HTTP="9092",
        DOOR_PORT=address,
        DOOR_PORT_9092_TCP=address,
        DOOR_PORT_9092_TCP_PROTO="tcp",
        DOOR_PORT_9092_TCP_PORT="9092",
        DOOR_PORT_9092_TCP_ADDR="10.0.0.1",
        DOOR_PORT_53_UDP="udp://10.0.0.1:53",
    )
    assert load(House, links).value == House()
    (found,) = mistakes(environment=env(DOOR_HTTP_PORT=address))  # of a service called reward-monitor-door-http
    assert "enableServiceLinks: false" in found
    (found,) = mistakes(environment=env(DOOR_PORT="9092"))  # a person wrote that
    assert "no such setting" in found


def test_what_a_launcher_says_is_no_setting() -> None:
    assert load(House, env(RUN_ID="r", ATTEMPT="2")).value == House()


def test_a_trainer_reads_its_section_and_passes_over_the_rest(write: Write) -> None:
    file = write("kafka: {brokers: 'a:1'}\nclickhouse: {host: [x]}\nnewer: [1, 2]\n")
    with pytest.raises(SettingsError):
        load(OfTrainer, {}, file)
    kafka = of_environment(env(CONFIG=str(file), NEWER_THING="1"))
    assert kafka == Kafka(brokers="a:1")
    assert of_environment({}) is None and of_environment(env(KAFKA_SASL_USERNAME="u")) is None
    given = of_environment(env(KAFKA_SECURITY_PROTOCOL="ssl"), "b:2")
    assert given == Kafka(brokers="b:2", security_protocol="ssl")
    with pytest.raises(SettingsError, match=r"F:1:9|kafka.brokers is 'a'"):
        of_environment(env(CONFIG=str(write("kafka: {brokers: a}"))))


@pytest.mark.parametrize(
    "brokers", ["a:1", "a:1,b:2", "10.0.0.1:9092", "[::1]:9092,[fe80::1]:1", "my-kafka.svc.cluster.local:9093"]
)
def test_addresses_that_are_taken(brokers: str) -> None:
    assert load(Settings, env(KAFKA_BROKERS=brokers)).value.kafka.brokers == brokers


@pytest.mark.parametrize(
    "brokers", ["a", "a:", ":1", "a:1,", "a:1, b:2", "a:1;b:2", "kafka://a:1", "::1:9092", "a:123456", "a:1 b:2"]
)
def test_addresses_that_are_none(brokers: str) -> None:
    with pytest.raises(SettingsError, match="host:port,host:port is needed"):
        load(Settings, env(KAFKA_BROKERS=brokers))


def test_keys_of_kafka_that_belong_together() -> None:
    for given, said in (
        ({"SECURITY_PROTOCOL": "sasl_ssl"}, "needs sasl_username and sasl_password_file"),
        ({"SECURITY_PROTOCOL": "sasl_plaintext", "SASL_USERNAME": "u"}, "needs sasl_username and sasl_password_file"),
        ({"SSL_KEY_FILE": "/k"}, "go together"),
        ({"SSL_CERTIFICATE_FILE": "/c"}, "go together"),
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "one of plaintext, ssl, sasl_plaintext, sasl_ssl is needed"),
        ({"SASL_MECHANISM": "GSSAPI"}, "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 is needed"),
    ):
        with pytest.raises(SettingsError, match=said):
            load(Settings, env(**{f"KAFKA_{name}": value for name, value in given.items()}))


def test_a_secret_is_what_stands_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for text, value in (("abc", "abc"), ("abc\n", "abc"), ("abc\r\n", "abc"), (" a b \n", " a b "), ("päß\n", "päß")):
        file.write_text(text, encoding="utf-8")
        assert secret(file) == value
    for content, said in ((b"\n", "is empty"), (b"", "is empty"), (b"\xff\xfe", "it is not text")):
        file.write_bytes(content)
        with pytest.raises(MonitorError, match=said) as refused:
            secret(file)
        assert str(file) in str(refused.value) and refused.value.remedy
    for path, said in ((tmp_path / "gone", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(MonitorError, match=said):
            secret(path)


def test_a_file_that_a_setting_names(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(MonitorError, match=r"The file of kafka.ssl_ca_file could not be read: No such file.*ca.pem\) -> "):
        readable(file, "kafka.ssl_ca_file")
    file.write_text("x")
    assert readable(file, "kafka.ssl_ca_file") == str(file)
    assert load(House, env(DOOR_FILE="~/x")).value.door.file == Path.home() / "x"


def test_settings_are_frozen() -> None:
    with pytest.raises((AttributeError, msgspec.ValidationError)):
        load(House, {}).value.door.count = 4  # type: ignore[misc]
