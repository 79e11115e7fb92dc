# SPDX-License-Identifier: Apache-2.0
"""The command `anamnesis` of an installation by pip: becomes the program, whose terminal, signals and
exit code are then its own. Verbs that run a model are in a second program, which the package
anamnesis-llm-models brings (the extra `models`) and which needs the torch it was built against."""

import importlib.metadata
import importlib.util
import os
import re
import signal
import sys

MODELS = "anamnesis-llm-models"
INSTALL = "pip install 'anamnesis-llm[models]'"


def program() -> str:
    """The program that runs no model."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "anamnesis")


def _folder(module: str) -> str | None:
    """Where a package lies, without importing it."""
    found = importlib.util.find_spec(module)
    places = list(found.submodule_search_locations or []) if found else []
    return places[0] if places else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fault() -> str | None:
    """What keeps the installed anamnesis-llm-models from running, and what to do."""
    models, core, torch = _version(MODELS), _version("anamnesis-llm"), _version("torch")
    if models is None:
        return f"{INSTALL} brings it"
    if core not in (None, models):
        return f"{MODELS} is {models} and anamnesis-llm {core}: {INSTALL} --upgrade"
    pattern = re.compile(r"torch\s*==\s*(\d+\.\d+)")
    # The package's own metadata always names it.
    needed = next(found[1] for line in importlib.metadata.requires(MODELS) or [] if (found := pattern.match(line)))
    if torch is None or torch.split(".")[:2] != needed.split("."):
        found = "no torch is installed" if torch is None else f"torch {torch} is installed"
        return f"{MODELS} {models} was built against torch {needed}, and {found}: pip install 'torch=={needed}.*'"
    return None


def environment() -> dict[str, str]:
    """The environment in which the program finds the one that runs models, or says why it does not."""
    given = dict(os.environ)
    if "ANAMNESIS_LIBEXEC" in given:
        return given
    if fault := _fault():
        given["ANAMNESIS_LIBEXEC_MISSING"] = fault
        return given
    models, torch = _folder("anamnesis_models"), _folder("torch")
    if models is None or torch is None:
        given["ANAMNESIS_LIBEXEC_MISSING"] = f"its files are gone: {INSTALL} --force-reinstall"
        return given
    given["ANAMNESIS_LIBEXEC"] = os.path.join(models, "bin")
    # The program looks beside its own package, where pip puts torch unless environments are stacked.
    if os.path.realpath(os.path.dirname(torch)) != os.path.realpath(os.path.dirname(models)):
        paths = [os.path.join(torch, "lib"), given.get("LD_LIBRARY_PATH", "")]
        given["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in paths if path)
    return given


def main() -> None:
    # Python ignores these two, and what is ignored stays so in the program.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program(), ["anamnesis", *sys.argv[1:]], environment())
    except OSError as error:
        sys.exit(f"anamnesis: io: starting '{program()}' failed: {error.strerror}; install anamnesis-llm again")
