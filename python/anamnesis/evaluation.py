# SPDX-License-Identifier: Apache-2.0
"""Recall and reasoning: what models answer. `anamnesis` has the names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from . import _core, _models
from ._arguments import Path, Progress, path_text, split_words
from .errors import UsageError
from .results import Grades, RecallReport


def grade(
    source: Path,
    out: Path,
    *,
    data: Path | None = None,
    task: str | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Grades:
    """Grades answers that any engine produced: JSON lines in, JSON lines out (docs/scoring.md).

    `data` has the data set's own lines, for answers without gold; `task` (gsm8k, math500, aime24,
    amc23, custom) is that of lines which name none.
    """
    return Grades.from_json(_core.grade(path_text(source), path_text(out), path_text(data), task, threads, progress))


def niah(
    model: Path | Sequence[Path] = (),
    *,
    endpoint: str | None = None,
    tokenizer: Path | None = None,
    out: Path,
    lengths: str | int | Sequence[str | int] = (),
    tasks: str | Iterable[str] = (),
    samples: int = 500,
    seed: int = 42,
    depths: int = 0,
    essays: Path | None = None,
    template: str = "base",
    tokens_to_generate: int = 128,
    prompts: Path | None = None,
    prefix: bool = True,
    logprobs: bool = True,
    max_tokens: int = 0,
    chat: bool = False,
    thinking: bool | None = None,
    chat_variables: Sequence[str] = (),
    transport: str = "auto",
    api_key: str | None = None,
    concurrency: int = 4,
    timeout: int = 1800,
    retries: int = 5,
    plain_openai: bool = False,
    insecure: bool = False,
    twice: bool = False,
    check_engine: bool = False,
    shard: str = "",
    adapter: Path | Sequence[Path] = (),
    dtype: str = "",
    cache_dtype: str = "",
    device: str = "",
    context_length: int = 0,
    chunk: int = 0,
    threads: int = 0,
    progress: Progress | None = None,
) -> RecallReport:
    """Measures recall with needles in haystacks, as RULER does.

    `model` is a checkpoint's folder or GGUF file, "name=folder", or several; the command's program for
    models runs them (the extra `models`), as `adapter`, `dtype`, `cache_dtype`, `device`,
    `context_length`, `chunk` and `threads` say. With `endpoint` it is the name under which an
    OpenAI-compatible server serves it, nothing: the server's only one; that needs `tokenizer`, a folder,
    which is the checkpoint's own otherwise. The key is that of `api_key`, else of OPENAI_API_KEY.
    `lengths` are tokens: 4096, "4k,8k" or "4k..64k". The folder `out` keeps every answer, and a run that
    was stopped goes on there.
    """
    listed = [lengths] if isinstance(lengths, (str, int)) else list(lengths)
    lengths = [word for entry in listed for word in str(entry).split(",")]
    models = [model] if isinstance(model, (str, os.PathLike)) else list(model)
    of_models = {
        "adapter": [adapter] if isinstance(adapter, (str, os.PathLike)) else list(adapter),
        "dtype": dtype,
        "cache_dtype": cache_dtype,
        "device": device,
        "context_length": context_length,
        "chunk": chunk,
        "threads": threads,
    }
    if endpoint is None:
        of_servers = {
            "transport": transport != "auto",
            "api_key": api_key is not None,
            "concurrency": concurrency != 4,
            "timeout": timeout != 1800,
            "retries": retries != 5,
            "plain_openai": plain_openai,
            "insecure": insecure,
        }
        _refuse(of_servers, "belongs to endpoint, and models are run here")
        words = _models.make_words(
            {
                "model": [path_text(name) for name in models],
                "tokenizer": tokenizer,
                "out": out,
                "lengths": ",".join(lengths),
                "tasks": ",".join(split_words(tasks)),
                "samples": samples,
                "seed": seed,
                "depths": depths or None,
                "essays": essays,
                "template": template,
                "tokens_to_generate": tokens_to_generate,
                "prompts": prompts,
                "no_prefix": not prefix,
                "no_logprobs": not logprobs,
                "max_tokens": max_tokens or None,
                "chat": chat,
                "thinking": None if thinking is None else int(thinking),
                "chat_var": list(chat_variables),
                "twice": twice,
                "check_engine": check_engine,
                "shard": shard,
                **{name: value or None for name, value in of_models.items()},
            }
        )
        _models.run_verb(["niah", *words], progress)
        return RecallReport.from_json(_read_summary(out, shard))
    _refuse(of_models, "belongs to models that are run here, not to endpoint")
    if tokenizer is None:
        raise UsageError("endpoint needs tokenizer, the folder of the checkpoint's tokenizer")
    server = _core.make_server(
        endpoint,
        os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key,
        transport,
        concurrency,
        timeout,
        retries,
        plain_openai,
        insecure,
    )
    if chat:
        server.set_chat(thinking, list(chat_variables))
    elif thinking is not None or chat_variables:
        raise UsageError("thinking and chat_variables belong to chat=True")
    recall = _core.make_recall(
        split_words(tasks) if tasks else [],
        lengths,
        samples,
        seed,
        path_text(essays),
        template,
        depths,
        tokens_to_generate,
        path_text(prompts),
    )
    recall.max_tokens = max_tokens
    recall.gives_prefix = prefix
    recall.asks_logprob = logprobs
    names = [path_text(name) for name in models]
    place = path_text(tokenizer)
    document = _core.ask_server(
        names, server, recall, place, path_text(out), shard, twice, check_engine, progress
    )
    return RecallReport.from_json(document if document is not None else {})


def _refuse(options: dict[str, Any], why: str) -> None:
    """Options that were given, where they have no meaning."""
    for name, given in options.items():
        if given:
            raise UsageError(f"{name} {why}")


def _read_summary(out: Path, shard: str) -> dict[str, Any]:
    """What a run has measured; nothing of one part of several, which `anamnesis report` joins."""
    if shard:
        return {}
    with open(os.path.join(os.fsdecode(out), "summary.json"), encoding="utf-8") as file:
        return json.load(file)
