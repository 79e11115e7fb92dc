# SPDX-License-Identifier: Apache-2.0
"""What functions of the package are given, as the libraries take it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Union

Path = Union[str, "os.PathLike[str]"]
#: Told of progress on the calling thread, several times a second: phase, done, total, unit ("bytes",
#: "tokens", "samples" or "steps"). What it raises stops the job.
Progress = Callable[[str, int, int, str], object]
Numbers = Union[str, Iterable[int]]


def path_text(path: Path | None) -> str | None:
    return None if path is None else os.fsdecode(os.fspath(path))


def split_words(words: str | Iterable[str]) -> list[str]:
    return words.split(",") if isinstance(words, str) else list(words)
