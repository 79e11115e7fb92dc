# SPDX-License-Identifier: Apache-2.0
"""The package `openai` against the real server: completions, chats, streams, errors.

  openai_client_test.py --program ANAMNESIS --tokenizer FOLDER

Exit code 77, with the reason, where the package is not there.
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


def find_python():
    python = os.environ.get("ANAMNESIS_OPENAI_PYTHON", sys.executable)
    probe = subprocess.run([python, "-c", "import openai"], capture_output=True)
    if probe.returncode != 0:
        print(f"skipped: {python} has no package openai (ANAMNESIS_OPENAI_PYTHON names another)")
        raise SystemExit(77)
    return python


def check(url):
    """Runs in the Python that has the package."""
    import openai

    client = openai.OpenAI(base_url=url + "/v1", api_key="key", max_retries=0)
    assert [model.id for model in client.models.list()] == ["m"]
    how = {"model": "m", "max_tokens": 12, "temperature": 0, "extra_body": {"ignore_eos": True}}
    whole = client.completions.create(prompt="a needle in", logprobs=2, **how)
    assert whole.choices[0].finish_reason == "length"
    assert len(whole.choices[0].logprobs.tokens) == 12 == whole.usage.completion_tokens
    streamed = client.completions.create(prompt="a needle in", stream=True, **how)
    assert "".join(chunk.choices[0].text for chunk in streamed) == whole.choices[0].text

    messages = [{"role": "user", "content": "Where is the needle?"}]
    chat = client.chat.completions.create(messages=messages, logprobs=True, top_logprobs=3, **how)
    entries = chat.choices[0].logprobs.content
    assert len(entries) == 12 and len(entries[0].top_logprobs) == 3
    parts = client.chat.completions.create(
        messages=messages, stream=True, stream_options={"include_usage": True}, **how)
    text, usage = "", None
    for chunk in parts:
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == chat.choices[0].message.content
    assert usage.completion_tokens == 12

    def refused(kind, call):
        try:
            call()
        except kind as error:
            return error
        raise AssertionError(f"{kind.__name__} was expected")

    refused(openai.NotFoundError, lambda: client.completions.create(model="other", prompt="a"))
    error = refused(openai.BadRequestError,
                    lambda: client.completions.create(model="m", prompt="a", max_tokens=1 << 20))
    assert error.code == "context_length_exceeded", error.body
    other = openai.OpenAI(base_url=url + "/v1", api_key="wrong", max_retries=0)
    refused(openai.AuthenticationError, lambda: other.models.list())
    print("openai", openai.__version__, "is answered")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program")
    parser.add_argument("--tokenizer")
    parser.add_argument("--check")
    a = parser.parse_args()
    if a.check:
        return check(a.check)
    python = find_python()
    import tiny_checkpoint

    with tempfile.TemporaryDirectory() as folder:
        checkpoint, _ = tiny_checkpoint.write(pathlib.Path(folder), a.tokenizer)
        (checkpoint / "chat_template.jinja").write_text(
            "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}")
        server = subprocess.Popen(
            [a.program, "serve", "--json", "--port", "0", "--api-key", "key", "--model", f"m={checkpoint}"],
            stdout=subprocess.PIPE, text=True)
        try:
            url = json.loads(server.stdout.readline())["url"]
            result = subprocess.run([python, __file__, "--check", url])
        finally:
            server.terminate()
            server.wait()
        return result.returncode or server.returncode


if __name__ == "__main__":
    sys.exit(main())
