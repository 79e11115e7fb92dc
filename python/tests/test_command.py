# SPDX-License-Identifier: Apache-2.0
"""The command that pip installs becomes the program."""
import os
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
