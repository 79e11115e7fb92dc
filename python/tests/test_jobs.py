# SPDX-License-Identifier: Apache-2.0
"""Progress, Ctrl-C, and the GIL."""
import logging
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import anamnesis
import pytest


def test_progress_tells_phases_and_their_end(pair, tmp_path):
    told = []
    main = threading.get_ident()

    def progress(phase, done, total, unit):
        assert threading.get_ident() == main
        told.append((phase, done, total, unit))

    anamnesis.restore(*pair, out=tmp_path / "out", progress=progress)
    assert told and all(unit == "bytes" for *_, unit in told)
    phase, done, total, _ = told[-1]
    assert phase and done == total > 0


def test_what_a_callback_raises_stops_the_job(pair, tmp_path):
    class Enough(Exception):
        pass

    def progress(*_):
        raise Enough

    out = tmp_path / "out"
    with pytest.raises(Enough):
        anamnesis.restore(*pair, out=out, progress=progress)
    with pytest.raises(Enough):
        anamnesis.drift(*pair, progress=progress)


def test_lines_go_to_the_logger(pair, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="anamnesis"):
        anamnesis.restore(*pair, out=tmp_path / "out")
    assert any("method qk" in record.getMessage() for record in caplog.records)


def write_large_pair(folder, megabytes):
    """A Llama of one layer whose feed-forward is large, as sparse files: (pre, post)."""
    import json

    hidden, rows = 1024, megabytes * 1024 * 1024 // (1024 * 4)
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": hidden,
        "intermediate_size": rows,
        "num_hidden_layers": 1,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "vocab_size": 64,
        "tie_word_embeddings": True,
    }
    shapes = {
        "model.embed_tokens.weight": [64, hidden],
        "model.layers.0.input_layernorm.weight": [hidden],
        "model.layers.0.mlp.down_proj.weight": [hidden, rows],
        "model.layers.0.mlp.gate_proj.weight": [rows, hidden],
        "model.layers.0.mlp.up_proj.weight": [rows, hidden],
        "model.layers.0.post_attention_layernorm.weight": [hidden],
        "model.layers.0.self_attn.k_proj.weight": [hidden, hidden],
        "model.layers.0.self_attn.o_proj.weight": [hidden, hidden],
        "model.layers.0.self_attn.q_proj.weight": [hidden, hidden],
        "model.layers.0.self_attn.v_proj.weight": [hidden, hidden],
        "model.norm.weight": [hidden],
    }
    header, begin = {}, 0
    for name, shape in shapes.items():
        size = 4
        for count in shape:
            size *= count
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, begin + size]}
        begin += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    for side in ("pre", "post"):
        place = folder / side
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps(config))
        with open(place / "model.safetensors", "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + begin)
            routing = header["model.layers.0.self_attn.q_proj.weight"]["data_offsets"][0]
            file.seek(8 + len(text) + routing)
            file.write(b"\x00\x00\x80\x3f" * 1000 if side == "pre" else b"\x00\x00\x00\x3f" * 1000)
    return place.parent / "pre", place.parent / "post"


SCRIPT = """
import sys, threading, anamnesis
def progress(phase, done, total, unit):
    if done:
        print("under way", flush=True)
try:
    anamnesis.drift(sys.argv[1], sys.argv[2], threads=1, progress=progress)
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
    sys.exit(130)
print("finished", flush=True)
"""


def test_ctrl_c_stops_a_job(tmp_path):
    pre, post = write_large_pair(tmp_path, megabytes=2048)
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(pre), str(post)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout.readline().strip() == "under way"
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    rest = child.stdout.read().split()
    code = child.wait(timeout=60)
    assert code == 130 and rest[-2:] == ["interrupted", "1"], rest
    assert time.monotonic() - sent < 20


def test_a_stopped_repair_leaves_nothing(tmp_path):
    pre, post = write_large_pair(tmp_path, megabytes=64)
    script = textwrap.dedent(
        """
        import os, signal, sys, anamnesis
        def progress(*_):
            os.kill(os.getpid(), signal.SIGINT)
        try:
            anamnesis.restore(sys.argv[1], sys.argv[2], out=sys.argv[3], progress=progress)
        except KeyboardInterrupt:
            sys.exit(130)
        """
    )
    out = tmp_path / "out"
    child = subprocess.run([sys.executable, "-c", script, str(pre), str(post), str(out)], timeout=120)
    assert child.returncode == 130
    # The signal may come after the rename; a folder that is there is whole.
    if out.exists():
        assert anamnesis.verify(pre, post, out)
    else:
        assert not [name for name in os.listdir(tmp_path) if name.startswith((".out", "out"))]


def test_the_gil_is_released(tmp_path):
    pre, post = write_large_pair(tmp_path, megabytes=64)
    counted, stop = 0, threading.Event()

    def count():
        nonlocal counted
        while not stop.is_set():
            counted += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    begin = time.monotonic()
    anamnesis.drift(pre, post, threads=1)
    seconds = time.monotonic() - begin
    stop.set()
    thread.join()
    assert seconds > 0.05 and counted > 50 * seconds


def test_jobs_run_on_threads_of_python(pair, tmp_path):
    reports = {}

    def work(number):
        reports[number] = anamnesis.drift(*pair).json

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 6 and all(report == reports[0] for report in reports.values())


def test_every_strength_has_an_output(pair, tmp_path):
    receipt = anamnesis.restore(*pair, out=tmp_path / "out", method="pro", lambda_rel=[0.1, 1.0])
    assert [pathlib.Path(output.path).name for output in receipt.outputs] == [
        "out-lambda-rel-0.1",
        "out-lambda-rel-1",
    ]


def test_a_patch_and_html_are_written(pair, tmp_path):
    anamnesis.restore(*pair, patch=tmp_path / "repair.safetensors", heads="0")
    assert (tmp_path / "repair.safetensors").stat().st_size > 0
    anamnesis.drift(*pair, html=tmp_path / "drift.html")
    anamnesis.doctor(*pair, html=tmp_path / "doctor.html")
    assert "<html" in (tmp_path / "drift.html").read_text() and (tmp_path / "doctor.html").exists()
