"""Turns problems of GSM8K into the rows of `train --data`, answers without the calculator's marks.

    python gsm8k_chats.py PROBLEMS.jsonl CHATS.jsonl [FIRST:END]
"""

import json
import pathlib
import re
import sys


def main() -> None:
    problems, chats = map(pathlib.Path, sys.argv[1:3])
    first, end = (sys.argv[3] if len(sys.argv) > 3 else ":").split(":")
    lines = problems.read_text().splitlines()[int(first or 0) : int(end) if end else None]
    rows = map(json.loads, lines)
    with chats.open("w") as out:
        for row in rows:
            answer = re.sub(r"<<[^>]*>>", "", row["answer"])
            turns = [
                {"role": "user", "content": row["question"]},
                {"role": "assistant", "content": answer},
            ]
            out.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")


main()
