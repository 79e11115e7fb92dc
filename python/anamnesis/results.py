# SPDX-License-Identifier: Apache-2.0
"""What the jobs give: typed records whose fields are those of the verbs' `--json` (docs/json.md).

Every record keeps the whole document as `json`, with the fields of later versions too.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

if typing.TYPE_CHECKING:
    import pandas

R = TypeVar("R", bound="Record")

# Fields whose names are words of Python, or say too little alone.
_json_names = {"in_": "in"}


@dataclass(frozen=True)
class Record:
    """Base of all results."""

    json: dict[str, Any] = field(default_factory=dict, repr=False, compare=False, kw_only=True)

    @classmethod
    def from_json(cls: type[R], document: dict[str, Any]) -> R:
        """Reads what `--json` prints."""
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for entry in dataclasses.fields(cls):
            name = _json_names.get(entry.name, entry.name)
            if entry.name != "json" and name in document:
                values[entry.name] = _convert(hints[entry.name], document[name])
        return cls(json=document, **values)


def _convert(hint: Any, value: Any) -> Any:
    """A value as its field's type has it."""
    arguments = typing.get_args(hint)
    if value is None:
        return None
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_json(value)
    if typing.get_origin(hint) is list:
        return [_convert(arguments[0], element) for element in value]
    for alternative in arguments:
        if isinstance(alternative, type) and issubclass(alternative, Record):
            return alternative.from_json(value)
        if typing.get_origin(alternative) is list:
            return _convert(alternative, value)
    return value


@dataclass(frozen=True)
class Finding(Record):
    """Something about a checkpoint, or a pair, that one should know (docs/findings.md)."""

    code: str
    severity: str
    where: str
    count: int
    examples: list[str]
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Heads(Record):
    query: int
    key_value: int
    head_dim: int


@dataclass(frozen=True)
class LayerInfo(Record):
    layer: int
    kinds: list[str]


@dataclass(frozen=True)
class RoutedTensor(Record):
    """A stored tensor of softmax attention, and which of its rows are what.

    Ranges are `[first row, row after the last]`.
    """

    tensor: str
    layer: int | None
    kind: str
    group: str
    mtp: bool
    rows: int
    q: list[list[int]]
    k: list[list[int]]
    v: list[list[int]]
    gate: list[list[int]]
    latent: list[list[int]]

    def slices(self, roles: str = "qk") -> list[slice]:
        """The rows of some roles, ascending: "qk", "q", "k", "v", "gate", "latent" or several joined
        by commas. `weight[rows]` with each of them is a view of these rows."""
        wanted = [name for word in roles.split(",") for name in (("q", "k") if word == "qk" else (word,))]
        unknown = set(wanted) - {"q", "k", "v", "gate", "latent"}
        if unknown:
            raise ValueError(f"{sorted(unknown)[0]!r} is no role of rows; there are q, k, qk, v, gate, latent")
        ranges = sorted((begin, end) for role in set(wanted) for begin, end in getattr(self, role))
        joined: list[slice] = []
        for begin, end in ranges:
            if joined and joined[-1].stop == begin:
                joined[-1] = slice(joined[-1].start, end)
            else:
                joined.append(slice(begin, end))
        return joined


@dataclass(frozen=True)
class ListedTensor(Record):
    name: str
    dtype: str
    shape: list[int]
    file: str
    group: str


@dataclass(frozen=True)
class CheckpointInfo(Record):
    """What `inspect` says of a checkpoint."""

    path: str
    family: str
    model_type: str
    evidence: str
    parameters: int
    bytes: int
    files: int
    tensors: int
    hidden_size: int
    vocab_size: int
    tied_head: bool
    strip: str
    layers: list[LayerInfo]
    routing: list[RoutedTensor]
    warnings: list[str]
    findings: list[Finding]
    heads: Heads | None = None
    gguf: dict[str, Any] | None = None
    all_tensors: list[ListedTensor] | None = None

    @property
    def softmax_layers(self) -> list[int]:
        """Layers of softmax attention over the whole context, ascending."""
        return [entry.layer for entry in self.layers if {"full", "mla"} & set(entry.kinds)]


@dataclass(frozen=True)
class AdapterInfo(Record):
    """What `inspect` says of a LoRA adapter; `base` and `bends` where the base was given."""

    kind: str
    path: str
    base_name: str
    peft_version: str
    rank: int
    alpha: float
    scale: float
    variants: list[str]
    rank_pattern: dict[str, float]
    alpha_pattern: dict[str, float]
    bias: str
    initialisation: str
    target_modules: list[str]
    modules_to_save: list[str]
    tensors: int
    bytes: int
    parameters: int
    modules: int
    saved: list[str]
    coverage: list[dict[str, Any]]
    findings: list[Finding]
    base: dict[str, Any] | None = None
    bends: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class TensorHealth(Record):
    name: str
    dtype: str
    shape: list[int]
    nans: int
    infinities: int
    constant: bool
    largest: float | None
    rms: float | None


@dataclass(frozen=True)
class CheckpointHealth(Record):
    path: str
    family: str
    bytes: int
    tensors: list[TensorHealth]


@dataclass(frozen=True)
class MethodVerdict(Record):
    method: str
    possible: bool
    reason: str


@dataclass(frozen=True)
class Diagnosis(Record):
    """What `doctor` says of a checkpoint or a pair."""

    healthy: bool
    checkpoints: list[CheckpointHealth]
    findings: list[Finding]
    methods: list[MethodVerdict]
    command: str


@dataclass(frozen=True)
class TensorDrift(Record):
    name: str
    layer: int | None
    part: str
    drift: float | None
    non_finite_pairs: int


@dataclass(frozen=True)
class QueryHeadDrift(Record):
    head: int
    plain: float | None
    routing: float | None
    aligned: float | None = None


@dataclass(frozen=True)
class HeadDrift(Record):
    """Drift of the heads that share one key."""

    layer: int | None
    key_head: int
    shared_rotary_key: bool
    key_plain: float | None
    query_heads: list[QueryHeadDrift]
    key_aligned: float | None = None
    group_aligned: float | None = None
    angles: list[float] | None = None


@dataclass(frozen=True)
class DriftReport(Record):
    """How far a fine-tune moved each part, layer and head: `||post - pre|| / ||pre||`."""

    pre: str
    post: str
    family: str
    gauge: str
    verdict: str
    parts: dict[str, float]
    tensors: list[TensorDrift]
    heads: list[HeadDrift]
    notes: list[str]
    findings: list[Finding]

    def to_pandas(self, what: str = "tensors") -> "pandas.DataFrame":
        """A frame with a row for each tensor (`what="tensors"`) or each query head (`"heads"`)."""
        try:
            import pandas
        except ImportError as missing:
            raise ImportError("to_pandas needs pandas: pip install pandas") from missing
        if what == "tensors":
            columns = ["name", "layer", "part", "drift", "non_finite_pairs"]
            rows = [[getattr(tensor, column) for column in columns] for tensor in self.tensors]
        elif what == "heads":
            columns = ["layer", "key_head", "head", "plain", "routing", "aligned", "key_plain"]
            rows = [
                [group.layer, group.key_head, head.head, head.plain, head.routing, head.aligned, group.key_plain]
                for group in self.heads
                for head in group.query_heads
            ]
        else:
            raise ValueError(f"what is {what!r}, expected 'tensors' or 'heads'")
        frame = pandas.DataFrame(rows, columns=columns)
        return frame.astype({"layer": "Int64"})


@dataclass(frozen=True)
class RepairOutput(Record):
    path: str
    bytes_written: int
    bytes_linked: int
    receipt: dict[str, Any]


@dataclass(frozen=True)
class Receipt(Record):
    """What `restore` wrote: an output for each strength, with its receipt (docs/formats.md)."""

    seconds: float
    outputs: list[RepairOutput]
    findings: list[Finding]

    @property
    def path(self) -> str:
        """Of the first output."""
        return self.outputs[0].path


@dataclass(frozen=True)
class RepairPlan(Record):
    """What `restore(dry_run=True)` would do. Of an adapter `tensors` is set, else `changes`."""

    dry_run: bool
    request: dict[str, Any]
    outputs: int
    findings: list[Finding]
    changes: list[dict[str, Any]] | None = None
    bytes_changed: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    bytes_linked: int | None = None
    peak_memory: int | None = None
    free_space: int | None = None
    tensors: list[dict[str, Any]] | None = None
    tensors_removed: int | None = None
    tensors_edited: int | None = None


@dataclass(frozen=True)
class TensorVerdict(Record):
    name: str
    rows: int
    from_pre: int
    from_post: int
    computed: int
    recomputed: int
    as_written: bool
    equal_in_pre_and_post: int


@dataclass(frozen=True)
class Verification(Record):
    """What the bytes of a repair prove. It is true in a condition where all is proven."""

    proven: bool
    claim: str
    request: dict[str, Any]
    tensors_compared: int
    bytes_compared: int
    rows_from_pre: int
    rows_from_post: int
    rows_computed: int
    rows_recomputed: int
    rows_unchecked: int
    tensors: list[TensorVerdict]
    deviations: list[str]
    notes: list[str]
    findings: list[Finding]

    def __bool__(self) -> bool:
        return self.proven


@dataclass(frozen=True)
class Undone(Record):
    path: str
    bytes_restored: int


@dataclass(frozen=True)
class Grades(Record):
    """What `grade` found; the answers are in the file `out`."""

    in_: str
    out: str
    answers: int
    problems: int
    correct: int
    share: float
    interval: list[float]
    interval_kind: str
    reasons: dict[str, int]


@dataclass(frozen=True)
class RecallReport(Record):
    """What `niah` measured: `summary.json` of the run's folder (docs/evaluation.md)."""

    settings: dict[str, Any]
    checkpoints: dict[str, Any]
    cells: list[dict[str, Any]]
    depth_cells: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    recoveries: list[dict[str, Any]]
    gaps: list[dict[str, Any]] | None = None
    repeats: list[dict[str, Any]] | None = None
    findings: list[Finding] | None = None

    def score(self, checkpoint: str) -> float:
        """The mean score of a checkpoint over tasks and lengths, from 0 to 1."""
        scores = [cell["score"] for cell in self.cells if cell["checkpoint"] == checkpoint]
        if not scores:
            raise KeyError(checkpoint)
        return sum(scores) / len(scores)
