#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks of the documentation see what they should, on pages and a program made up here."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent

PROGRAM = """#!/bin/bash
case "$1 $2" in
  "--help "*) printf 'Made up.\\n\\nFiles:\\n  mark   Mark it.\\n  train  Train it.\\n' ;;
  "mark --help") printf 'General:\\n  --depth,--deep N  How deep; see --gone.\\n  -q,--quiet  Less.\\n  -h,--help  This.\\n' ;;
  "mark "*) shift; echo "marked $* in 0.25 s"; exit 3 ;;
  *) echo "train runs a model and needs anamnesis-torch" >&2; exit 3 ;;
esac
"""


class Checks(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.program = pathlib.Path(self.folder.name) / "anamnesis"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)

    def check(self, script, page):
        file = pathlib.Path(self.folder.name) / "page.md"
        file.write_text(page)
        run = subprocess.run([sys.executable, "-B", HERE / script, self.program, file], capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def passes(self, script, page, says):
        code, output = self.check(script, page)
        self.assertEqual(code, 0, output)
        self.assertIn(says, output)

    def fails(self, script, page, says):
        code, output = self.check(script, page)
        self.assertEqual(code, 1, output)
        self.assertIn(says, output)

    def test_a_run_prints_what_the_page_shows_but_for_times_and_cuts(self):
        run = "```console\n$ anamnesis mark a\nmarked {} s\n```\n"
        self.passes("check_runs.py", run.format("a in 0.01"), "1 commands ran; 0 blocks were passed over")
        self.passes("check_runs.py", run.format("… in 0.01"), "1 commands ran")
        self.fails("check_runs.py", run.format("b in 0.25"), "'anamnesis mark a' prints\nmarked a in 0.25 s")

    def test_runs_of_a_page_share_folder_and_exit_code(self):
        page = "```console\n$ anamnesis mark > out; cd /tmp\n```\nand\n```console\n$ echo $? && pwd\n{}\n/tmp\n```\n"
        self.passes("check_runs.py", page.format(0), "2 commands ran")
        self.fails("check_runs.py", page.format(3), "'echo $? && pwd' prints\n0")

    def test_a_block_that_calls_the_program_runs_or_says_why_not(self):
        run, block = "```console\n$ true\n```\n", "```\nanamnesis mark x\n```\n"
        self.fails("check_runs.py", run + block, "neither a console block nor marked")
        self.passes("check_runs.py", f"{run}<!-- not run: it is late -->\n{block}", "passed over: it is late: ")
        self.passes("check_runs.py", f"{run}<!-- run with LibTorch -->\n```console\n$ false\nx\n```\n", "LibTorch is not in this build")

    def test_without_a_run_the_check_fails(self):
        self.fails("check_runs.py", "<!-- not run on this page: late -->\n```console\n$ true\n```\n", "no page shows a run")

    def test_a_renamed_option_is_found_in_blocks_and_in_text(self):
        for page in ("```\nanamnesis mark \\\n  --gone 3\n```\n", "`mark --gone`", "`anamnesis mark a --gone`"):
            self.fails("check_options.py", page + "\n`mark --deep 1`", "'anamnesis mark' has no option --gone")
        self.fails("check_options.py", "```\nanamnesis make --deep 1\n```\n`mark --deep 1`", "there is no verb 'make'")

    def test_options_of_other_programs_on_the_line_do_not_count(self):
        page = "```\nmpirun --np 2 anamnesis mark --depth 1 -q && tool --other  # --comment\n```\n"
        self.passes("check_options.py", page, "1 options looked up in the --help of 1 verbs")

    def test_what_a_page_shows_as_not_understood_need_not_be(self):
        page = "```console\n$ anamnesis mark --dept 1\n'--dept' is not understood\n```\n"
        self.passes("check_options.py", page, "1 options looked up")

    def test_verbs_that_the_build_has_not_are_passed_over(self):
        self.passes("check_options.py", "`train --any`, `mark --deep`", "passed over: 1 options")


if __name__ == "__main__":
    unittest.main()
