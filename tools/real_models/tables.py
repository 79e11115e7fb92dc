#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/real-models.md from the folders that tools/real_models.sh leaves.

  tools/real_models/tables.py OUT
"""
import collections
import json
import pathlib
import sys


def read(path):
    return json.loads(path.read_text())


def print_asked(run):
    cells = read(run / "niah" / "summary.json")["cells"]
    kinds = sorted({(cell["length"], cell["task"]) for cell in cells})
    names = list(dict.fromkeys(cell["checkpoint"] for cell in cells))
    found = {(cell["checkpoint"], cell["length"], cell["task"]): cell for cell in cells}
    print("| checkpoint | " + " | ".join(f"{task} at {length // 1024}K" for length, task in kinds) + " | in all |")
    print("|---" * (len(kinds) + 2) + "|")
    for name in names:
        own = [found[name, *kind] for kind in kinds]
        hits = [round(cell["score"] * cell["count"]) for cell in own]
        print(f"| {name} | " + " | ".join(f"{hit}/{cell['count']}" for hit, cell in zip(hits, own)) +
              f" | {sum(hits)}/{sum(cell['count'] for cell in own)} |")


def print_dissected(run):
    found = read(run / "dissect" / "summary.json")
    share = lambda side: "–" if side["share"] is None else f"{100 * side['share']:.0f} %"
    print("| weights | recall, -ln p | comes back | reasoning, -ln p | is kept | worth |")
    print("|---|---|---|---|---|---|")
    for arm in [found["pre"], found["post"], *found["found"], *found["methods"]]:
        recall, reasoning = arm["recall"], arm["reasoning"]
        print(f"| {arm['name']} | {recall['loss']:.3f} | {share(recall)} | {reasoning['loss']:.3f} | "
              f"{share(reasoning)} | {arm['worth']:.2f} |")
    print(f"\nThe carrier is {found['carrier'] or 'no group'}; the best repair {found['best'] or 'none'}"
          f"{'; the search was cut short' if found['cut_short'] else ''}.")


def print_seeds(rate, runs):
    """Needles found by kind: the mean over seeds, and the fewest and the most."""
    hits = collections.defaultdict(list)
    counts = {}
    for run in runs:
        for cell in read(run / "niah" / "summary.json")["cells"]:
            kind = cell["length"], cell["task"]
            hits[cell["checkpoint"], kind].append(round(cell["score"] * cell["count"]))
            counts[kind] = cell["count"]
    print(f"\n## Rate {rate}: {len(runs)} seeds\n")
    kinds = sorted(counts)
    print("| checkpoint | " + " | ".join(f"{task} at {length // 1024}K, of {counts[length, task]}" for length, task in kinds) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for name in dict.fromkeys(name for name, _ in hits):
        cells = [f"{sum(own) / len(own):.1f} ({min(own)}–{max(own)})" + (f", {len(own)} seeds" if len(own) < len(runs) else "")
                 if own else "–" for own in (hits[name, kind] for kind in kinds)]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asked = collections.defaultdict(list)
    for run in sorted(pathlib.Path(sys.argv[1]).glob("rate-*-seed-*")):
        if (run / "niah" / "summary.json").exists():
            asked[run.name.split("-seed-")[0].removeprefix("rate-")].append(run)
        print(f"\n## {run.name}\n")
        if (run / "dissect" / "summary.json").exists():
            print_dissected(run)
            print()
        if (run / "niah" / "summary.json").exists():
            print_asked(run)
    for rate, runs in asked.items():
        if len(runs) > 1:
            print_seeds(rate, runs)


main()
