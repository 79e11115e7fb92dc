#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Encoding of text by encode_bench and by the package `tokenizers`, in turn, for each form of tokenizer.json that
testdata holds.

  taskset -c 1 bench/language/tokenizer_peer.py build/release/bench/encode_bench --text essays.txt --train *.txt

A form keeps its normaliser, pre-tokenizer and kind of model; its vocabulary is trained anew, with at most --vocabulary
tokens, on the files of --train, and kept in --work. --also names tokenizers that are taken as they are. The text is
encoded whole, and paragraph by paragraph; medians of --rounds. The peer is asked for ids alone (encode_batch_fast, one
thread). Times are CPU times. Ids that differ are told, and end it with 1.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
import tokenizers  # noqa: E402
from tokenizers import decoders, models, pre_tokenizers, trainers  # noqa: E402

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def cuts_words(tokenizer):
    """Whether the pre-tokenizer leaves words: a trainer needs them."""
    stage = tokenizer.pre_tokenizer
    text = "some words in a line"
    if tokenizer.normalizer is not None:
        text = tokenizer.normalizer.normalize_str(text)
    return stage is not None and len(stage.pre_tokenize_str(text)) > 1


def retrain(path, files, size):
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    kind = type(tokenizer.model).__name__
    options = {"vocab_size": size, "show_progress": False, "special_tokens": SPECIAL}
    if kind == "BPE":
        falls_back = tokenizer.model.byte_fallback
        ignores = tokenizer.model.ignore_merges
        byte_level = "ByteLevel" in repr(tokenizer.pre_tokenizer)
        trained = tokenizers.Tokenizer(models.BPE(unk_token=None if byte_level else "<unk>", fuse_unk=not byte_level,
                                                  byte_fallback=falls_back, ignore_merges=ignores))
        options["special_tokens"] = SPECIAL + (BYTES if falls_back else [])
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
        trainer = trainers.BpeTrainer(**options)
    elif kind == "Unigram":
        trained = tokenizers.Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(unk_token="<unk>", **options)
    else:
        trained = tokenizers.Tokenizer(models.WordLevel(unk_token="<unk>"))
        trainer = trainers.WordLevelTrainer(**options)
    if tokenizer.normalizer is not None:
        trained.normalizer = tokenizer.normalizer
    trained.pre_tokenizer = (tokenizer.pre_tokenizer if cuts_words(tokenizer)
                             else pre_tokenizers.Metaspace(prepend_scheme="never"))
    trained.train(files, trainer)
    if not cuts_words(tokenizer):
        # An empty sequence leaves a text whole.
        trained.pre_tokenizer = tokenizer.pre_tokenizer or pre_tokenizers.Sequence([])
    if tokenizer.decoder is not None:
        trained.decoder = tokenizer.decoder
    elif kind != "WordLevel":
        trained.decoder = decoders.Fuse()
    return trained


def digest(lists):
    value = count = 0
    for ids in lists:
        count += len(ids)
        for i in ids:
            value = (value * 1000003 + i) & 0xFFFFFFFF
    return count, value


class Ours:
    def __init__(self, program, tokenizer, text):
        self.process = subprocess.Popen([program, tokenizer, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def encode(self, how):
        self.process.stdin.write(how + "\n")
        self.process.stdin.flush()
        seconds, count, value = self.process.stdout.readline().split()
        return float(seconds), (int(count), int(value))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def compare(program, path, text_path, rounds):
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    text = text_path.read_text(encoding="utf-8")
    texts = {"whole": [text], "paragraphs": text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")}
    ours = Ours(program, str(path), str(text_path))
    cells, same = [], True
    for how, parts in texts.items():
        mine, peer = [], []
        for i in range(rounds + 1):
            seconds, seen = ours.encode(how)
            begin = time.process_time()
            encodings = tokenizer.encode_batch_fast(parts, add_special_tokens=False)
            other = time.process_time() - begin
            if i == 0:
                same = same and digest([e.ids for e in encodings]) == seen
            else:
                mine.append(seconds)
                peer.append(other)
        size = len(text.encode()) / 2 ** 20
        a, b = statistics.median(mine), statistics.median(peer)
        cells.append(f"{size / a:.1f} | {size / b:.1f} | {b / a:.2f}")
    ours.close()
    print(f"| {path.parent.name if path.name == 'tokenizer.json' else path.stem} | {tokenizer.get_vocab_size():,} | "
          + " | ".join(cells) + ("" if same else " | DIFFERENT IDS") + " |", flush=True)
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--train", nargs="*", default=[])
    parser.add_argument("--also", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--forms", nargs="*", default=[], help="names; all where absent")
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/tokenizer_peer"))
    arguments = parser.parse_args()
    testdata = pathlib.Path(__file__).parents[2] / "testdata"
    forms = sorted([*testdata.glob("tokenizer/forms/*"), *testdata.glob("field/tokenizer/*"), testdata / "tokenizer/tiny/qwen3_5"])
    print(f"tokenizers {tokenizers.__version__}; MiB a second of CPU time, of anamnesis and the peer, and how many times faster\n")
    print("| form | tokens | whole text | peer | times | paragraphs | peer | times |\n|---|---|---|---|---|---|---|---|")
    same = True
    for path in arguments.also:
        same = compare(arguments.program, path, arguments.text, arguments.rounds) and same
    for form in forms:
        if arguments.forms and form.name not in arguments.forms:
            continue
        made = arguments.work / form.name / "tokenizer.json"
        if not made.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            retrain(form / "tokenizer.json", arguments.train, arguments.vocabulary).save(str(made))
        same = compare(arguments.program, made, arguments.text, arguments.rounds) and same
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
