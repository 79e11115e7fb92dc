# SPDX-License-Identifier: Apache-2.0
"""What the tests share. The package is the one on PYTHONPATH, or the installed one."""
import os
import pathlib
import shutil

import pytest

import anamnesis


@pytest.fixture
def pair(tmp_path):
    """The pair of the README: (pre, post)."""
    return anamnesis.example(tmp_path / "pair")


@pytest.fixture(scope="session")
def command():
    """The command that belongs to the package."""
    found = os.environ.get("ANAMNESIS_BINARY") or shutil.which("anamnesis")
    if not found:
        pytest.skip("there is no command 'anamnesis' on the PATH")
    return found


@pytest.fixture(scope="session")
def source():
    """The repository, for its test data and documents."""
    folder = os.environ.get("ANAMNESIS_SOURCE")
    if not folder:
        pytest.skip("ANAMNESIS_SOURCE names no repository: its test data is not here")
    return pathlib.Path(folder)
