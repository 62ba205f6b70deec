"""Settings from one YAML file and the environment: a frozen struct of sections, and where each value came from.

A setting `kafka.brokers` stands as `kafka: {brokers: ...}` in the file, and as REWARD_MONITOR_KAFKA_BROKERS in the
environment, which wins. An empty value counts as not set. Every value is text that its declared type reads, so that the
file and the environment can't disagree about what `on` or `1e3` is. All mistakes are told at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import msgspec

from reward_schemas import settings_yaml
from reward_schemas.errors import MonitorError

PREFIX = "REWARD_MONITOR_"
FILE_VARIABLE = f"{PREFIX}CONFIG"
# What a launcher tells one training; not settings.
RUN_VARIABLES = tuple(f"{PREFIX}{name}" for name in ("RUN_ID", "ATTEMPT", "MODE", "DATA_DIR", "FILES_BYTES_MAX"))
DEFAULT = "default"
_LISTED_MAX = 30  # of a file that is something else, a reader needs no more

# Kubernetes gives every pod such variables for every service: one called reward-monitor-kafka must not be taken for a setting.
_SERVICE_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP)\w*)$")
_SERVICE_URL = re.compile(r"(tcp|udp)://")  # the value of one that ends in _PORT

T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(MonitorError, ValueError):
    """Settings that can't be used; `mistakes` has all of them, each with its place and remedy."""

    def __init__(self, mistakes: list[str], where: str) -> None:
        listed = mistakes[0] if len(mistakes) == 1 else "".join(f"\n  {mistake}" for mistake in mistakes[:_LISTED_MAX])
        listed += f"\n  and {len(mistakes) - _LISTED_MAX} more" if len(mistakes) > _LISTED_MAX else ""
        super().__init__(
            f"{len(mistakes)} setting{'s' if len(mistakes) > 1 else ''} can't be used: {listed}",
            remedy="" if len(mistakes) == 1 else f"mend them in {where}",
        )
        self.mistakes = mistakes


@dataclass(frozen=True)
class Setting:
    """One setting: its section and name, its type with constraints, its default, and what it is for."""

    section: str
    field: str
    kind: Any
    default: Any
    meaning: str

    @property
    def name(self) -> str:
        return f"{self.section}.{self.field}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.section}_{self.field}".upper()


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """Settings, and by name (`kafka.brokers`) where each came from."""

    value: T
    sources: dict[str, str]


@dataclass(frozen=True)
class _Given:
    text: str
    place: str


def declared(kind: type[msgspec.Struct]) -> Iterator[Setting]:
    """The settings of a struct of sections, in their order."""
    for section, section_kind in get_type_hints(kind).items():
        hints = get_type_hints(section_kind, include_extras=True)
        for info in msgspec.structs.fields(section_kind):
            meta = [m for m in getattr(hints[info.name], "__metadata__", ()) if isinstance(m, msgspec.Meta)]
            yield Setting(section, info.name, hints[info.name], info.default, next((m.description or "" for m in meta), ""))


def variables(section: str, values: msgspec.Struct) -> dict[str, str]:
    """The environment that gives a section these values."""
    given = {name: getattr(values, name) for name in values.__struct_fields__}
    return {f"{PREFIX}{section}_{name}".upper(): str(value) for name, value in given.items() if value not in (None, "")}


def load(
    kind: type[T],
    environment: Mapping[str, str],
    file: Path | None = None,
    *,
    beneath: Path | None = None,
    strict: bool = True,
) -> Loaded[T]:
    """Reads a struct of sections. Raises SettingsError with every mistake.

    file: by default what REWARD_MONITOR_CONFIG names. beneath: a file whose sections count where nothing else says a word
    of them, so that one host never gets another's password. strict: refuse variables that begin with REWARD_MONITOR_ and are no
    setting; a trainer, which reads one section, must not.
    """
    settings = list(declared(kind))
    if file is None and environment.get(FILE_VARIABLE):
        file = Path(environment[FILE_VARIABLE]).expanduser()
    mistakes: list[str] = []
    given = _of_file(file, settings, mistakes, strict=strict) if file else {}
    given |= _of_environment(environment, settings, mistakes, strict=strict)
    if beneath:
        said = {name.partition(".")[0] for name in given}
        under = _of_file(beneath, settings, mistakes, strict=strict)
        given |= {name: found for name, found in under.items() if name.partition(".")[0] not in said}
    sections: dict[str, dict[str, Any]] = {section: {} for section in get_type_hints(kind)}
    sources = {setting.name: DEFAULT for setting in settings}
    for setting in settings:
        if found := given.get(setting.name):
            try:
                sections[setting.section][setting.field] = _read(found.text, setting)
                sources[setting.name] = found.place
            except msgspec.ValidationError as error:
                mistakes.append(f"{found.place}: {setting.name} is {found.text!r:.80}: {_needed(setting, error)}")
    made = {}
    for section, section_kind in get_type_hints(kind).items():
        try:
            made[section] = section_kind(**sections[section])
        except ValueError as error:  # what its fields are together
            mistakes.append(f"{section}: {error}")
    if mistakes:
        raise SettingsError(mistakes, f"{file} or the environment" if file else "the environment")
    return Loaded(kind(**made), sources)


def _read(text: str, setting: Setting) -> Any:
    if setting.variable.endswith("_PORT") and _SERVICE_URL.match(text):
        raise msgspec.ValidationError("Kubernetes set it for a service of this name: give the pod `enableServiceLinks: false`")
    return msgspec.convert(text, setting.kind, strict=False, dec_hook=lambda _, value: Path(value).expanduser())


def _needed(setting: Setting, error: msgspec.ValidationError) -> str:
    """What the setting takes, in words; where the value has the right type, what else is wrong with it."""
    text = str(error).replace("`", "").removesuffix(" - at $")
    if "enum" in text:
        kind = get_args(setting.kind)[0]
        return f"one of {', '.join(get_args(kind))} is needed"
    if "regex" in text:
        titles = [meta.title for meta in getattr(setting.kind, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
        return f"{titles[0] or setting.meaning} is needed"
    for kind, words in {"bool": "true or false", "int": "a whole number", "float": "a number"}.items():
        if text == f"Expected {kind}, got str":
            return f"{words} is needed"
    return text


def _of_environment(
    environment: Mapping[str, str], settings: list[Setting], mistakes: list[str], *, strict: bool
) -> dict[str, _Given]:
    by_variable = {setting.variable: setting for setting in settings}
    given = {}
    for variable in sorted(name for name in environment if name.startswith(PREFIX)):
        text = environment[variable].strip()
        if setting := by_variable.get(variable):
            if text:
                given[setting.name] = _Given(text, f"environment {variable}")
        elif strict and variable not in (FILE_VARIABLE, *RUN_VARIABLES) and not _service_link(variable, text):
            mistakes.append(f"environment {variable}: no such setting{_instead(variable, by_variable)}")
    return given


def _service_link(variable: str, text: str) -> bool:
    return bool(_SERVICE_LINK.search(variable) or (variable.endswith("_PORT") and _SERVICE_URL.match(text)))


def _of_file(file: Path, settings: list[Setting], mistakes: list[str], *, strict: bool) -> dict[str, _Given]:
    names = {setting.name for setting in settings}
    read = None if strict else {setting.section for setting in settings}
    given: dict[str, _Given] = {}
    try:
        values = list(settings_yaml.values(file, mistakes, read))
    except settings_yaml.Unreadable as error:
        raise SettingsError([str(error)], "") from error
    for name, text, place in values:
        if name in given:
            mistakes.append(f"{place}: {name} stands there a second time: take one of them out")
        elif name in names:
            given[name] = _Given(text, place)
        elif strict:
            mistakes.append(f"{place}: no such setting: {name}{_instead(name, names)}")
    return {name: found for name, found in given.items() if found.text}


def _instead(wrong: str, known: Any) -> str:
    if wrong.lower().endswith("password"):
        return ": passwords are read from files: set the one that ends in password_file"
    near = get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else ": see `reward-monitor config`"


def secret(file: Path) -> str:
    """The secret in a file, without the line's end. Raises MonitorError where it can't be read or is empty."""
    try:
        text = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise MonitorError(
            f"A secret could not be read: {why}.", where=str(file), remedy="put it alone into that file, readable by this user"
        ) from error
    if not text:
        raise MonitorError("A file that should hold a secret is empty.", where=str(file), remedy="put the secret alone into it")
    return text


def readable(file: Path, setting: str) -> str:
    """The path of a file that a setting names. Raises MonitorError where it can't be read."""
    try:
        file.open("rb").close()
    except OSError as error:
        raise MonitorError(
            f"The file of {setting} could not be read: {error.strerror}.",
            where=str(file),
            remedy="name one that this user can read",
        ) from error
    return str(file)
