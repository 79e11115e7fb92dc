# SPDX-License-Identifier: Apache-2.0
"""Diagnose and repair attention amnesia in hybrid language models.

    import anamnesis
    anamnesis.restore(pre="base", post="sft", out="repaired")

docs/python.md has the whole API. `anamnesis.hf` has the hooks for transformers.
"""

from . import errors, results
from ._core import commit as __commit__
from ._core import version as __version__
from .errors import (
    CancelledError,
    Error,
    ExhaustedError,
    InternalError,
    IoError,
    MalformedError,
    MismatchError,
    NotFoundError,
    NumericalError,
    UnsupportedError,
    UsageError,
)
from .evaluation import grade, niah
from .jobs import doctor, drift, example, inspect, restore, undo, verify
from .results import (
    AdapterInfo,
    CheckpointInfo,
    Diagnosis,
    DriftReport,
    Finding,
    Grades,
    RecallReport,
    Receipt,
    RepairPlan,
    RoutedTensor,
    Undone,
    Verification,
)
from .state import drift_state_dict, inspect_state_dict, restore_state_dict, routing_map

__all__ = [
    "AdapterInfo",
    "CancelledError",
    "CheckpointInfo",
    "Diagnosis",
    "DriftReport",
    "Error",
    "ExhaustedError",
    "Finding",
    "Grades",
    "InternalError",
    "IoError",
    "MalformedError",
    "MismatchError",
    "NotFoundError",
    "NumericalError",
    "RecallReport",
    "Receipt",
    "RepairPlan",
    "RoutedTensor",
    "Undone",
    "UnsupportedError",
    "UsageError",
    "Verification",
    "doctor",
    "drift",
    "drift_state_dict",
    "errors",
    "example",
    "grade",
    "inspect",
    "inspect_state_dict",
    "niah",
    "restore",
    "restore_state_dict",
    "results",
    "routing_map",
    "undo",
    "verify",
]
