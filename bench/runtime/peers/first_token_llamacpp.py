"""llama.cpp on the CPU: from a file to the first token of an answer, once, in a process of its own.

  python first_token_llamacpp.py MODEL.gguf [--prompt TEXT] [--threads 2] [--context 512]

The package xllamacpp. seconds counts from the opening of the file, without the package's import; process is
what the whole program took.
"""
import argparse, json, os, time
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("model"); ap.add_argument("--prompt", default="a needle in a haystack")
ap.add_argument("--threads", type=int, default=2); ap.add_argument("--context", type=int, default=512)
a = ap.parse_args()
import xllamacpp as X
ticks = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
begin = time.clock_gettime(time.CLOCK_BOOTTIME)
p = X.CommonParams(); p.model.path = a.model
p.n_ctx, p.n_parallel, p.warmup, p.fit_params, p.verbosity = a.context, 1, False, False, 0
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = a.threads
server = X.Server(p)
loaded = time.clock_gettime(time.CLOCK_BOOTTIME)
r = server.handle_completions({"prompt": a.prompt, "n_predict": 1, "temperature": 0, "ignore_eos": True, "cache_prompt": False})
end = time.clock_gettime(time.CLOCK_BOOTTIME)
r = json.loads(r) if isinstance(r, (str, bytes)) else r
print(json.dumps({"what": "first token", "peer": "llama.cpp in xllamacpp " + X.__version__, "text": r["choices"][0]["text"],
                  "loaded": round(loaded - begin, 3), "seconds": round(end - begin, 3), "process": round(end - ticks, 3)}))
os._exit(0)
