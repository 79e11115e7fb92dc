#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of a server of OpenAI's completions: many clients at once, and prompts that begin alike.

  serve_bench.py clients --url URL [--clients 16] [--prompt 512] [--answer 128] [--seed 1]
      Each client sends one request of random token ids at the same time. Prints tokens a second of all answers
      together, from the first request to the last answer, and times to the first token.
  serve_bench.py prefix --url URL [--prefix 4096] [--tail 16] [--rounds 3]
      Two requests that share a beginning, one after the other: the second one's time to the first token, as a
      share of the first one's.

Prompts are ids below --vocabulary, from --seed: another one for each round, since servers keep prompts. Nothing but the standard library is needed.
"""
import argparse
import http.client
import json
import random
import statistics
import threading
import time
import urllib.parse


def ask(url, model, prompt, answer):
    """Seconds to the first token and to the end, and the tokens that the server counted."""
    place = urllib.parse.urlparse(url)
    body = {"model": model, "prompt": prompt, "max_tokens": answer, "temperature": 0, "stream": True,
            "ignore_eos": True, "stream_options": {"include_usage": True}, "return_token_ids": True}
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=3600)
    begin = time.perf_counter()
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{response.status} {response.read().decode()}")
    first, usage = None, {}
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if "error" in event:
            raise SystemExit(event["error"])
        if first is None and event["choices"]:
            first = time.perf_counter() - begin
        usage = event.get("usage") or usage
    connection.close()
    return {"first": first, "end": time.perf_counter() - begin, "usage": usage}


def draw(generator, count, vocabulary):
    return [generator.randrange(vocabulary) for _ in range(count)]


def run_clients(a):
    generator = random.Random(a.seed)
    prompts = [draw(generator, a.prompt, a.vocabulary) for _ in range(a.clients)]
    results = [None] * a.clients

    def work(i):
        results[i] = ask(a.url, a.model, prompts[i], a.answer)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(a.clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    made = sum(r["usage"].get("completion_tokens", a.answer) for r in results)
    return {"clients": a.clients, "prompt": a.prompt, "answer": a.answer, "seconds": round(seconds, 2),
            "new_tokens_per_second": round(made / seconds, 1),
            "all_tokens_per_second": round((made + a.clients * a.prompt) / seconds, 1),
            "first_token_median": round(statistics.median(r["first"] for r in results), 2),
            "first_token_last": round(max(r["first"] for r in results), 2)}


def run_prefix(a):
    generator = random.Random(2)
    shares, rounds = [], []
    for _ in range(a.rounds):
        prefix = draw(generator, a.prefix, a.vocabulary)
        pair = [ask(a.url, a.model, prefix + draw(generator, a.tail, a.vocabulary), 1) for _ in range(2)]
        shares.append(pair[1]["first"] / pair[0]["first"])
        reused = (pair[1]["usage"].get("prompt_tokens_details") or {}).get("cached_tokens")
        rounds.append({"first": round(pair[0]["first"], 3), "second": round(pair[1]["first"], 3), "reused": reused})
    return {"prefix": a.prefix, "tail": a.tail, "share_median": round(statistics.median(shares), 4), "rounds": rounds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["clients", "prefix"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--answer", type=int, default=128)
    parser.add_argument("--prefix", type=int, default=4096)
    parser.add_argument("--tail", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    a = parser.parse_args()
    print(json.dumps(run_clients(a) if a.what == "clients" else run_prefix(a)))


if __name__ == "__main__":
    main()
