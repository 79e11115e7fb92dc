#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes testdata/training/lora: five AdamW steps of LoRA adapters by PEFT.

  tests/oracles/lora_training.py testdata/training

Needs torch, transformers, peft and safetensors (made with 2.13, 5.23, 0.21.2 and 0.8). The models and the
batches are those of testdata/training; only the factors learn. Everything is computed in float64; the
adapter to start from is stored in float32, as PEFT writes it, and read back before the first step.
"""
import contextlib
import json
import math
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

STEPS, CLIP, RATE = 5, 1.0, 2e-3
ADAMW = dict(betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
CASES = {
    # PEFT's own beginning: the second factor is zero.
    "qwen3": dict(config=dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]), noise=0.0),
    # Linear layers too, rsLoRA, and factors that have learned before.
    "qwen3_5": dict(config=dict(r=3, lora_alpha=6, use_rslora=True, target_modules="all-linear"), noise=0.05),
}


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")


def make_start(folder, target, config, noise):
    torch.manual_seed(17)
    model = get_peft_model(load(folder).float(), LoraConfig(task_type="CAUSAL_LM", **config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name and noise:
                parameter.normal_(0, noise)
    model.save_pretrained(target)
    # The base's place on the machine that made it says nothing.
    path = target / "adapter_config.json"
    saved = json.loads(path.read_text())
    saved["base_model_name_or_path"] = "initial"
    path.write_text(json.dumps(saved, indent=1) + "\n")
    (target / "README.md").unlink(missing_ok=True)


def train(folder, start, batches):
    model = PeftModel.from_pretrained(load(folder), start, is_trainable=True, autocast_adapter_dtype=False)
    model = model.double().train()
    for module in model.modules():
        if hasattr(module, "inv_freq"):
            count = len(module.inv_freq)
            theta = module.config.rope_parameters["rope_theta"]
            module.inv_freq = theta ** -(torch.arange(count, dtype=torch.float64) / count)
    learned = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(learned.values(), lr=RATE, **ADAMW)
    losses, norms = [], []
    with computing_in_float64():
        for step in range(STEPS):
            ids, labels = batches["input_ids"][step], batches["labels"][step]
            logits = model(input_ids=ids).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].reshape(-1, logits.size(-1)), labels[:, 1:].reshape(-1), ignore_index=-100)
            optimiser.zero_grad()
            loss.backward()
            norm = math.sqrt(sum(float(p.grad.square().sum()) for p in learned.values()))
            for p in learned.values():
                p.grad.mul_(min(1.0, CLIP / (norm + 1e-6)))
            optimiser.step()
            losses.append(loss.item())
            norms.append(norm)
    final = {n.replace(".default", ""): p.detach().clone() for n, p in learned.items()}
    return losses, norms, final


@contextlib.contextmanager
def computing_in_float64():
    """The modelling code asks for float32 in norms, angles and gates whatever the weights are."""
    single, to_single = torch.float32, torch.Tensor.float
    torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double
    yield
    torch.float32, torch.Tensor.float = single, to_single


def main():
    root = pathlib.Path(sys.argv[1])
    for name, case in CASES.items():
        target = root / "lora" / name
        target.mkdir(parents=True, exist_ok=True)
        make_start(root / name / "initial", target / "start", case["config"], case["noise"])
        batches = load_file(root / name / "batches.safetensors")
        losses, norms, final = train(root / name / "initial", target / "start", batches)
        save_file(final, target / "final.safetensors")
        expected = dict(learning_rate=RATE, steps=STEPS, losses=losses, norms=norms)
        (target / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
        print(name, losses, norms, len(final))


if __name__ == "__main__":
    main()
