# SPDX-License-Identifier: Apache-2.0
"""Runs a file of tests; 77, which ctest takes as skipped, where every test of it was skipped or
pytest is missing."""
import sys

try:
    import pytest
except ImportError:
    print(f"skipped: {sys.executable} has no pytest (tools/bootstrap.sh --python)")
    sys.exit(77)


class Counter:
    def __init__(self):
        self.ran = 0
        self.skipped = 0

    def pytest_runtest_logreport(self, report):
        self.ran += report.when == "call" and not report.skipped
        self.skipped += report.skipped

    def pytest_collectreport(self, report):
        self.skipped += report.skipped


counter = Counter()
code = pytest.main(["-q", "-rs", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[counter])
if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) and counter.ran == 0:
    sys.exit(77)
sys.exit(code)
