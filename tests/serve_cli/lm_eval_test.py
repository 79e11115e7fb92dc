# SPDX-License-Identifier: Apache-2.0
"""lm-evaluation-harness asks the real server, and transformers with the same checkpoint: equal results.

  lm_eval_test.py --program ANAMNESIS --tokenizer FOLDER

Two tasks of its kinds, with data made here: ten problems in GSM8K's form that are answered up to a stop
string, and questions of several choices, which it scores by log-likelihood. Exit code 77, with the reason,
where ANAMNESIS_LM_EVAL_PYTHON (else python3) names no Python that has lm_eval and transformers.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "servers"))
sys.dont_write_bytecode = True

TASKS = ("tiny_problems", "tiny_choices")
PROBLEMS = {"output_type": "generate_until", "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_target": "{{answer}}",
            "generation_kwargs": {"until": ["Question:", "\n\n"], "do_sample": False, "max_gen_toks": 24},
            "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}]}
CHOICES = {"output_type": "multiple_choice", "doc_to_text": "{{question}}", "doc_to_target": "{{gold}}",
           "doc_to_choice": "{{choices}}",
           "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]}


def find_python():
    python = os.environ.get("ANAMNESIS_LM_EVAL_PYTHON", sys.executable)
    probe = subprocess.run([python, "-c", "import lm_eval.models.huggingface, lm_eval.models.openai_completions"],
                           capture_output=True, text=True)
    if probe.returncode != 0:
        why = (probe.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"skipped: {python} cannot run lm_eval ({why}); ANAMNESIS_LM_EVAL_PYTHON names another")
        raise SystemExit(77)
    return python


def write_tasks(folder):
    folder.mkdir()
    problems = [{"question": f"A farmer has {n + 3} sheep and buys {2 * n + 1} more. How many has he?",
                 "answer": str(3 * n + 4)} for n in range(10)]
    choices = [{"question": f"The needle in haystack {n} is", "gold": n % 3,
                "choices": [" lost", " in the hay", " a small number of things"]} for n in range(12)]
    for name, rows, task in (("problems", problems, PROBLEMS), ("choices", choices, CHOICES)):
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        # JSON is YAML too.
        (folder / f"{name}.yaml").write_text(json.dumps(
            {"task": f"tiny_{name}", "dataset_path": "json", "test_split": "test",
             "dataset_kwargs": {"data_files": {"test": str(data)}}, **task}))


def evaluate(python, model, arguments, folder):
    """What each document got: the text, or the log-likelihood of every choice."""
    out = folder / model
    environment = {**os.environ, "OPENAI_API_KEY": "key", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                   "HF_HOME": str(folder / "cache"), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [python, "-m", "lm_eval", "--model", model, "--model_args", arguments, "--tasks", ",".join(TASKS),
         "--include_path", str(folder / "tasks"), "--output_path", str(out), "--log_samples", "--batch_size", "1", "--device", "cpu"],
        capture_output=True, text=True, env=environment, timeout=900)
    if done.returncode != 0:
        raise SystemExit(f"lm_eval --model {model} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    answers = {}
    for task in TASKS:
        file = next(out.rglob(f"samples_{task}_*.jsonl"))
        rows = sorted(map(json.loads, file.read_text().splitlines()), key=lambda row: row["doc_id"])
        answers[task] = [row["filtered_resps"] for row in rows]
    return answers


def compare(served, own):
    assert served["tiny_problems"] == own["tiny_problems"], (served["tiny_problems"], own["tiny_problems"])
    assert len(own["tiny_problems"]) == 10 and all(answer[0] for answer in own["tiny_problems"])
    scored = list(zip(served["tiny_choices"], own["tiny_choices"], strict=True))
    assert len(scored) == 12
    largest = 0.0
    for ours, theirs in scored:
        for (a, a_greedy), (b, b_greedy) in zip(ours, theirs, strict=True):
            largest = max(largest, abs(float(a) - float(b)))
            assert str(a_greedy) == str(b_greedy)
    assert largest < 1e-3, largest
    print(f"10 answers are equal, 36 log-likelihoods within {largest:.2g}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--tokenizer", required=True)
    a = parser.parse_args()
    python = find_python()
    import tiny_checkpoint

    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        checkpoint, _ = tiny_checkpoint.write(folder, a.tokenizer)
        write_tasks(folder / "tasks")
        own = evaluate(python, "hf", f"pretrained={checkpoint},dtype=float32", folder)
        server = subprocess.Popen(
            [a.program, "serve", "--json", "--port", "0", "--api-key", "key", "--model", f"m={checkpoint}"],
            stdout=subprocess.PIPE, text=True)
        try:
            url = json.loads(server.stdout.readline())["url"]
            served = evaluate(python, "local-completions",
                              f"model=m,base_url={url}/v1/completions,tokenizer={checkpoint},num_concurrent=4,"
                              "max_retries=1,tokenized_requests=True", folder)
        finally:
            server.terminate()
            server.wait()
        compare(served, own)
        return server.returncode


if __name__ == "__main__":
    sys.exit(main())
