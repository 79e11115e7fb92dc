#!/usr/bin/env python3
"""Results of tools/gpu_check.sh: one JSON, one table, the logs in one archive.

  gpu_check_report.py --steps DIR --logs DIR --out DIR --order machine,build,…
  gpu_check_report.py --machine cuda     what torch says of itself and of the card, as a JSON line

A step is a file STEP.json; its log, STEP.log, may hold figures (lines that are JSON objects) and
verdicts of GoogleTest.
"""
import argparse
import json
import re
import sys
import tarfile
from pathlib import Path

TAIL = 12  # lines of the log of a step that failed


def machine(device):
    import torch

    facts = {"what": "machine", "torch": torch.__version__, "cuda": torch.version.cuda, "device": device}
    if device.startswith("cuda"):
        card = torch.cuda.get_device_properties(0)
        facts |= {"card": card.name, "memory_gb": round(card.total_memory / 1e9, 1),
                  "capability": f"{card.major}.{card.minor}", "nccl": ".".join(map(str, torch.cuda.nccl.version()))}
    print(json.dumps(facts))


def read_figures(log):
    figures = []
    for line in log.splitlines():
        if line.startswith("{"):
            try:
                figures.append(json.loads(line))
            except json.JSONDecodeError:
                pass  # a line that only looks like one
    return figures


def count_tests(log):
    """Counts and failed names of GoogleTest's output, or None where there is none."""
    ran = re.search(r"^\[=+\] Running (\d+) tests?", log, re.M)
    if not ran:
        return None
    passed = len(re.findall(r"^\[       OK \] ", log, re.M))
    skipped = len(re.findall(r"^\[  SKIPPED \] .* \(\d+ ms\)$", log, re.M))
    failed = re.findall(r"^\[  FAILED  \] ([^\s,]+).*\(\d+ ms\)$", log, re.M)
    return {"ran": int(ran.group(1)), "passed": passed, "skipped": skipped, "failed": failed}


def read_steps(steps, logs, order):
    read = []
    for name in order:
        path = steps / f"{name}.json"
        if not path.exists():
            continue
        step = json.loads(path.read_text())
        log_path = logs / f"{name}.log"
        log = log_path.read_text(errors="replace") if log_path.exists() else ""
        step["figures"] = read_figures(log)
        step["tests"] = count_tests(log)
        if step["status"] in ("failed", "timed out"):
            step["tail"] = log.splitlines()[-TAIL:]
        read.append(step)
    return read


def share(value):
    return "" if value is None else f"{100 * value:.1f} %"


def of_step(step):
    tests = step["tests"]
    if tests:
        text = f"{tests['passed']} of {tests['ran']} tests passed"
        if tests["skipped"]:
            text += f", {tests['skipped']} skipped"
        return text + (", failed: " + ", ".join(tests["failed"]) if tests["failed"] else "")
    return step["reason"]


def speed_rows(steps):
    for step in steps:
        for figure in step["figures"]:
            if figure.get("what") == "prefill":
                yield (step["step"], f"prefill {figure['length']}", f"{figure['tok_s']:.0f}",
                       f"{figure['tflops']:.0f} TFLOP/s" if "tflops" in figure else "",
                       share(figure.get("share_of_matrix_rate")),
                       f"{figure['peak_mb']:.0f} MB" if "peak_mb" in figure else "",
                       share(figure.get("peak_over_estimate")))
            elif figure.get("what") == "decode":
                yield (step["step"], f"decode at {figure['context']}", f"{figure['tok_s']:.1f}",
                       f"{figure['read_gb_s']:.0f} GB/s" if "read_gb_s" in figure else "",
                       share(figure.get("share_of_memory_rate")), "", "")


def table(header, rows):
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def other_rows(steps):
    for step in steps:
        for figure in step["figures"]:
            if figure.get("what") not in ("prefill", "decode", "machine"):
                yield step["step"], figure.get("what", ""), ", ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                    for key, value in figure.items() if key != "what")


def markdown(steps):
    facts = next((f for s in steps for f in s["figures"] if f.get("what") == "machine"), {})
    parts = ["# Check on a GPU", ", ".join(f"{k} {v}" for k, v in facts.items() if k != "what"),
             table(["step", "status", "seconds", "limit", ""],
                   [(s["step"], s["status"], s["seconds"], s["limit_s"], of_step(s)) for s in steps])]
    speeds = list(speed_rows(steps))
    if speeds:
        parts.append(table(["model", "", "tokens/s", "rate", "of the device's", "peak", "of the estimate"], speeds))
    others = list(other_rows(steps))
    if others:
        parts.append(table(["step", "figure", ""], others))
    for step in steps:
        if step.get("tail"):
            parts.append(f"## {step['step']}: {step['reason']}\n\n```\n" + "\n".join(step["tail"]) + "\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine")
    parser.add_argument("--steps", type=Path)
    parser.add_argument("--logs", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--order", default="")
    arguments = parser.parse_args()
    if arguments.machine:
        machine(arguments.machine)
        return
    if not (arguments.steps and arguments.logs and arguments.out):
        parser.error("--steps, --logs and --out go together")
    steps = read_steps(arguments.steps, arguments.logs, arguments.order.split(","))
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "gpu_check.json").write_text(json.dumps({"steps": steps}, indent=1) + "\n")
    (arguments.out / "gpu_check.md").write_text(markdown(steps))
    with tarfile.open(arguments.out / "logs.tar.gz", "w:gz") as archive:
        archive.add(arguments.logs, "logs")


if __name__ == "__main__":
    sys.exit(main())
