"""The options of tools/gpu_check.sh and its report from made-up logs."""
import json
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "tools"

MACHINE = '{"what": "machine", "torch": "2.11.0+cu130", "card": "NVIDIA H100 80GB HBM3"}\n'
TESTS = """[==========] Running 3 tests from 1 test suite.
[       OK ] A.passes (1 ms)
[  FAILED  ] A.fails, where GetParam() = "x" (2 ms)
[  SKIPPED ] A.skips (0 ms)
[  FAILED  ] 1 test, listed below:
[  FAILED  ] A.fails, where GetParam() = "x"
"""
SPEED = """loading
{"what": "prefill", "length": 2048, "tok_s": 51234.5, "tflops": 401.2, "share_of_matrix_rate": 0.503, "peak_mb": 5000.0, "peak_over_estimate": 0.9}
{"what": "decode", "context": 2048, "tok_s": 321.04, "read_gb_s": 1500.0, "share_of_memory_rate": 0.61}
{not json
"""


def step(name, status, reason=""):
    return {"step": name, "seconds": 1.5, "limit_s": 30, "exit_code": 0, "status": status, "reason": reason}


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        root = Path(self.folder.name)
        self.steps, self.logs, self.out = root / "steps", root / "logs", root / "out"
        self.steps.mkdir()
        self.logs.mkdir()
        for name, status, log in (("machine", "passed", MACHINE), ("runtime", "failed", TESTS), ("hypenet", "timed out", SPEED)):
            (self.steps / f"{name}.json").write_text(json.dumps(step(name, status, "exit code 1" if status == "failed" else "")))
            (self.logs / f"{name}.log").write_text(log)
        subprocess.run([sys.executable, TOOLS / "gpu_check_report.py", "--steps", self.steps, "--logs", self.logs,
                        "--out", self.out, "--order", "machine,build,runtime,hypenet"], check=True)

    def test_the_json_has_steps_in_order_with_their_figures_and_verdicts(self):
        steps = json.loads((self.out / "gpu_check.json").read_text())["steps"]
        self.assertEqual([s["step"] for s in steps], ["machine", "runtime", "hypenet"])
        self.assertEqual(steps[1]["tests"], {"ran": 3, "passed": 1, "skipped": 1, "failed": ["A.fails"]})
        self.assertEqual([f["what"] for f in steps[2]["figures"]], ["prefill", "decode"])
        self.assertIn("[  FAILED  ] 1 test, listed below:", steps[1]["tail"])

    def test_the_table_names_the_card_the_failures_and_the_shares(self):
        text = (self.out / "gpu_check.md").read_text()
        self.assertIn("card NVIDIA H100 80GB HBM3", text)
        self.assertIn("1 of 3 tests passed, 1 skipped, failed: A.fails", text)
        self.assertIn("| hypenet | prefill 2048 | 51234 | 401 TFLOP/s | 50.3 % | 5000 MB | 90.0 % |", text)
        self.assertIn("| hypenet | decode at 2048 | 321.0 | 1500 GB/s | 61.0 % |", text)

    def test_the_logs_come_along(self):
        with tarfile.open(self.out / "logs.tar.gz") as archive:
            self.assertIn("logs/runtime.log", archive.getnames())


class Options(unittest.TestCase):
    def run_check(self, *words):
        return subprocess.run([TOOLS / "gpu_check.sh", *words], capture_output=True, text=True, check=False)

    def test_help_and_lists(self):
        self.assertIn("--device cpu", self.run_check("--help").stdout)
        self.assertIn("niah", self.run_check("--list-steps").stdout.split())

    def test_unknown_words_are_refused(self):
        for words in (["--nope"], ["--steps", "machine,nope"]):
            result = self.run_check(*words)
            self.assertEqual(result.returncode, 2)
            self.assertIn("nope", result.stderr)


if __name__ == "__main__":
    unittest.main()
