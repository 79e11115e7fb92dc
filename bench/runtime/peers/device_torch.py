"""transformers on an accelerator: prompt processing and decoding of a checkpoint, shorter lengths first.

  python device_torch.py DIR [--device cuda] [--lengths 2048,8192] [--decode 2048] [--steps 32] [--dtype bfloat16]

One JSON line per measurement, with the fields of device_bench. A family that transformers does not have is said so, and ends with 0.
"""
import argparse, time
from common import tokens, emit
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("dir"); ap.add_argument("--device", default="cuda"); ap.add_argument("--lengths", default="2048,8192")
ap.add_argument("--decode", default="2048"); ap.add_argument("--steps", type=int, default=32); ap.add_argument("--dtype", default="bfloat16")
a = ap.parse_args()
import torch
try:
    import transformers
    config = transformers.AutoConfig.from_pretrained(a.dir)
except (ImportError, ValueError, KeyError) as error:
    emit(peer="transformers", skipped=str(error).splitlines()[0])
    raise SystemExit(0)
ints = lambda s: [int(x) for x in s.split(",") if x]
emit(peer="transformers " + transformers.__version__, torch=torch.__version__)
model = transformers.AutoModelForCausalLM.from_pretrained(a.dir, dtype=getattr(torch, a.dtype), attn_implementation="sdpa").to(a.device).eval()


def wait():
    if a.device.startswith("cuda"):
        torch.cuda.synchronize()


def timed(body):
    wait(); t = time.perf_counter(); out = body(); wait()
    return time.perf_counter() - t, out


@torch.inference_mode()
def prefill(n):
    ids = torch.tensor([tokens(n, config.vocab_size)], device=a.device)
    cache = transformers.DynamicCache(config=model.config)
    out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out.logits[0, -1], cache


@torch.inference_mode()
def go_on(tok, cache, steps):
    for _ in range(steps):
        tok = model(input_ids=tok, past_key_values=cache, use_cache=True).logits[0, -1].argmax().view(1, 1)
    return tok


lengths = sorted(ints(a.lengths))
logits, cache = prefill(lengths[0]); go_on(logits.argmax().view(1, 1), cache, 4)                     # warm
for n in lengths:
    if a.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    del cache
    t, (logits, cache) = timed(lambda: prefill(n))
    row = dict(what="prefill", length=n, seconds=round(t, 4), tok_s=n / t, argmax=int(logits.argmax()))
    if a.device.startswith("cuda"):
        row["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
    emit(**row)
    if n in ints(a.decode):
        tok = go_on(logits.argmax().view(1, 1), cache, 4)
        t, _ = timed(lambda: go_on(tok, cache, a.steps))
        emit(what="decode", context=n, steps=a.steps, tok_s=a.steps / t)
