# SPDX-License-Identifier: Apache-2.0
"""Recall of a model on a server, one of this process that copies the needle or does not, and of a
checkpoint that the program for models runs."""
import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time

import anamnesis
import pytest

from support import widen_vocabulary


class Server(http.server.BaseHTTPRequestHandler):
    """An OpenAI-compatible server whose model "good" answers rightly and "bad" never does."""

    asked = 0
    pause = threading.Event()

    def log_message(self, *_):
        pass

    def reply(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": name, "object": "model"} for name in ("good", "bad")]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked += 1
        if type(self).pause.is_set() and type(self).asked > 1:  # after the trial question
            threading.Event().wait(20)
        numbers = re.findall(r" is: (\d+)\.", request["prompt"])
        text = " " + numbers[0] + "." if numbers and request["model"] == "good" else " nothing."
        self.reply({
            "object": "text_completion",
            "model": request["model"],
            "choices": [{"index": 0, "text": text, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 900, "completion_tokens": 4, "total_tokens": 904},
        })


@pytest.fixture
def endpoint():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    Server.asked = 0
    Server.pause.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tokenizer(source):
    return source / "testdata" / "tokenizer" / "tiny" / "qwen2"


def test_a_server_is_measured(endpoint, tokenizer, tmp_path):
    told = []
    report = anamnesis.niah(
        ["pre=good", "post=bad"], endpoint=endpoint, tokenizer=tokenizer, out=tmp_path / "run", lengths=2048,
        tasks="s1", samples=4, transport="text", logprobs=False, progress=lambda *event: told.append(event),
    )
    assert report.score("pre") == 1.0 and report.score("post") == 0.0
    assert {cell["task"] for cell in report.cells} == {"niah_single_1"}
    assert report.json == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert told and told[-1][3] == "samples"
    with pytest.raises(KeyError):
        report.score("other")
    asked = Server.asked
    again = anamnesis.niah(
        ["pre=good", "post=bad"], endpoint=endpoint, tokenizer=tokenizer, out=tmp_path / "run", lengths=2048,
        tasks="s1", samples=4, transport="text", logprobs=False,
    )
    assert again.cells == report.cells and Server.asked - asked <= 2


def test_ctrl_c_ends_questions_that_wait(endpoint, tokenizer, tmp_path):
    Server.pause.set()

    def interrupt():
        while Server.asked < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        anamnesis.niah(
            "good", endpoint=endpoint, tokenizer=tokenizer, out=tmp_path / "run", lengths="2k", tasks=["s1"],
            samples=2, transport="text",
        )
    assert time.monotonic() - begin < 15


def test_wrong_requests_are_refused(endpoint, tokenizer, tmp_path):
    def ask(**options):
        given = {"endpoint": endpoint, "tokenizer": tokenizer, "out": tmp_path / "run", "lengths": "1k", **options}
        return anamnesis.niah("good", **given)

    for options, sentence in (
        ({"lengths": ()}, "no --lengths"),
        ({"lengths": "one"}, "one"),
        ({"tasks": "s9"}, "s9"),
        ({"transport": "pigeon"}, "pigeon"),
        ({"samples": 0}, "at least 1"),
        ({"concurrency": 0}, "at least 1"),
        ({"thinking": True}, "belong to chat=True"),
        ({"shard": "3/2"}, "3/2"),
    ):
        with pytest.raises(anamnesis.UsageError, match=sentence):
            ask(**options)
    with pytest.raises(anamnesis.NotFoundError):
        ask(endpoint="http://127.0.0.1:9")
    with pytest.raises(anamnesis.Error):
        ask(tokenizer="/nowhere")


@pytest.fixture
def checkpoint(pair, tmp_path, command, monkeypatch):
    """A model for the tiny tokenizer, where the program that runs models is installed."""
    if os.environ.get("ANAMNESIS_BINARY"):  # in the build tree the package has no program of its own
        monkeypatch.setattr("anamnesis._command.program", lambda: command)
    help_text = subprocess.run([command, "generate", "--help"], capture_output=True, text=True)
    if help_text.returncode != 0:
        pytest.skip(help_text.stderr.strip())
    widen_vocabulary(pair[0], tmp_path / "model", 427)
    return tmp_path / "model"


def run_here(model, tokenizer, out, **options):
    return anamnesis.niah(model, tokenizer=tokenizer, out=out, tasks="s1", samples=2, max_tokens=16, threads=1, **options)


def test_a_checkpoint_is_measured(checkpoint, tokenizer, tmp_path):
    told = []
    report = run_here(
        [f"a={checkpoint}", f"b={checkpoint}"], tokenizer, tmp_path / "run", lengths=1024,
        progress=lambda *event: told.append(event),
    )
    assert report.score("a") == report.score("b") == 0.0
    assert report.json == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert ("b", 2, 2, "samples") in told


def test_a_checkpoint_that_cannot_be_run_is_an_exception_of_its_kind(checkpoint, tokenizer, tmp_path):
    with pytest.raises(anamnesis.NotFoundError, match="/nowhere"):
        run_here("/nowhere", tokenizer, tmp_path / "run", lengths=1024)
    with pytest.raises(anamnesis.UsageError, match="--dtype"):
        run_here(checkpoint, tokenizer, tmp_path / "run", lengths=1024, dtype="f12")
    with pytest.raises(anamnesis.UsageError, match="concurrency belongs to endpoint"):
        run_here(checkpoint, tokenizer, tmp_path / "run", lengths=1024, concurrency=8)
    with pytest.raises(anamnesis.UsageError, match="device belongs to models that are run here"):
        run_here("m", tokenizer, tmp_path / "run", lengths=1024, endpoint="http://127.0.0.1:9", device="cuda")


def test_what_progress_raises_stops_the_run(checkpoint, tokenizer, tmp_path):
    class Enough(Exception):
        pass

    def stop(*_):
        raise Enough

    with pytest.raises(Enough):
        run_here([f"a={checkpoint}", f"b={checkpoint}"], tokenizer, tmp_path / "run", lengths=1024, progress=stop)
    assert not (tmp_path / "run" / "summary.json").exists()
    report = run_here([f"a={checkpoint}", f"b={checkpoint}"], tokenizer, tmp_path / "run", lengths=1024)
    assert set(report.checkpoints) == {"a", "b"}
