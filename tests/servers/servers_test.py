#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command against real servers on the loopback interface, each with a tiny checkpoint.

  servers_test.py --program ANAMNESIS --tokenizer FOLDER --server llama_cpp|transformers|vllm

A server is started by the Python that ANAMNESIS_LLAMA_PYTHON, ANAMNESIS_TRANSFORMERS_PYTHON or
ANAMNESIS_VLLM_PYTHON names (python3 where it is not set). Without its package the test says so and is
skipped (exit 77). `compare` must find no token that differs beyond a near tie, and `niah` and `reason` must
give the answers of the same checkpoint in the command's own process.
"""
import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import tiny_checkpoint

SKIP = 77
PACKAGES = {
    "llama_cpp": ("ANAMNESIS_LLAMA_PYTHON", "llama_cpp.server"),
    "transformers": ("ANAMNESIS_TRANSFORMERS_PYTHON", "transformers.cli.serve, fastapi, uvicorn"),
    "vllm": ("ANAMNESIS_VLLM_PYTHON", "vllm.entrypoints.openai.api_server"),
}


def find_python(server):
    variable, module = PACKAGES[server]
    python = os.environ.get(variable, "python3")
    found = subprocess.run([python, "-c", f"import {module}"], capture_output=True, text=True)
    if found.returncode != 0:
        why = (found.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"skipped: {python} has no {module} ({why}); {variable} names a Python that has it")
        sys.exit(SKIP)
    return python


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_command(server, python, checkpoint, gguf, port):
    if server == "llama_cpp":
        return [python, "-m", "llama_cpp.server", "--model", str(gguf), "--model_alias", "tiny", "--n_ctx", "4096",
                "--logits_all", "True", "--type_k", "0", "--type_v", "0", "--port", str(port)]
    if server == "transformers":
        return [python, "-m", "transformers.cli.transformers", "serve", "--host", "127.0.0.1", "--port", str(port),
                "--device", "cpu", "--dtype", "float32"]
    return [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint), "--served-model-name",
            "tiny", "--dtype", "float32", "--max-model-len", "4096", "--host", "127.0.0.1", "--port", str(port)]


def wait_for(url, process, log, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url + "/v1/models", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    sys.exit(f"the server does not answer; its last lines:\n{log.read_text()[-3000:]}")


class Client:
    def __init__(self, program, model, endpoint, scratch):
        self.program, self.model, self.endpoint, self.scratch = program, model, endpoint, scratch

    def run(self, *words, codes=(0,)):
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True, timeout=600)
        if done.returncode not in codes:
            sys.exit(f"{words[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def compare(self):
        done = self.run("compare", "--model", self.model, *self.endpoint, "--max-tokens", 24, "--tasks", "s1",
                        "--lengths", "1k", "--samples", 2, "--json", codes=(0, 1))
        print(done.stderr, end="")
        found = json.loads(done.stdout)
        for answer in found["answers"]:
            print(f"compare: {answer['id']}: {answer['agreement']}, {answer['equal_tokens']} tokens equal",
                  f"{answer['ours']} {answer['engines']}" if answer["ours"] else "")
        assert found["different"] == 0 and done.returncode == 0, "an answer differs beyond a near tie"

    def answers(self, verb, name, who, field, *more):
        out = self.scratch / f"{verb}-{name}"
        print(self.run(verb, *who, "--out", out, *more).stdout, end="")
        lines = (out / "results.jsonl").read_text().splitlines()
        return {line["id"]: line[field] for line in map(json.loads, lines)}

    def answer_alike(self, verb, field, *more):
        here = self.answers(verb, "here", ["--model", f"m={self.model}"], field, *more)
        served = self.endpoint[self.endpoint.index("--served") + 1]
        endpoint = [word for word in self.endpoint if word not in ("--served", served)]
        there = self.answers(verb, "there", [*endpoint, "--model", f"m={served}", "--tokenizer", self.model], field,
                             *more)
        assert len(here) > 0 and here.keys() == there.keys(), f"{verb}: other questions were answered"
        differing = [name for name in here if here[name] != there[name]]
        print(f"{verb}: {len(here) - len(differing)} of {len(here)} answers equal")
        assert not differing, f"{verb}: {differing[0]}: {here[differing[0]]!r} and {there[differing[0]]!r}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--server", required=True, choices=PACKAGES)
    options = parser.parse_args()
    python = find_python(options.server)
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        checkpoint, gguf = tiny_checkpoint.write(scratch, options.tokenizer)
        port = free_port()
        log = scratch / "server.log"
        # transformers serve lists the models of a cache, which must be there, and asks no hub for them.
        cache = scratch / "hub"
        cache.mkdir()
        environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
        with log.open("w") as output:
            process = subprocess.Popen(make_command(options.server, python, checkpoint, gguf, port), stdout=output,
                                       stderr=subprocess.STDOUT, env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process, log, 300)
            served = str(checkpoint) if options.server == "transformers" else "tiny"
            model = gguf if options.server == "llama_cpp" else checkpoint
            client = Client(options.program, model, ["--endpoint", url, "--served", served, "--concurrency", "1"],
                            scratch)
            client.compare()
            client.answer_alike("niah", "text", "--tasks", "s1", "--lengths", "1k", "--samples", 3, "--max-tokens",
                                16)
            problems = scratch / "problems.jsonl"
            problems.write_text('{"question": "What is 1 + 1?", "answer": "2"}\n'
                                '{"question": "What is 2 + 3?", "answer": "5"}\n')
            client.answer_alike("reason", "response", "--task", "custom", "--data", problems, "--plain",
                                "--max-tokens", 16)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
    print(f"{options.server}: every answer is that of the command's own process")


if __name__ == "__main__":
    main()
