# SPDX-License-Identifier: Apache-2.0
"""A Llama of two layers with random float32 weights, as a folder and as a GGUF file of the same weights.

Its tokenizer is that of testdata (byte-level BPE). Nothing but the standard library is needed.
"""
import json
import pathlib
import random
import shutil
import struct
from array import array

# vLLM on a CPU has no heads of 16.
WIDTH, LAYERS, HEADS, KV_HEADS, HEAD, FFN, CONTEXT, BASE = 64, 2, 4, 2, 32, 128, 4096, 10000.0


def make_weights(vocabulary, readable, seed):
    """Name in the folder: (name in the GGUF file, rows, columns, values).

    Only `readable` tokens are ever likeliest: servers write bytes that make no character in ways of their own.
    """
    draw = random.Random(seed)

    def matrix(rows, columns, spread):
        return rows, columns, array("f", (draw.gauss(0.0, spread) for _ in range(rows * columns)))

    def ones():
        return 0, WIDTH, array("f", [1.0] * WIDTH)

    inside = WIDTH**-0.5
    weights = {
        "model.embed_tokens.weight": ("token_embd.weight", *matrix(vocabulary, WIDTH, 1.0)),
        "model.norm.weight": ("output_norm.weight", *ones()),
        "lm_head.weight": ("output.weight", *matrix(vocabulary, WIDTH, 0.6)),
    }
    head = weights["lm_head.weight"][3]
    for token in set(range(vocabulary)) - readable:
        head[token * WIDTH : (token + 1) * WIDTH] = array("f", [0.0] * WIDTH)
    for layer in range(LAYERS):
        here, there = f"model.layers.{layer}.", f"blk.{layer}."
        for name, other, rows, columns in (
            ("self_attn.q_proj", "attn_q", HEADS * HEAD, WIDTH),
            ("self_attn.k_proj", "attn_k", KV_HEADS * HEAD, WIDTH),
            ("self_attn.v_proj", "attn_v", KV_HEADS * HEAD, WIDTH),
            ("self_attn.o_proj", "attn_output", WIDTH, HEADS * HEAD),
            ("mlp.gate_proj", "ffn_gate", FFN, WIDTH),
            ("mlp.up_proj", "ffn_up", FFN, WIDTH),
            ("mlp.down_proj", "ffn_down", WIDTH, FFN),
        ):
            weights[f"{here}{name}.weight"] = (f"{there}{other}.weight", *matrix(rows, columns, 1.5 * inside))
        weights[f"{here}input_layernorm.weight"] = (f"{there}attn_norm.weight", *ones())
        weights[f"{here}post_attention_layernorm.weight"] = (f"{there}ffn_norm.weight", *ones())
    return weights


def write_folder(folder, tokenizer, weights, vocabulary, end):
    folder.mkdir()
    for file in tokenizer.iterdir():
        shutil.copy(file, folder / file.name)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD, "intermediate_size": FFN, "max_position_embeddings": CONTEXT, "rope_theta": BASE,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "vocab_size": vocabulary, "tie_word_embeddings": False,
        "torch_dtype": "float32", "bos_token_id": None, "eos_token_id": end,
    }
    (folder / "config.json").write_text(json.dumps(config))
    header, data = {}, b""
    for name, (_, rows, columns, values) in weights.items():
        shape = [rows, columns] if rows else [columns]
        piece = values.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + data)


def pair_rows(rows, columns, values, heads):
    """llama.cpp turns the halves of a head into pairs."""
    half = rows // heads // 2
    order = [h * 2 * half + part * half + i for h in range(heads) for i in range(half) for part in (0, 1)]
    return array("f", (values[row * columns + c] for row in order for c in range(columns)))


def write_gguf(path, tokenizer, weights, end):
    described = json.loads((tokenizer / "tokenizer.json").read_text())
    ids = dict(described["model"]["vocab"])
    special = {token["id"]: token["content"] for token in described["added_tokens"]}
    texts = {**{number: text for text, number in ids.items()}, **special}
    tokens = [texts[number] for number in range(len(texts))]
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in described["model"]["merges"]]

    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def key(name, kind, value):
        return text(name) + struct.pack("<I", kind) + value

    def number(name, value):
        return key(name, 4, struct.pack("<I", value))

    def real(name, value):
        return key(name, 6, struct.pack("<f", value))

    def words(name, values):
        return key(name, 9, struct.pack("<IQ", 8, len(values)) + b"".join(map(text, values)))

    def flags(name, values):
        return key(name, 9, struct.pack("<IQ", 5, len(values)) + struct.pack(f"<{len(values)}i", *values))

    keys = [
        key("general.architecture", 8, text("llama")), number("general.file_type", 0),
        number("llama.context_length", CONTEXT), number("llama.embedding_length", WIDTH),
        number("llama.block_count", LAYERS), number("llama.feed_forward_length", FFN),
        number("llama.attention.head_count", HEADS), number("llama.attention.head_count_kv", KV_HEADS),
        number("llama.attention.key_length", HEAD), number("llama.attention.value_length", HEAD),
        number("llama.rope.dimension_count", HEAD), real("llama.rope.freq_base", BASE),
        real("llama.attention.layer_norm_rms_epsilon", 1e-5), number("llama.vocab_size", len(tokens)),
        key("tokenizer.ggml.model", 8, text("gpt2")), key("tokenizer.ggml.pre", 8, text("qwen2")),
        words("tokenizer.ggml.tokens", tokens), words("tokenizer.ggml.merges", merges),
        flags("tokenizer.ggml.token_type", [3 if i in special else 1 for i in range(len(tokens))]),
        number("tokenizer.ggml.eos_token_id", end), key("tokenizer.ggml.add_bos_token", 7, b"\0"),
    ]
    infos, data = b"", b""
    for name, rows, columns, values in weights.values():
        heads = {"attn_q.weight": HEADS, "attn_k.weight": KV_HEADS}.get(name.split(".", 2)[-1])
        values = pair_rows(rows, columns, values, heads) if heads else values
        sizes = [columns, rows] if rows else [columns]
        infos += text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, 0, len(data))
        data += values.tobytes()
        data += b"\0" * (-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(keys)) + b"".join(keys) + infos
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)


def write(folder, tokenizer, name="tiny", seed=7):
    """Gives back the checkpoint folder and the GGUF file."""
    folder, tokenizer = pathlib.Path(folder), pathlib.Path(tokenizer)
    described = json.loads((tokenizer / "tokenizer.json").read_text())
    special = {token["content"]: token["id"] for token in described["added_tokens"]}
    vocabulary = max([*described["model"]["vocab"].values(), *special.values()]) + 1
    end = special["<|endoftext|>"]
    readable = {number for text, number in described["model"]["vocab"].items()
                if all(c == "Ġ" or " " < c <= "~" for c in text)}
    weights = make_weights(vocabulary, readable, seed)
    write_folder(folder / name, tokenizer, weights, vocabulary, end)
    write_gguf(folder / f"{name}.gguf", tokenizer, weights, end)
    return folder / name, folder / f"{name}.gguf"


def convert(folder, tokenizer, path):
    """Writes a folder of this form, whatever wrote it, as a GGUF file."""
    tokenizer = pathlib.Path(tokenizer)
    described = json.loads((tokenizer / "tokenizer.json").read_text())
    special = {token["content"]: token["id"] for token in described["added_tokens"]}
    weights = make_weights(1, set(), 0)
    for name, (rows, columns, values) in read_folder(folder).items():
        weights[name] = (weights[name][0], rows, columns, values)
    write_gguf(path, tokenizer, weights, special["<|endoftext|>"])


def read_folder(folder):
    """Rows (0 of a vector), columns and values of every tensor of one float32 file, by name."""
    bytes_ = (folder / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", bytes_[:8])[0]
    tensors = {}
    for name, entry in json.loads(bytes_[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            rows, columns = ([0] + entry["shape"])[-2:]
            tensors[name] = rows, columns, array("f", bytes_[begin:end])
    return tensors
