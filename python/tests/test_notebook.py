# SPDX-License-Identifier: Apache-2.0
"""The notebook of examples/ runs from its first cell to its last."""
import json
import time

import pytest

pytest.importorskip("numpy", reason="numpy is not installed: the notebook is not run")
pytest.importorskip("pandas", reason="pandas is not installed: the notebook is not run")


def test_the_notebook_runs_in_under_a_minute(source, monkeypatch):
    notebook = json.loads((source / "examples" / "repair_in_python.ipynb").read_text(encoding="utf-8"))
    monkeypatch.chdir(source / "examples")
    begin = time.monotonic()
    names = {"__name__": "__main__"}
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
    assert time.monotonic() - begin < 60
    assert names["proof"].proven and names["receipt"].path.endswith("repaired")
