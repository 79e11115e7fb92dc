"""Turns a GGUF file into a checkpoint folder with the reference's own reader.

    python to_safetensors.py MODEL.gguf FOLDER
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    file, out = map(pathlib.Path, sys.argv[1:])
    opening = {"gguf_file": file.name}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **opening)
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **opening)
    config = model.config.to_dict()
    config.pop("quantization_config", None)
    config["dtype"] = "bfloat16"
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    weights = {
        name: weight.to(torch.bfloat16).contiguous()
        for name, weight in model.state_dict().items()
        if name not in tied
    }
    out.mkdir(parents=True)
    tokenizer.save_pretrained(out)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    # Last: what is there is whole.
    save_file(weights, out / "model.safetensors", {"format": "pt"})


main()
