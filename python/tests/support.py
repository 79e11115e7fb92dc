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
    header, begin = {}, 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": _names[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [begin, begin + array.nbytes],
        }
        begin += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(array.tobytes())
