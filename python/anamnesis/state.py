# SPDX-License-Identifier: Apache-2.0
"""State dicts in memory: which rows are what, how far they moved, and their repair.

A state dict maps names to torch tensors or numpy arrays. Tensors on the host that are contiguous are
read where they lie; others are copied first.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Union

from . import _core
from .errors import UsageError
from ._arguments import Path, Progress, path_text
from .jobs import _reading, make_request
from .results import CheckpointInfo, DriftReport, RoutedTensor

#: A dict as config.json holds, a config of transformers, or the path of a config.json or its folder.
Config = Union[Mapping[str, Any], Path, Any]
StateDict = Mapping[str, Any]

_dtype_names = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "complex64": "C64",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
}


def _is_torch(tensor: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, torch.Tensor)


def _dtype_name(name: str, tensor: Any) -> str:
    text = str(getattr(tensor, "dtype", None)).removeprefix("torch.")
    if text not in _dtype_names:
        raise UsageError(
            f"tensor '{name}' is a {type(tensor).__name__} of type {text}, expected a torch tensor or a "
            "numpy array of a type that safetensors has"
        )
    return _dtype_names[text]


def _shape(tensor: Any) -> list[int]:
    return [int(size) for size in tensor.shape]


def _bytes_of(name: str, tensor: Any) -> Any:
    """The bytes of a tensor as a flat array: a view where it is contiguous on the host."""
    if _is_torch(tensor):
        import torch

        if tensor.is_meta:
            raise UsageError(f"tensor '{name}' is on the device 'meta' and has no values")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise UsageError(f"tensor '{name}' is sparse or quantised, expected a dense one")
        flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return flat.view(torch.uint8)
    import numpy

    if not isinstance(tensor, numpy.ndarray):
        raise UsageError(f"tensor '{name}' is a {type(tensor).__name__}, expected a torch tensor or a numpy array")
    if tensor.dtype.byteorder == ">":
        raise UsageError(f"tensor '{name}' is big-endian, expected the bytes of this machine")
    return numpy.ascontiguousarray(tensor).reshape(-1).view(numpy.uint8)


def _named_tensors(state: StateDict, what: str) -> list[tuple[str, str, list[int], Any]]:
    if not isinstance(state, Mapping):
        raise UsageError(f"{what} is a {type(state).__name__}, expected a dict of tensors")
    listed = []
    for name, tensor in state.items():
        if not isinstance(name, str):
            raise UsageError(f"{what} has the key {name!r}, expected names of tensors")
        listed.append((name, _dtype_name(name, tensor), _shape(tensor), _bytes_of(name, tensor)))
    return listed


def _config_text(config: Config | None) -> str:
    """config.json as text; empty where there is none."""
    if config is None:
        return ""
    if hasattr(config, "to_json_string"):
        return str(config.to_json_string(use_diff=False))
    if isinstance(config, Mapping):
        try:
            return json.dumps(dict(config))
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the config is no JSON: {error}") from error
    place = os.fsdecode(os.fspath(config))
    if os.path.isdir(place):
        place = os.path.join(place, "config.json")
    with open(place, encoding="utf-8") as file:
        return file.read()


def _open(what: str, state: StateDict | Path, text: str, reading: _core.Reading) -> _core.Source:
    """A state dict, or the path of a checkpoint, as a source."""
    if isinstance(state, (str, os.PathLike)):
        return _core.open_source(path_text(state), reading)
    return _core.make_source(f"{what} (a state dict)", _named_tensors(state, what), text, reading)


def inspect_state_dict(
    state: StateDict,
    config: Config | None = None,
    *,
    family: str | None = None,
    routing: Path | None = None,
) -> CheckpointInfo:
    """What `inspect` says, of names, types and shapes alone: no value is looked at."""
    shapes = [(name, _dtype_name(name, tensor), _shape(tensor)) for name, tensor in state.items()]
    reading = _reading(family, routing, None, False)
    source = _core.make_source_of_shapes("a state dict", shapes, _config_text(config), reading)
    return CheckpointInfo.from_json(_core.inspect(source, False, reading))


def routing_map(
    source: Config | StateDict | Path,
    config: Config | None = None,
    *,
    family: str | None = None,
    routing: Path | None = None,
) -> dict[str, RoutedTensor]:
    """Which rows of which tensors are queries, keys, values, gates and latents, by the tensor's name.

    `source` is a checkpoint's path; a config (a dict, or transformers' own), whose tensors are then
    those that the family's files have; or a state dict with its `config`. `["…q_proj.weight"].slices("q")`
    gives the rows as slices.
    """
    reading = _reading(family, routing, None, False)
    if isinstance(source, (str, os.PathLike)):
        opened = _core.open_source(path_text(source), reading, lacks_tensors=True)
    elif config is not None or not _is_config(source):
        info = inspect_state_dict(source, config, family=family, routing=routing)
        return {tensor.tensor: tensor for tensor in info.routing}
    else:
        opened = _core.make_source_of_config(_config_text(source), reading)
    info = CheckpointInfo.from_json(_core.inspect(opened, False, reading))
    return {tensor.tensor: tensor for tensor in info.routing}


def _is_config(source: Any) -> bool:
    """Told from a state dict by its values: those of a config are no tensors."""
    if hasattr(source, "to_json_string"):
        return True
    if not isinstance(source, Mapping):
        raise UsageError(f"routing_map takes a path, a config or a state dict, not a {type(source).__name__}")
    return not any(hasattr(value, "shape") and hasattr(value, "dtype") for value in source.values())


def drift_state_dict(
    pre: StateDict | Path,
    post: StateDict | Path,
    config: Config | None = None,
    *,
    include_sliding: bool = False,
    include_mtp: bool = False,
    family: str | None = None,
    routing: Path | None = None,
    strict: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> DriftReport:
    """What `drift` says, of state dicts; either may be the path of a checkpoint."""
    reading = _reading(family, routing, None, strict)
    text = _config_text(config)
    return DriftReport.from_json(
        _core.measure_drift(
            _open("pre", pre, text, reading),
            _open("post", post, text, reading),
            include_sliding,
            include_mtp,
            None,
            reading,
            threads,
            progress,
        )
    )


def restore_state_dict(
    pre: StateDict | Path,
    post: StateDict,
    config: Config | None = None,
    *,
    in_place: bool = False,
    moments: Path | None = None,
    family: str | None = None,
    routing: Path | None = None,
    strict: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
    **request: object,
) -> dict[str, Any]:
    """Puts the routing of pre back into a state dict; every byte is what `restore` writes to files.

    Gives a new dict in post's order: tensors that change are new ones, of post's kind and device, all
    others are post's own. With `in_place` post's own tensors are overwritten instead. Options are
    those of `restore` that decide rows and values: `method`, `groups`, `layers`, `alpha` and so on.
    `config` is needed where names and shapes do not tell the family. `pre` may be the path of a
    checkpoint. Nobody may write to the tensors meanwhile.
    """
    wanted = make_request(**request)  # type: ignore[arg-type]
    reading = _reading(family, routing, None, strict)
    text = _config_text(config)
    repair = _core.repair_in_memory(
        _open("pre", pre, text, reading),
        _open("post", post, text, reading),
        wanted,
        path_text(moments),
        reading,
        threads,
        progress,
    )
    names = repair.list_names()
    if in_place:
        for name in names:
            _check_writable(name, post[name])
    result = dict(post)
    for name in names:
        result[name] = _rewrite(repair, name, post[name], in_place)
    return result


def _check_writable(name: str, tensor: Any) -> None:
    if not _is_torch(tensor) and not tensor.flags.writeable:
        raise UsageError(f"tensor '{name}' is read-only and cannot be repaired in place")


def _rewrite(repair: _core.MemoryRepair, name: str, tensor: Any, in_place: bool) -> Any:
    """The tensor with its new rows."""
    if _is_torch(tensor):
        import torch

        with torch.no_grad():
            target = tensor.detach().cpu().contiguous()
            if target.data_ptr() == tensor.data_ptr() and not in_place:
                target = target.clone()
            repair.write(name, target.reshape(-1).view(torch.uint8))
            if not in_place:
                return target.to(tensor.device)
            if target.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(target)
            return tensor
    import numpy

    target = numpy.array(tensor, order="C", copy=True)
    repair.write(name, target.reshape(-1).view(numpy.uint8))
    if not in_place:
        return target
    tensor[...] = target
    return tensor
