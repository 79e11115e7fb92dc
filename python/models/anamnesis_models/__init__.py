# SPDX-License-Identifier: Apache-2.0
"""The program that runs models, `anamnesis-torch`, for the command of anamnesis-llm."""

import importlib.metadata
import os

#: The release of torch that the program is built against; its libraries' interfaces are fixed within it.
TORCH = "2.13"


def find_torch() -> str:
    """The version of torch in this environment; "none" where there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def find_program_folder() -> str:
    """Where `anamnesis` finds `anamnesis-torch`. With another torch than that it is built against, a
    folder whose program says so in one line."""
    place = os.path.dirname(os.path.abspath(__file__))
    found = find_torch()
    if found == TORCH or found.startswith(TORCH + "."):
        return os.path.join(place, "bin")
    os.environ["ANAMNESIS_TORCH_FOUND"] = found
    os.environ["ANAMNESIS_TORCH_WANTED"] = TORCH
    return os.path.join(place, "refusal")
