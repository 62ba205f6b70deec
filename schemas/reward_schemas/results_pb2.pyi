from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Result(_message.Message):
    __slots__ = ("epoch", "generation", "partition", "offset", "index", "run_id", "append_time_ms", "pane", "run", "late_event", "dead_letter", "gap", "quarantine", "verdict", "alert")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    APPEND_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    PANE_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    LATE_EVENT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    generation: int
    partition: int
    offset: int
    index: int
    run_id: str
    append_time_ms: int
    pane: PaneRow
    run: RunRow
    late_event: LateEvent
    dead_letter: DeadLetter
    gap: Gap
    quarantine: Quarantine
    verdict: Verdict
    alert: Alert
    def __init__(self, epoch: _Optional[int] = ..., generation: _Optional[int] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., index: _Optional[int] = ..., run_id: _Optional[str] = ..., append_time_ms: _Optional[int] = ..., pane: _Optional[_Union[PaneRow, _Mapping]] = ..., run: _Optional[_Union[RunRow, _Mapping]] = ..., late_event: _Optional[_Union[LateEvent, _Mapping]] = ..., dead_letter: _Optional[_Union[DeadLetter, _Mapping]] = ..., gap: _Optional[_Union[Gap, _Mapping]] = ..., quarantine: _Optional[_Union[Quarantine, _Mapping]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., alert: _Optional[_Union[Alert, _Mapping]] = ...) -> None: ...

class PaneRow(_message.Message):
    __slots__ = ("window", "kind", "attempt", "slot", "closed", "reported", "expected", "panes", "flags", "event_time_ms", "series", "weights", "roles", "sums", "values", "lo", "hi", "products", "sketch_sizes", "sketch_values", "sketch_counts")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    REPORTED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    PANES_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LO_FIELD_NUMBER: _ClassVar[int]
    HI_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    SKETCH_SIZES_FIELD_NUMBER: _ClassVar[int]
    SKETCH_VALUES_FIELD_NUMBER: _ClassVar[int]
    SKETCH_COUNTS_FIELD_NUMBER: _ClassVar[int]
    window: str
    kind: str
    attempt: int
    slot: int
    closed: bool
    reported: int
    expected: int
    panes: int
    flags: _containers.RepeatedScalarFieldContainer[str]
    event_time_ms: int
    series: _containers.RepeatedScalarFieldContainer[str]
    weights: _containers.RepeatedScalarFieldContainer[float]
    roles: _containers.RepeatedScalarFieldContainer[str]
    sums: _containers.RepeatedScalarFieldContainer[str]
    values: bytes
    lo: _containers.RepeatedScalarFieldContainer[float]
    hi: _containers.RepeatedScalarFieldContainer[float]
    products: bytes
    sketch_sizes: _containers.RepeatedScalarFieldContainer[int]
    sketch_values: bytes
    sketch_counts: bytes
    def __init__(self, window: _Optional[str] = ..., kind: _Optional[str] = ..., attempt: _Optional[int] = ..., slot: _Optional[int] = ..., closed: bool = ..., reported: _Optional[int] = ..., expected: _Optional[int] = ..., panes: _Optional[int] = ..., flags: _Optional[_Iterable[str]] = ..., event_time_ms: _Optional[int] = ..., series: _Optional[_Iterable[str]] = ..., weights: _Optional[_Iterable[float]] = ..., roles: _Optional[_Iterable[str]] = ..., sums: _Optional[_Iterable[str]] = ..., values: _Optional[bytes] = ..., lo: _Optional[_Iterable[float]] = ..., hi: _Optional[_Iterable[float]] = ..., products: _Optional[bytes] = ..., sketch_sizes: _Optional[_Iterable[int]] = ..., sketch_values: _Optional[bytes] = ..., sketch_counts: _Optional[bytes] = ...) -> None: ...

class RunRow(_message.Message):
    __slots__ = ("state", "attempt", "project", "tags", "trainer", "config_json", "started_ms", "last_event_ms", "last_step", "expected", "active", "silent_ranks", "counts", "flags", "reason")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TRAINER_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    SILENT_RANKS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    state: str
    attempt: int
    project: str
    tags: _containers.ScalarMap[str, str]
    trainer: str
    config_json: str
    started_ms: int
    last_event_ms: int
    last_step: int
    expected: int
    active: int
    silent_ranks: _containers.RepeatedScalarFieldContainer[int]
    counts: _containers.ScalarMap[str, int]
    flags: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, state: _Optional[str] = ..., attempt: _Optional[int] = ..., project: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., trainer: _Optional[str] = ..., config_json: _Optional[str] = ..., started_ms: _Optional[int] = ..., last_event_ms: _Optional[int] = ..., last_step: _Optional[int] = ..., expected: _Optional[int] = ..., active: _Optional[int] = ..., silent_ranks: _Optional[_Iterable[int]] = ..., counts: _Optional[_Mapping[str, int]] = ..., flags: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class LateEvent(_message.Message):
    __slots__ = ("axis", "kind", "attempt", "rank", "session", "seq", "slot", "lateness", "fate")
    AXIS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    LATENESS_FIELD_NUMBER: _ClassVar[int]
    FATE_FIELD_NUMBER: _ClassVar[int]
    axis: str
    kind: str
    attempt: int
    rank: int
    session: int
    seq: int
    slot: int
    lateness: int
    fate: str
    def __init__(self, axis: _Optional[str] = ..., kind: _Optional[str] = ..., attempt: _Optional[int] = ..., rank: _Optional[int] = ..., session: _Optional[int] = ..., seq: _Optional[int] = ..., slot: _Optional[int] = ..., lateness: _Optional[int] = ..., fate: _Optional[str] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("field", "reason", "payload", "payload_bytes", "rank", "session", "seq")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    field: str
    reason: str
    payload: bytes
    payload_bytes: int
    rank: int
    session: int
    seq: int
    def __init__(self, field: _Optional[str] = ..., reason: _Optional[str] = ..., payload: _Optional[bytes] = ..., payload_bytes: _Optional[int] = ..., rank: _Optional[int] = ..., session: _Optional[int] = ..., seq: _Optional[int] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("from_offset", "to_offset", "reason")
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TO_OFFSET_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    from_offset: int
    to_offset: int
    reason: str
    def __init__(self, from_offset: _Optional[int] = ..., to_offset: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Quarantine(_message.Message):
    __slots__ = ("released", "error", "traceback")
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    released: bool
    error: str
    traceback: str
    def __init__(self, released: bool = ..., error: _Optional[str] = ..., traceback: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("attempt", "step", "state", "sentence", "since_step", "judged", "detections", "quality")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_STEP_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    DETECTIONS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    step: int
    state: str
    sentence: str
    since_step: int
    judged: int
    detections: _containers.RepeatedCompositeFieldContainer[Detection]
    quality: _containers.RepeatedCompositeFieldContainer[Quality]
    def __init__(self, attempt: _Optional[int] = ..., step: _Optional[int] = ..., state: _Optional[str] = ..., sentence: _Optional[str] = ..., since_step: _Optional[int] = ..., judged: _Optional[int] = ..., detections: _Optional[_Iterable[_Union[Detection, _Mapping]]] = ..., quality: _Optional[_Iterable[_Union[Quality, _Mapping]]] = ...) -> None: ...

class Detection(_message.Message):
    __slots__ = ("detector", "level", "needs", "series", "statistic", "threshold", "p", "standard_error", "reference_from", "reference_to", "recent_from", "recent_to", "groups", "examples", "sentence", "since_step")
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FROM_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_TO_FIELD_NUMBER: _ClassVar[int]
    RECENT_FROM_FIELD_NUMBER: _ClassVar[int]
    RECENT_TO_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_STEP_FIELD_NUMBER: _ClassVar[int]
    detector: str
    level: str
    needs: str
    series: str
    statistic: float
    threshold: float
    p: float
    standard_error: float
    reference_from: int
    reference_to: int
    recent_from: int
    recent_to: int
    groups: int
    examples: _containers.RepeatedScalarFieldContainer[int]
    sentence: str
    since_step: int
    def __init__(self, detector: _Optional[str] = ..., level: _Optional[str] = ..., needs: _Optional[str] = ..., series: _Optional[str] = ..., statistic: _Optional[float] = ..., threshold: _Optional[float] = ..., p: _Optional[float] = ..., standard_error: _Optional[float] = ..., reference_from: _Optional[int] = ..., reference_to: _Optional[int] = ..., recent_from: _Optional[int] = ..., recent_to: _Optional[int] = ..., groups: _Optional[int] = ..., examples: _Optional[_Iterable[int]] = ..., sentence: _Optional[str] = ..., since_step: _Optional[int] = ...) -> None: ...

class Quality(_message.Message):
    __slots__ = ("series", "score", "low", "high", "coverage", "components", "values", "hacking")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    HACKING_FIELD_NUMBER: _ClassVar[int]
    series: str
    score: float
    low: float
    high: float
    coverage: float
    components: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[float]
    hacking: float
    def __init__(self, series: _Optional[str] = ..., score: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., coverage: _Optional[float] = ..., components: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[float]] = ..., hacking: _Optional[float] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("attempt", "rule", "rule_version", "series", "state", "reason", "episode", "sequence", "axis", "at", "since", "severity", "labels", "annotations", "expr", "window", "window_from", "window_to", "groups", "names", "values", "examples", "project", "sentence")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    AXIS_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    EXPR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FROM_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TO_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    rule: str
    rule_version: int
    series: str
    state: str
    reason: str
    episode: int
    sequence: int
    axis: str
    at: int
    since: int
    severity: str
    labels: _containers.ScalarMap[str, str]
    annotations: _containers.ScalarMap[str, str]
    expr: str
    window: str
    window_from: int
    window_to: int
    groups: int
    names: _containers.RepeatedScalarFieldContainer[str]
    values: _containers.RepeatedScalarFieldContainer[float]
    examples: _containers.RepeatedScalarFieldContainer[int]
    project: str
    sentence: str
    def __init__(self, attempt: _Optional[int] = ..., rule: _Optional[str] = ..., rule_version: _Optional[int] = ..., series: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., episode: _Optional[int] = ..., sequence: _Optional[int] = ..., axis: _Optional[str] = ..., at: _Optional[int] = ..., since: _Optional[int] = ..., severity: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., annotations: _Optional[_Mapping[str, str]] = ..., expr: _Optional[str] = ..., window: _Optional[str] = ..., window_from: _Optional[int] = ..., window_to: _Optional[int] = ..., groups: _Optional[int] = ..., names: _Optional[_Iterable[str]] = ..., values: _Optional[_Iterable[float]] = ..., examples: _Optional[_Iterable[int]] = ..., project: _Optional[str] = ..., sentence: _Optional[str] = ...) -> None: ...
