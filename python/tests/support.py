# SPDX-License-Identifier: Apache-2.0
"""Reads and writes safetensors without the library of that name, which may not be installed."""
import json
import pathlib

_names = {"float32": "F32", "float16": "F16"}


def read_weights(folder):
    """Name to (dtype, shape, bytes), of all files of a folder."""
    weights = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        data = file.read_bytes()
        size = int.from_bytes(data[:8], "little")
        for name, entry in json.loads(data[8 : 8 + size]).items():
            if name != "__metadata__":
                begin, end = (8 + size + offset for offset in entry["data_offsets"])
                weights[name] = entry["dtype"], entry["shape"], data[begin:end]
    return weights


def write_weights(folder, arrays, config):
    """One model.safetensors of numpy arrays, and config.json."""
    write_bytes(
        folder,
        {name: (_names[str(array.dtype)], list(array.shape), array.tobytes()) for name, array in arrays.items()},
        config,
    )


def write_bytes(folder, weights, config):
    """The same of what read_weights gives."""
    header, begin = {}, 0
    for name, (dtype, shape, data) in weights.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + len(data)]}
        begin += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, _, data in weights.values():
            file.write(data)


def widen_vocabulary(source, folder, size):
    """A checkpoint whose embedding and head have `size` rows, for a tokenizer larger than its own."""
    config = json.loads((pathlib.Path(source) / "config.json").read_text())
    own = config["vocab_size"]
    weights = {}
    for name, (dtype, shape, data) in read_weights(source).items():
        if shape[0] == own:
            row = len(data) // own
            data, shape = (data * (size // own + 1))[: size * row], [size, *shape[1:]]
        weights[name] = dtype, shape, data
    write_bytes(folder, weights, {**config, "vocab_size": size})
