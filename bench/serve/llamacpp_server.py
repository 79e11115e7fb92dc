#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's server, of the package xllamacpp, for serve_bench.py: prints its address and runs until killed.

  llamacpp_server.py MODEL.gguf [--clients 16] [--context 768] [--threads 2]

--context holds for each client. Its continuous batching and flash attention are on.
"""
import argparse
import time

import xllamacpp


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--context", type=int, default=768)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    p = xllamacpp.CommonParams()
    p.model.path = a.model
    p.n_parallel, p.n_ctx, p.cont_batching = a.clients, a.clients * a.context, True
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = a.threads
    p.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    p.fit_params, p.verbosity, p.port = False, 0, 0
    server = xllamacpp.Server(p)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
