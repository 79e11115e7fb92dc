# SPDX-License-Identifier: Apache-2.0
"""Worked answers of GSM8K as chats, or as prompts and completions of plain text, without the calculator's marks.

    python gsm8k_texts.py chats|plain PROBLEMS.jsonl TEXTS.jsonl [FIRST:END]
"""

import json
import pathlib
import re
import sys


def main() -> None:
    form = sys.argv[1]
    problems, texts = map(pathlib.Path, sys.argv[2:4])
    first, end = (sys.argv[4] if len(sys.argv) > 4 else ":").split(":")
    lines = problems.read_text().splitlines()[int(first or 0) : int(end) if end else None]
    with texts.open("w") as out:
        for row in map(json.loads, lines):
            answer = re.sub(r"<<[^>]*>>", "", row["answer"])
            if form == "chats":
                text = {
                    "messages": [
                        {"role": "user", "content": row["question"]},
                        {"role": "assistant", "content": answer},
                    ]
                }
            else:
                text = {"prompt": f"Question: {row['question']}\nAnswer:", "completion": f" {answer}"}
            out.write(json.dumps(text, ensure_ascii=False) + "\n")


main()
