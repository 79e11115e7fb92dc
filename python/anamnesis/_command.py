# SPDX-License-Identifier: Apache-2.0
"""The command `anamnesis` of an installation by pip: becomes the program, whose terminal, signals and
exit code are then its own."""

import os
import signal
import sys


def main() -> None:
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "anamnesis")
    # Python ignores these two, and what is ignored stays so in the program.
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execv(program, ["anamnesis", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"anamnesis: io: starting '{program}' failed: {error.strerror}; install anamnesis-llm again")
