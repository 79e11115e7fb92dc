# SPDX-License-Identifier: Apache-2.0
"""The jobs on checkpoint files. `anamnesis` has their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Literal, overload

from . import _core
from ._arguments import Numbers, Path, Progress, path_text, split_words
from .errors import UsageError
from .results import (
    AdapterInfo,
    CheckpointInfo,
    Diagnosis,
    DriftReport,
    Receipt,
    RepairPlan,
    Undone,
    Verification,
)


def _reading(family: str | None, routing: Path | None, config: Path | None, strict: bool) -> _core.Reading:
    return _core.Reading(family=family, routing=path_text(routing), config=path_text(config), strict=strict)


def _numbers(numbers: Numbers | None, what: str) -> list[int] | None:
    if numbers is None:
        return None
    if isinstance(numbers, str):
        return _core.parse_numbers(numbers, what)
    found = list(numbers)
    if not all(isinstance(number, int) and 0 <= number < 2**32 for number in found):
        raise UsageError(f"{what} holds {found!r}, expected numbers from 0, or a text such as '3,7,11-15'")
    return found


def _floats(values: float | Sequence[float] | None) -> list[float]:
    if values is None:
        return []
    return [float(values)] if isinstance(values, (int, float)) else [float(value) for value in values]


def make_request(
    *,
    method: str | None = None,
    groups: str | Iterable[str] | None = None,
    layers: Numbers | None = None,
    heads: Numbers | None = None,
    lambda_rel: float | Sequence[float] | None = None,
    lambda_abs: float | Sequence[float] | None = None,
    metric: str | None = None,
    alpha: float | None = None,
    mu: float | Sequence[float] | None = None,
    keys: str = "attention",
    rounds: int = 0,
    bias: bool = True,
    include_sliding: bool = False,
    include_mtp: bool = False,
    include_norms: bool = False,
    include_adapters: bool = False,
    imatrix: Path | None = None,
    via: str = "none",
    exact: bool = False,
    allow: str | Iterable[str] = (),
    note: str = "",
) -> _core.Request:
    """Which rows a repair takes and how they become the new ones, as `restore` is told it."""
    request = _core.make_request(
        method=method,
        groups=None if groups is None else ",".join(split_words(groups)),
        lambda_rel=_floats(lambda_rel),
        lambda_abs=_floats(lambda_abs),
        metric=metric,
        alpha=None if alpha is None else float(alpha),
    )
    request.take_rows(
        layers=_numbers(layers, "layers"),
        heads=_numbers(heads, "heads"),
        bias=bias,
        include_sliding=include_sliding,
        include_mtp=include_mtp,
        include_norms=include_norms,
        include_adapters=include_adapters,
    )
    request.set_quantising(imatrix=path_text(imatrix) or "", via=via, exact=exact)
    request.allow(split_words(allow))
    if method == "fit":
        request.set_fit(mu=_floats(mu) or [0.3], keys=keys, rounds=rounds)
    elif mu is not None or rounds:
        raise UsageError("mu and rounds belong to method='fit'")
    request.note = note
    return request


def inspect(
    path: Path,
    *,
    base: Path | None = None,
    tensors: bool = False,
    family: str | None = None,
    routing: Path | None = None,
    config: Path | None = None,
    strict: bool = False,
) -> CheckpointInfo | AdapterInfo:
    """Says what a checkpoint is and which rows are W_Q and W_K.

    `path` is a folder, a .safetensors or .gguf file, or a LoRA adapter, of which `base` is the base.
    `tensors` lists every tensor. `family`, `routing` and `config` help where config.json does not say
    enough (docs/routing-file.md); `strict` makes a warning an error.
    """
    reading = _reading(family, routing, config, strict)
    place = path_text(path)
    if _core.is_adapter(place):
        return AdapterInfo.from_json(_core.inspect_adapter(place, path_text(base), reading, None))
    if base is not None:
        raise UsageError(f"base belongs to an adapter, and '{place}' is a checkpoint")
    source = _core.open_source(place, reading, lacks_tensors=True)
    return CheckpointInfo.from_json(_core.inspect(source, tensors, reading))


def doctor(
    path: Path,
    post: Path | None = None,
    *,
    html: Path | None = None,
    family: str | None = None,
    routing: Path | None = None,
    config: Path | None = None,
    strict: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    """Examines a checkpoint, or with `post` the pair before surgery. Reads every value once."""
    reading = _reading(family, routing, config, strict)
    first = _core.open_source(path_text(path), reading, lacks_tensors=True)
    second = None if post is None else _core.open_source(path_text(post), reading, lacks_tensors=True)
    return Diagnosis.from_json(_core.examine(first, second, path_text(html), reading, threads, progress))


def drift(
    pre: Path,
    post: Path,
    *,
    include_sliding: bool = False,
    include_mtp: bool = False,
    html: Path | None = None,
    family: str | None = None,
    routing: Path | None = None,
    config: Path | None = None,
    strict: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
) -> DriftReport:
    """Measures how far a fine-tune moved each part, layer and head. `html` is a page to write."""
    reading = _reading(family, routing, config, strict)
    before = _core.open_source(path_text(pre), reading)
    after = _core.open_source(path_text(post), reading)
    return DriftReport.from_json(
        _core.measure_drift(before, after, include_sliding, include_mtp, path_text(html), reading, threads, progress)
    )


def _make_output(
    out: Path | None,
    in_place: bool,
    patch: Path | None,
    dry_run: bool,
    merges: bool,
    as_peft: bool,
    tidy: bool,
    moments: Path | None,
) -> _core.Output:
    chosen = [name for name, given in (("out", out is not None), ("in_place", in_place), ("patch", patch is not None)) if given]
    if len(chosen) > 1:
        raise UsageError(f"restore takes one of out, in_place and patch; {' and '.join(chosen)} are given")
    if not chosen and not dry_run:
        raise UsageError("restore needs out=FOLDER, in_place=True, patch=FILE or dry_run=True")
    kind = chosen[0] if chosen else "out"
    if merges and kind != "out":
        raise UsageError("adapter makes a new checkpoint: give out, not in_place or patch")
    if as_peft and not merges:
        raise UsageError("as_peft belongs to adapter")
    place = patch if patch is not None else out
    return _core.make_output(kind, path_text(place) or "", dry_run, merges, as_peft, tidy, path_text(moments))


def _set_folder(output: _core.Output, is_folder: bool, options: dict[str, bool]) -> None:
    if not is_folder:
        for name, value in options.items():
            if value != (name == "sync"):
                raise UsageError(f"{name} belongs to out")
    output.set_folder(**options)


@overload
def restore(pre: Path, post: Path | None = ..., *, dry_run: Literal[True], **options: object) -> RepairPlan: ...
@overload
def restore(pre: Path, post: Path | None = ..., *, dry_run: Literal[False] = ..., **options: object) -> Receipt: ...
def restore(
    pre: Path,
    post: Path | None = None,
    *,
    out: Path | None = None,
    in_place: bool = False,
    patch: Path | None = None,
    dry_run: bool = False,
    adapter: Path | None = None,
    as_peft: bool = False,
    tidy: bool = False,
    moments: Path | None = None,
    link: bool = False,
    model_card: bool = False,
    sync: bool = True,
    clean_names: bool = False,
    stamp: bool = False,
    fix_config: bool = False,
    family: str | None = None,
    routing: Path | None = None,
    config: Path | None = None,
    strict: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
    **request: object,
) -> Receipt | RepairPlan:
    """Puts the routing of pre back into post.

    The result goes to `out` (a new folder or file), into post itself (`in_place`, which `undo` takes
    back) or into a small `patch`. `post` may be a LoRA adapter of pre; `adapter` in its place is merged.
    Everything of `make_request` may be given: `method` ("qk" by default; q, k, v, pro, lerp, align,
    fit), `groups`, `layers`, `heads`, `lambda_rel`, `alpha`, `allow`, `include_mtp` and so on. `fit`
    needs the `moments` of a calibration that the command made.
    """
    wanted = make_request(**request)  # type: ignore[arg-type]
    if (post is None) == (adapter is None):
        raise UsageError("restore needs post, or adapter in its place")
    output = _make_output(out, in_place, patch, dry_run, adapter is not None, as_peft, tidy, moments)
    folder = {
        "link": link,
        "model_card": model_card,
        "sync": sync,
        "clean_names": clean_names,
        "stamp": stamp,
        "fix_config": fix_config,
    }
    _set_folder(output, not in_place and patch is None, folder)
    document = _core.restore(
        path_text(pre),
        path_text(adapter if post is None else post),
        wanted,
        output,
        _reading(family, routing, config, strict),
        threads,
        progress,
    )
    return RepairPlan.from_json(document) if dry_run else Receipt.from_json(document)


def verify(
    pre: Path,
    post: Path | None = None,
    repaired: Path | None = None,
    *,
    adapter: Path | None = None,
    as_peft: bool = False,
    weights_only: bool = False,
    moments: Path | None = None,
    family: str | None = None,
    routing: Path | None = None,
    config: Path | None = None,
    strict: bool = False,
    threads: int = 0,
    progress: Progress | None = None,
    **request: object,
) -> Verification:
    """Proves from the bytes which rows of a repair come from where.

    What is to be proven is the receipt's claim, or that of the options of `make_request` where any is
    given. The result is true where everything is proven; else `deviations` names what is not.
    """
    if (post is None) == (adapter is None):
        raise UsageError("verify needs post, or adapter for a merged adapter")
    if repaired is None:
        raise UsageError("verify needs repaired, the repaired checkpoint or adapter")
    document = _core.verify(
        path_text(pre),
        path_text(adapter if post is None else post),
        path_text(repaired),
        adapter is not None,
        make_request(**request) if request else None,  # type: ignore[arg-type]
        path_text(moments),
        as_peft,
        weights_only,
        _reading(family, routing, config, strict),
        threads,
        progress,
    )
    return Verification.from_json(document)


def undo(path: Path, *, threads: int = 0, progress: Progress | None = None) -> Undone:
    """Brings back every byte of a repair in place, also after a crash in its middle."""
    return Undone.from_json(_core.undo(path_text(path), threads, progress))


def example(folder: Path) -> tuple[str, str]:
    """Writes the pair of the README, `folder`/pre and `folder`/post, and gives their paths."""
    place = path_text(folder) or ""
    _core.write_example_pair(place)
    return os.path.join(place, "pre"), os.path.join(place, "post")
