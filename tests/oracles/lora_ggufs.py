#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes testdata/lora/CASE/gguf: the base of a case in BF16 and its adapter, as llama.cpp's converters write them.

  tests/oracles/lora_ggufs.py --cases testdata/lora

Needs numpy, torch, safetensors and gguf. Rows of B are those of the weight, so they are permuted with it; of the
strength convert_lora_to_gguf carries lora_alpha alone.
"""
import argparse
import json
import pathlib

import gguf
from safetensors.torch import load_file

from family_ggufs import PERMUTED, permute, write_model

CASES = {"rslora": "qwen3", "nemotron_h": "nemotron_h_moe"}


def write_adapter(path, arch, case, names):
    config = json.loads((case / "base" / "config.json").read_text())
    adapter = json.loads((case / "adapter" / "adapter_config.json").read_text())
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(adapter["lora_alpha"]))
    for name, tensor in sorted(load_file(case / "adapter" / "adapter_model.safetensors").items()):
        module, factor = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".", 1)
        values = tensor.float().numpy()
        if factor == "lora_B" and arch in PERMUTED and module.endswith(("q_proj", "k_proj")):
            values = permute(values, config["num_attention_heads" if module.endswith("q_proj") else "num_key_value_heads"])
        module = module if names.get_name(module) else module.replace("model.", "backbone.", 1)
        writer.add_tensor(f"{names.get_name(module)}.weight.{factor.lower()}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=pathlib.Path, required=True)
    cases = parser.parse_args().cases
    for name, arch in CASES.items():
        folder = cases / name / "gguf"
        converter = write_model(folder / "base.gguf", arch, cases / name / "base")
        write_adapter(folder / "adapter.gguf", arch, cases / name, converter.names)


if __name__ == "__main__":
    main()
