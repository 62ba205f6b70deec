from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RewardStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCORED: _ClassVar[RewardStatus]
    MISSING: _ClassVar[RewardStatus]
    NOT_SCORED: _ClassVar[RewardStatus]
SCORED: RewardStatus
MISSING: RewardStatus
NOT_SCORED: RewardStatus

class Envelope(_message.Message):
    __slots__ = ("schema_version", "run_id", "attempt", "rank", "session", "seq", "event_time_ms", "senders", "rollout", "trainer_step", "run_event", "sender_report", "tick", "rule_switch")
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SENDERS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    TRAINER_STEP_FIELD_NUMBER: _ClassVar[int]
    RUN_EVENT_FIELD_NUMBER: _ClassVar[int]
    SENDER_REPORT_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    RULE_SWITCH_FIELD_NUMBER: _ClassVar[int]
    schema_version: int
    run_id: str
    attempt: int
    rank: int
    session: int
    seq: int
    event_time_ms: int
    senders: int
    rollout: Rollout
    trainer_step: TrainerStep
    run_event: RunEvent
    sender_report: SenderReport
    tick: Tick
    rule_switch: RuleSwitch
    def __init__(self, schema_version: _Optional[int] = ..., run_id: _Optional[str] = ..., attempt: _Optional[int] = ..., rank: _Optional[int] = ..., session: _Optional[int] = ..., seq: _Optional[int] = ..., event_time_ms: _Optional[int] = ..., senders: _Optional[int] = ..., rollout: _Optional[_Union[Rollout, _Mapping]] = ..., trainer_step: _Optional[_Union[TrainerStep, _Mapping]] = ..., run_event: _Optional[_Union[RunEvent, _Mapping]] = ..., sender_report: _Optional[_Union[SenderReport, _Mapping]] = ..., tick: _Optional[_Union[Tick, _Mapping]] = ..., rule_switch: _Optional[_Union[RuleSwitch, _Mapping]] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("step", "more", "completions", "functions", "rewards", "status", "group", "length", "advantage", "truncated", "group_size", "columns")
    STEP_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    ADVANTAGE_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    GROUP_SIZE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    step: int
    more: bool
    completions: int
    functions: bytes
    rewards: bytes
    status: bytes
    group: bytes
    length: bytes
    advantage: bytes
    truncated: bytes
    group_size: int
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, step: _Optional[int] = ..., more: bool = ..., completions: _Optional[int] = ..., functions: _Optional[bytes] = ..., rewards: _Optional[bytes] = ..., status: _Optional[bytes] = ..., group: _Optional[bytes] = ..., length: _Optional[bytes] = ..., advantage: _Optional[bytes] = ..., truncated: _Optional[bytes] = ..., group_size: _Optional[int] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: bytes
    def __init__(self, name: _Optional[str] = ..., values: _Optional[bytes] = ...) -> None: ...

class FunctionTable(_message.Message):
    __slots__ = ("functions",)
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    functions: _containers.RepeatedCompositeFieldContainer[RewardFunction]
    def __init__(self, functions: _Optional[_Iterable[_Union[RewardFunction, _Mapping]]] = ...) -> None: ...

class RewardFunction(_message.Message):
    __slots__ = ("name", "weight", "role", "kind", "lo", "hi")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TRAINED: _ClassVar[RewardFunction.Role]
        AUDIT: _ClassVar[RewardFunction.Role]
    TRAINED: RewardFunction.Role
    AUDIT: RewardFunction.Role
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REAL: _ClassVar[RewardFunction.Kind]
        BOUNDED: _ClassVar[RewardFunction.Kind]
        BINARY: _ClassVar[RewardFunction.Kind]
    REAL: RewardFunction.Kind
    BOUNDED: RewardFunction.Kind
    BINARY: RewardFunction.Kind
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LO_FIELD_NUMBER: _ClassVar[int]
    HI_FIELD_NUMBER: _ClassVar[int]
    name: str
    weight: float
    role: RewardFunction.Role
    kind: RewardFunction.Kind
    lo: float
    hi: float
    def __init__(self, name: _Optional[str] = ..., weight: _Optional[float] = ..., role: _Optional[_Union[RewardFunction.Role, str]] = ..., kind: _Optional[_Union[RewardFunction.Kind, str]] = ..., lo: _Optional[float] = ..., hi: _Optional[float] = ...) -> None: ...

class TrainerStep(_message.Message):
    __slots__ = ("step", "scalars")
    STEP_FIELD_NUMBER: _ClassVar[int]
    SCALARS_FIELD_NUMBER: _ClassVar[int]
    step: int
    scalars: _containers.RepeatedCompositeFieldContainer[Scalar]
    def __init__(self, step: _Optional[int] = ..., scalars: _Optional[_Iterable[_Union[Scalar, _Mapping]]] = ...) -> None: ...

class Scalar(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class RunEvent(_message.Message):
    __slots__ = ("state", "project", "tags", "trainer", "config_json", "functions", "reason")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[RunEvent.State]
        STARTED: _ClassVar[RunEvent.State]
        RESUMED: _ClassVar[RunEvent.State]
        HEARTBEAT: _ClassVar[RunEvent.State]
        FINISHED: _ClassVar[RunEvent.State]
        RELEASED: _ClassVar[RunEvent.State]
    UNKNOWN: RunEvent.State
    STARTED: RunEvent.State
    RESUMED: RunEvent.State
    HEARTBEAT: RunEvent.State
    FINISHED: RunEvent.State
    RELEASED: RunEvent.State
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TRAINER_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    state: RunEvent.State
    project: str
    tags: _containers.ScalarMap[str, str]
    trainer: str
    config_json: str
    functions: FunctionTable
    reason: str
    def __init__(self, state: _Optional[_Union[RunEvent.State, str]] = ..., project: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., trainer: _Optional[str] = ..., config_json: _Optional[str] = ..., functions: _Optional[_Union[FunctionTable, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class SenderReport(_message.Message):
    __slots__ = ("accepted", "spooled", "dropped")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    SPOOLED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    spooled: int
    dropped: _containers.ScalarMap[str, int]
    def __init__(self, accepted: _Optional[int] = ..., spooled: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Tick(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RuleSwitch(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...
