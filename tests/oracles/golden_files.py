# SPDX-License-Identifier: Apache-2.0
"""What scripts that make golden models share: the error that they state, the files, the command line."""
import argparse
import json
import pathlib

from safetensors.torch import save_file


def relative_rms(actual, expected):
    return ((actual.double() - expected).square().mean() / expected.square().mean()).sqrt().item()


def write_expected(folder, tensors, meta):
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    print(folder.name, meta)


def make_asked(description, variants, make):
    """Calls `make` with the name and the folder of every variant that the command line asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("names", nargs="*", help="all where none is given")
    asked = parser.parse_args()
    for name in asked.names or variants:
        make(name, asked.out)
