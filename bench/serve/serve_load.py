#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Minutes of load on a server of OpenAI's completions, with clients that behave and clients that do not.

  serve_load.py --url URL --model NAME [--seconds 600] [--pid PID]

At once: clients that ask one of a few prompts, whole or streamed, and hold every answer against the first to the
same prompt; clients that hang up in the middle of a stream; clients that read a byte now and then; clients that
send garbage. Prints what came of each, times of whole answers, and with --pid the server's resident memory after
the first tenth of the time and at the end. Exit code 1 for a wrong answer or a server that no longer answers.
"""
import argparse
import http.client
import json
import random
import socket
import statistics
import sys
import threading
import time
import urllib.parse


JSON_TYPE = {"Content-Type": "application/json"}


class Load:
    def __init__(self, a):
        self.place = urllib.parse.urlparse(a.url)
        self.model, self.end = a.model, time.monotonic() + a.seconds
        draw = random.Random(5)
        self.prompts = [[draw.randrange(a.vocabulary) for _ in range(draw.choice([8, 40, 300]))] for _ in range(12)]
        self.expected, self.lock = {}, threading.Lock()
        self.counts, self.times = {}, []

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def body(self, index, **more):
        return json.dumps({"model": self.model, "prompt": self.prompts[index], "max_tokens": 24, "temperature": 0,
                           "ignore_eos": True, "return_token_ids": True, **more})

    def open(self, timeout=120):
        return http.client.HTTPConnection(self.place.hostname, self.place.port, timeout=timeout)

    def check(self, index, text):
        with self.lock:
            known = self.expected.setdefault(index, text)
        self.count("right" if text == known else "wrong")

    def ask(self, draw):
        index, streamed = draw.randrange(len(self.prompts)), draw.random() < 0.5
        connection, begin = self.open(), time.perf_counter()
        connection.request("POST", "/v1/completions", self.body(index, stream=streamed),
                           JSON_TYPE)
        response = connection.getresponse()
        if response.status == 429:
            response.read()
            self.count("told to come back")
            time.sleep(min(1.0, float(response.headers.get("Retry-After", 1))))
        elif response.status != 200:
            self.count(f"status {response.status}")
        elif streamed:
            events = [json.loads(line[6:]) for line in response if line.startswith(b"data: {")]
            self.check(index, "".join(c["text"] for e in events for c in e["choices"]))
        else:
            self.check(index, json.loads(response.read())["choices"][0]["text"])
        with self.lock:
            self.times.append(time.perf_counter() - begin)
        connection.close()

    def hang_up(self, draw):
        connection = self.open()
        connection.request("POST", "/v1/completions", self.body(draw.randrange(len(self.prompts)), stream=True,
                                                                max_tokens=2000), JSON_TYPE)
        response = connection.getresponse()
        response.read(draw.randrange(1, 400))
        response.close()
        connection.close()
        self.count("hung up" if response.status == 200 else f"status {response.status}")

    def read_slowly(self, draw):
        connection = self.open()
        connection.request("POST", "/v1/completions", self.body(draw.randrange(len(self.prompts)), stream=True,
                                                                max_tokens=400), JSON_TYPE)
        response = connection.getresponse()
        for _ in range(20):
            if not response.read(1) or time.monotonic() > self.end:
                break
            time.sleep(0.2)
        response.close()
        connection.close()
        self.count("read slowly" if response.status == 200 else f"status {response.status}")

    def send_garbage(self, draw):
        with socket.create_connection((self.place.hostname, self.place.port), timeout=10) as raw:
            head = draw.choice([b"", b"POST /v1/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n",
                                b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
                                b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"])
            raw.sendall(head + draw.randbytes(draw.randrange(300)))
            raw.settimeout(0.5)
            try:
                raw.recv(200)
            except OSError:
                pass
        self.count("garbage")
        time.sleep(0.1)

    def work(self, kind, seed):
        draw = random.Random(seed)
        while time.monotonic() < self.end:
            try:
                kind(draw)
            except (OSError, http.client.HTTPException) as error:
                self.count(f"{kind.__name__}: {type(error).__name__}")
                time.sleep(0.2)


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--vocabulary", type=int, default=50)
    a = parser.parse_args()
    load = Load(a)
    kinds = [load.ask] * 12 + [load.hang_up] * 3 + [load.read_slowly] * 2 + [load.send_garbage] * 2
    threads = [threading.Thread(target=load.work, args=(kind, seed)) for seed, kind in enumerate(kinds)]
    for thread in threads:
        thread.start()
    time.sleep(a.seconds / 10)
    memory = [resident(a.pid)] if a.pid else []
    for thread in threads:
        thread.join()
    time.sleep(2)
    memory += [resident(a.pid)] if a.pid else []
    load.end = time.monotonic() + 60
    load.ask(random.Random(0))
    quantiles = statistics.quantiles(load.times, n=100)
    print(json.dumps({"seconds": a.seconds, "came": dict(sorted(load.counts.items())),
                      "answers_per_second": round(len(load.times) / a.seconds, 1),
                      "p50": round(quantiles[49], 3), "p99": round(quantiles[98], 3), "resident_mb": memory}))
    failed = [what for what in load.counts if what == "wrong" or what.startswith(("ask", "status"))]
    return 1 if failed or not load.counts.get("right") else 0


if __name__ == "__main__":
    sys.exit(main())
