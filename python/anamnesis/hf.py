# SPDX-License-Identifier: Apache-2.0
"""Hooks for transformers' Trainer, and for TRL's trainers, which are Trainers too.

    from anamnesis import hf
    callback = hf.RestoreCallback(pre="base", gate=hf.NeedleGate(length=4096), min_recall=0.8)
    trainer = SFTTrainer(model, callbacks=[callback], ...)

docs/python.md says what is logged and written.
"""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from . import _core, jobs, state
from .errors import Error, UsageError
from .results import DriftReport, Receipt, RoutedTensor

try:
    import torch
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as missing:
    raise ImportError("anamnesis.hf needs torch and transformers: pip install transformers torch") from missing

logger = logging.getLogger("anamnesis")

#: Recall of a model in training, from 0 to 1, given the model and the tokenizer (None without one).
Gate = Callable[[Any, Any], float]

_softmax = ("full", "mla")


def _unwrap(model: Any) -> Any:
    """The model without what distributed training, compilation and PEFT put around it."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None:
            inner = getattr(model, "module", None)
        if inner is None and hasattr(model, "get_base_model"):
            inner = model.get_base_model()
        if inner is None or inner is model:
            return model
        model = inner


def _weights(model: Any) -> dict[str, Callable[[], torch.Tensor]]:
    """The weights that the model computes with, by the names of a checkpoint: those of a LoRA layer
    are base and adapter together, and made only when called."""
    weights: dict[str, Callable[[], torch.Tensor]] = {}
    layers = {name: module for name, module in model.named_modules() if hasattr(module, "base_layer")}
    for name, parameter in model.named_parameters():
        owner = next((layer for layer in layers if name.startswith(layer + ".")), None)
        if owner is None:
            weights[name] = lambda parameter=parameter: parameter.detach()
        elif name == owner + ".base_layer.weight":
            weights[owner + ".weight"] = lambda layer=layers[owner]: _merge_lora(layer)
        elif name.startswith(owner + ".base_layer."):
            weights[owner + name.removeprefix(owner + ".base_layer")] = lambda parameter=parameter: parameter.detach()
    return weights


def _merge_lora(layer: Any) -> torch.Tensor:
    weight = layer.base_layer.weight.detach()
    if layer.merged or layer.disable_adapters:
        return weight
    for adapter in layer.active_adapters:
        if adapter in layer.lora_A:
            weight = weight + layer.get_delta_weight(adapter).detach().to(weight.dtype)
    return weight


def _find_routing(model: Any, weights: dict[str, Callable[[], torch.Tensor]]) -> dict[str, RoutedTensor]:
    """The tensors of softmax attention, by the names of `weights`.
    Errors: `UsageError` where parameters are sharded, so that no process has their rows."""
    shapes = {name: _Shape(make()) for name, make in weights.items()}
    if any(0 in shape.shape for shape in shapes.values()):
        raise UsageError("the model's parameters are sharded over processes, so their rows cannot be told")
    config = json.loads(model.config.to_json_string(use_diff=False))
    info = state.inspect_state_dict(shapes, config)
    return {tensor.tensor: tensor for tensor in info.routing}


class _Shape:
    """Shape and type of a tensor, which itself may go."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.shape = tuple(tensor.shape)
        self.dtype = tensor.dtype


class FrozenRows(TrainerCallback):
    """What `freeze_qk` froze. As a callback of a Trainer, or after `attach`, it also keeps rows of
    tensors that are frozen in part from weight decay and from the optimiser's momentum."""

    def __init__(self) -> None:
        #: Names of the parameters that are frozen whole.
        self.parameters: list[str] = []
        #: Of the others: which rows.
        self.rows: dict[str, list[slice]] = {}
        self._kept: list[tuple[torch.nn.Parameter, list[slice], list[torch.Tensor]]] = []
        self._handles: list[Any] = []

    def _freeze(self, name: str, parameter: torch.nn.Parameter, rows: list[slice]) -> None:
        if rows == [slice(0, parameter.shape[0])]:
            parameter.requires_grad_(False)
            self.parameters.append(name)
            return

        def clear(gradient: torch.Tensor) -> torch.Tensor:
            cleared = gradient.clone()
            for part in rows:
                cleared[part] = 0
            return cleared

        self.rows[name] = rows
        self._kept.append((parameter, rows, [parameter.detach()[part].clone() for part in rows]))
        if parameter.requires_grad:
            self._handles.append(parameter.register_hook(clear))

    def write_back(self) -> None:
        """Puts the frozen rows back, to the bit."""
        with torch.no_grad():
            for parameter, rows, kept in self._kept:
                for part, values in zip(rows, kept):
                    parameter[part] = values.to(parameter.device)

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Calls `write_back` after every step of an optimiser: for training loops of your own."""
        self._handles.append(optimizer.register_step_post_hook(lambda *_: self.write_back()))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.write_back()


def freeze_qk(
    model: Any, *, roles: str = "qk", layers: list[int] | None = None, include_sliding: bool = False
) -> FrozenRows:
    """Freezes W_Q and W_K (and their biases) of the softmax layers of a model of transformers.

    A parameter whose rows are all frozen no longer requires a gradient. Where only some are (an output
    gate beside the queries, fused projections) their gradient is zero; give the result to the Trainer as
    a callback, or `attach` it to the optimiser, so that weight decay leaves them alone too. `roles` may
    name others: "q", "k", "v", "gate", "latent", joined by commas.
    Errors: `UsageError` where nothing is to freeze and where parameters are sharded.
    """
    inner = _unwrap(model)
    parameters = dict(inner.named_parameters())
    frozen = FrozenRows()
    for name, tensor in _find_routing(inner, _weights(inner)).items():
        kinds = _softmax + (("sliding",) if include_sliding else ())
        if tensor.group not in ("weight", "bias") or tensor.mtp or tensor.kind not in kinds:
            continue
        rows = tensor.slices(roles)
        if rows and (layers is None or tensor.layer in layers):
            base = name.rsplit(".", 1)
            place = name if name in parameters else f"{base[0]}.base_layer.{base[1]}"
            frozen._freeze(place, parameters[place], rows)
    if not frozen.parameters and not frozen.rows:
        raise UsageError(f"the model has no rows of {roles} in softmax layers" + (f" {layers}" if layers else ""))
    return frozen


@dataclass
class NeedleGate:
    """Recall of needles in haystacks as RULER makes them (task s1, s2 or s3), which the model in
    training answers greedily. A value is the share of needles that an answer holds."""

    length: int = 4096
    samples: int = 20
    task: str = "s1"
    seed: int = 42
    tokens_to_generate: int = 128

    def __call__(self, model: Any, tokenizer: Any) -> float:
        if tokenizer is None:
            raise UsageError("NeedleGate needs the tokenizer: give it to the Trainer as processing_class")
        found = [self._ask(model, tokenizer, prompt) for prompt in self._prompts(tokenizer)]
        return sum(found) / len(found)

    def _prompts(self, tokenizer: Any) -> Iterator[dict[str, Any]]:
        recall = _core.make_recall(
            [self.task], [str(self.length)], self.samples, self.seed, None, "base", 0, self.tokens_to_generate, None
        )
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save_pretrained(folder)
            out = os.path.join(folder, "prompts.jsonl")
            _core.write_prompts(recall, folder, out, None)
            with open(out, encoding="utf-8") as file:
                yield from [json.loads(line) for line in file]

    def _ask(self, model: Any, tokenizer: Any, prompt: dict[str, Any]) -> float:
        inputs = tokenizer(prompt["input"] + prompt.get("answer_prefix", ""), return_tensors="pt").to(model.device)
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                output = model.generate(**inputs, max_new_tokens=self.tokens_to_generate, do_sample=False)
        finally:
            model.train(was_training)
        answer = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).lower()
        wanted = [str(value).lower() for value in prompt["outputs"]]
        return sum(value in answer for value in wanted) / len(wanted)


@dataclass
class SavedCheckpoint:
    """What became of one checkpoint that the Trainer saved."""

    path: str
    step: int
    recall: float | None = None
    passed: bool = True
    repaired: str | None = None
    receipt: Receipt | None = None


@dataclass
class DriftPoint:
    """How far W_Q and W_K of the softmax layers were from pre at a step."""

    step: int
    q: float
    k: float
    layers: dict[int, dict[str, float]] = field(default_factory=dict)


class RestoreCallback(TrainerCallback):
    """Watches what a fine-tune does to the routing, and keeps repaired copies.

    pre: the checkpoint before the fine-tune, a folder or a name in the local Hugging Face cache. Drift
        is measured from it; without it, from the weights at the start of training.
    gate, min_recall: asked of every checkpoint that is saved. Below `min_recall`, `on_fail` decides:
        "warn", or "stop", which ends training.
    repair: "always" writes a repaired copy of every saved checkpoint, "failed" of those below
        `min_recall`, "never" none. Copies go to `OUTPUT_DIR/repaired/checkpoint-N`, where no Trainer
        looks for checkpoints. They need `pre`.
    options: those of `anamnesis.restore`: method, layers, alpha and so on.

    With every log the figures `anamnesis/drift_q` and `anamnesis/drift_k` enter the Trainer's history;
    `attach` lets trackers such as TensorBoard see them too. `drift` and `saved` keep all.
    """

    def __init__(
        self,
        pre: jobs.Path | None = None,
        *,
        gate: Gate | None = None,
        min_recall: float = 0.0,
        on_fail: Literal["warn", "stop"] = "warn",
        repair: Literal["always", "failed", "never"] | None = None,
        **options: Any,
    ) -> None:
        if on_fail not in ("warn", "stop"):
            raise UsageError(f"on_fail is {on_fail!r}, expected 'warn' or 'stop'")
        self._repair = repair or ("never" if pre is None else "always")
        if self._repair not in ("always", "failed", "never"):
            raise UsageError(f"repair is {repair!r}, expected 'always', 'failed' or 'never'")
        if pre is None and self._repair != "never":
            raise UsageError("a repaired copy needs pre, the checkpoint before the fine-tune")
        if gate is None and (min_recall or self._repair == "failed"):
            raise UsageError("min_recall and repair='failed' need a gate")
        jobs.make_request(**{key: value for key, value in options.items() if key in _request_options})
        self._pre = None if pre is None else _find_folder(pre)
        self._gate, self._min_recall, self._on_fail, self._options = gate, min_recall, on_fail, options
        self._routing: dict[str, RoutedTensor] = {}
        self._before: dict[str, torch.Tensor] = {}
        self.drift: list[DriftPoint] = []
        self.saved: list[SavedCheckpoint] = []

    def attach(self, trainer: Any) -> None:
        """Adds the callback to a Trainer before all others, so that those which report see its figures."""
        trainer.callback_handler.callbacks.insert(0, self)

    def measure(self, model: Any) -> DriftReport:
        """The drift of the tensors of softmax attention now."""
        inner = _unwrap(model)
        weights = _weights(inner)
        now = {name: weights[name]().to("cpu", torch.float32) for name in self._before}
        return state.drift_state_dict(self._before, now, self._config)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **_: Any
    ) -> None:
        inner = _unwrap(model)
        try:
            weights = _weights(inner)
            routing = _find_routing(inner, weights)
        except Error as error:
            logger.warning("drift is not measured: %s", error.message)
            return
        self._config = json.loads(inner.config.to_json_string(use_diff=False))
        self._routing = routing
        if not state.is_world_process_zero:
            return
        self._before = {name: weights[name]().to("cpu", torch.float32, copy=True) for name in self._routing}
        if self._pre is not None:
            self._before.update(_read_tensors(self._pre, self._routing))
        try:
            self.measure(inner)
        except Error as error:
            logger.warning("drift is not measured: %s", error.message)
            self._before = {}

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not self._before or not state.is_world_process_zero:
            return
        point = _summarise(self.measure(model), self._routing, state.global_step)
        self.drift.append(point)
        figures = {"anamnesis/drift_q": point.q, "anamnesis/drift_k": point.k}
        if logs is not None:
            logs.update(figures)
        if state.log_history:
            state.log_history[-1].update(figures)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        processing_class: Any = None,
        **_: Any,
    ) -> None:
        name = f"checkpoint-{state.global_step}"
        saved = SavedCheckpoint(path=os.path.join(args.output_dir, name), step=state.global_step)
        if self._gate is not None:
            saved.recall = float(self._gate(model, processing_class))
            saved.passed = saved.recall >= self._min_recall
            if not saved.passed:
                logger.warning(
                    "%s: recall is %.3f, below %.3f", saved.path, saved.recall, self._min_recall
                )
                control.should_training_stop = control.should_training_stop or self._on_fail == "stop"
        if not state.is_world_process_zero:
            return
        self.saved.append(saved)
        if self._repair == "always" or (self._repair == "failed" and not saved.passed):
            self._write_copy(saved, os.path.join(args.output_dir, "repaired", name))

    def _write_copy(self, saved: SavedCheckpoint, out: str) -> None:
        """A training run goes on whatever becomes of the copy."""
        os.makedirs(os.path.dirname(out), exist_ok=True)
        try:
            saved.receipt = jobs.restore(self._pre, saved.path, out=out, **self._options)
            saved.repaired = out
        except Error as error:
            logger.warning("%s could not be repaired: %s", saved.path, error.message)


_request_options = set(jobs.make_request.__kwdefaults__)


def _find_folder(pre: jobs.Path) -> str:
    """The folder of a checkpoint, or of a name that the Hugging Face cache has."""
    place = os.fspath(pre)
    if os.path.exists(place):
        return place
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(place, local_files_only=True)
    except Exception as error:
        raise UsageError(f"pre is '{place}', which is neither a folder nor in the Hugging Face cache") from error


def _read_tensors(folder: str, routing: dict[str, RoutedTensor]) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint on disk that a model in training has by the same names."""
    from safetensors import safe_open

    tensors: dict[str, torch.Tensor] = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(folder, name), framework="pt") as file:
                for key in file.keys():
                    if key in routing:
                        tensors[key] = file.get_tensor(key).to(torch.float32)
    return tensors


def _summarise(report: DriftReport, routing: dict[str, RoutedTensor], step: int) -> DriftPoint:
    """W_Q and W_K of the softmax layers: each layer's drift, and their mean."""
    layers: dict[int, dict[str, float]] = {}
    found: dict[str, list[float]] = {"q": [], "k": []}
    for tensor in report.tensors:
        routed = routing.get(tensor.name)
        if routed is None or routed.group != "weight" or routed.kind not in _softmax or routed.layer is None:
            continue
        if tensor.part in found and tensor.drift is not None:
            layers.setdefault(routed.layer, {})[tensor.part] = tensor.drift
            found[tensor.part].append(tensor.drift)
    mean = {part: sum(values) / len(values) if values else math.nan for part, values in found.items()}
    return DriftPoint(step=step, q=mean["q"], k=mean["k"], layers=layers)
