# SPDX-License-Identifier: Apache-2.0
"""The command that pip installs becomes the program."""
import os
import shutil
import signal
import subprocess
import sys

import pytest


@pytest.fixture
def installed(tmp_path, command):
    """The entry point over the program under test: an argument list to start it with."""
    import anamnesis._command as module

    program = os.path.join(os.path.dirname(module.__file__), "bin", "anamnesis")
    if os.path.exists(program):
        return [sys.executable, "-c", "from anamnesis._command import main; main()"]
    # In the build tree the program lies elsewhere.
    package = tmp_path / "entry"
    (package / "bin").mkdir(parents=True)
    os.symlink(command, package / "bin" / "anamnesis")
    (package / "_command.py").write_text(open(module.__file__).read())
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(package)!r}); from _command import main; main()"]


def test_it_prints_and_exits_as_the_program(installed, command, tmp_path):
    for arguments in (["--version"], ["inspect", "--help"], ["inspect", "/nowhere"], ["nonsense"]):
        here = subprocess.run([*installed, *arguments], capture_output=True)
        there = subprocess.run([command, *arguments], capture_output=True)
        assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)


def test_it_is_the_program_and_no_parent_of_one(installed, tmp_path):
    child = subprocess.Popen([*installed, "grade", "--in", "-", "--out", str(tmp_path / "o")], stdin=subprocess.PIPE)
    try:
        for _ in range(100):
            if os.path.basename(os.path.realpath(f"/proc/{child.pid}/exe")) == "anamnesis":
                break
            signal.sigtimedwait([], 0.05)
        assert os.path.basename(os.path.realpath(f"/proc/{child.pid}/exe")) == "anamnesis"
        with open(f"/proc/{child.pid}/status") as status:
            ignored = int(next(line.split()[1] for line in status if line.startswith("SigIgn")), 16)
        assert not ignored & (1 << (signal.SIGPIPE - 1))
    finally:
        child.kill()
        child.wait()


def test_a_missing_program_is_one_sentence(tmp_path):
    import anamnesis._command as module

    (tmp_path / "_command.py").write_text(open(module.__file__).read())
    run = subprocess.run(
        [sys.executable, "-c", "from _command import main; main()"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 1 and run.stderr.startswith("anamnesis: io: starting") and "install" in run.stderr


def program_alone(folder):
    """The program without the one that runs models beside it: of a build a copy, of a wheel where it lies."""
    import anamnesis._command as module

    built = os.environ.get("ANAMNESIS_BINARY")
    if not built:
        return module.program()
    (folder / "alone").mkdir()
    return shutil.copy(built, folder / "alone" / "anamnesis")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages in which only what a test lays down is installed; it gives the environment of
    the program from there."""
    import importlib

    import anamnesis._command as module

    folder = tmp_path / "site"
    folder.mkdir()

    class Site:
        def install(self, name, version, *requirements):
            package = folder / name.replace("-", "_")
            package.mkdir()
            (package / "__init__.py").write_text("raise ImportError('found, not imported')")
            information = folder / f"{name.replace('-', '_')}-{version}.dist-info"
            information.mkdir()
            lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {line}" for line in requirements)]
            (information / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines]) + "\n")
            if name == "anamnesis-llm-models":
                package.rename(folder / "anamnesis_models")

        def environment(self):
            return module.environment()

    monkeypatch.setattr(sys, "path", [str(folder)])
    for name in ("anamnesis_models", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("ANAMNESIS_LIBEXEC", "ANAMNESIS_LIBEXEC_MISSING", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    importlib.invalidate_caches()
    return Site()


def test_without_the_models_pip_is_named(site):
    given = site.environment()
    assert given["ANAMNESIS_LIBEXEC_MISSING"] == "pip install 'anamnesis-llm[models]' brings it"
    assert "ANAMNESIS_LIBEXEC" not in given


def test_the_models_are_found_beside_torch(site, tmp_path):
    site.install("anamnesis-llm-models", "0.1.0", "anamnesis-llm", "torch==2.13.*")
    site.install("torch", "2.13.1+cu130")
    given = site.environment()
    assert given["ANAMNESIS_LIBEXEC"] == str(tmp_path / "site" / "anamnesis_models" / "bin")
    assert "ANAMNESIS_LIBEXEC_MISSING" not in given and "LD_LIBRARY_PATH" not in given


def test_torch_of_another_folder_is_named_to_the_loader(site, tmp_path, monkeypatch):
    site.install("torch", "2.13.0")
    (tmp_path / "site").rename(tmp_path / "below")
    (tmp_path / "site").mkdir()
    site.install("anamnesis-llm-models", "0.1.0", "torch==2.13.*")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(tmp_path / "below")])
    monkeypatch.setenv("LD_LIBRARY_PATH", "/mine")
    assert site.environment()["LD_LIBRARY_PATH"] == f"{tmp_path / 'below' / 'torch' / 'lib'}:/mine"


@pytest.mark.parametrize(
    ("torch", "core", "words"),
    [
        (None, "0.1.0", ("no torch is installed", "pip install 'torch==2.13.*'")),
        ("2.12.1", "0.1.0", ("torch 2.12.1 is installed", "pip install 'torch==2.13.*'")),
        ("2.13.0", "0.2.0", ("anamnesis-llm-models is 0.1.0 and anamnesis-llm 0.2.0", "--upgrade")),
    ],
)
def test_what_does_not_fit_is_said_by_the_verb_that_needs_it(site, tmp_path, torch, core, words):
    site.install("anamnesis-llm-models", "0.1.0", "torch==2.13.*")
    site.install("anamnesis-llm", core)
    if torch:
        site.install("torch", torch)
    program = program_alone(tmp_path)
    run = subprocess.run([program, "generate", "--model", "m"], env=site.environment(), capture_output=True, text=True)
    assert run.returncode == 3 and "'generate' runs a model and needs anamnesis-torch" in run.stderr
    assert all(word in run.stderr for word in words), run.stderr
    run = subprocess.run([program, "inspect", "/nowhere"], env=site.environment(), capture_output=True, text=True)
    assert run.returncode == 3 and "'/nowhere' does not exist" in run.stderr


def test_an_environment_of_ones_own_is_left_alone(site, monkeypatch):
    monkeypatch.setenv("ANAMNESIS_LIBEXEC", "/mine")
    assert site.environment() == dict(os.environ)
