#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes testdata/tokenizer/models: small SentencePiece models, tiktoken vocabularies and tekken files, with what the
packages sentencepiece, tiktoken and mistral_common make of hard texts.

  tests/oracles/tokenizer_models.py --texts testdata/tokenizer/tiny/qwen2.jsonl [more.jsonl] --out testdata/tokenizer/models
  tests/oracles/tokenizer_models.py --texts ... --out DIR --whole      the character maps unpruned (1 MB; not committed)

Each form is a folder with its file, maybe tokenizer_config.json, encode.jsonl (kind, text, ids, add_special,
special_text) and decode.jsonl (ids, skip_special, text). The models are trained on the Markdown of docs/ and the texts.
Needs sentencepiece, protobuf, tiktoken, tokenizers and mistral_common.
"""
import argparse
import base64
import json
import pathlib
import random
import struct
import tempfile

import sentencepiece
import tiktoken
import tokenizers
from mistral_common.tokens.tokenizers.tekken import SpecialTokenPolicy, Tekkenizer
from sentencepiece import sentencepiece_model_pb2 as schema

LONGEST = 100  # characters of a text; more of the same tells nothing new
EXTRA = ["▁", "▁x", " ▁", "a▁b", "▁▁ ▁", "<s>", "</s>x", "x<s>y </s> z", "<unk>", "<0x41>", "<0x0A>\n", " <s> lead", "trail   ",
         "   a   b   ", "\n\n\n", "a\n\nb", "<table><tr>", "<table> x</table>", "abab", "xabx", "aab", "aaa" * 40, "the " * 60,
         "ﬁ ﬂ Å ℌ ㎏ ①", "ｶﾞ ｱｲ ｶﾞ", "\u00a0x\u3000y\u2003", "a\u200bb\u200dc\ufeffd", "İstanbul ǅ ß ẞ", "\u1112\u1161\u11ab",
         "\t\ttabs\r\n", "№ ™ … ½ ² ﷺ", "<start_of_turn>user\nHi<end_of_turn>", "e\u0301e\u0300", "\x00\x01\x7f", "�", "🇩🇪👩‍👩‍👧"]
KIMI = "|".join([r"[\p{Han}]+",
                 r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
                 r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                 r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
                 r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
                 r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA = QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
          r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def read_texts(paths):
    texts = {}
    for path in paths:
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            texts.setdefault(row["text"][:LONGEST], row["kind"])
    for text in EXTRA:
        texts.setdefault(text, "model")
    return [(kind, text) for text, kind in texts.items()]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows),
                    encoding="utf-8")


def is_storable(text):
    return not any(0xD800 <= ord(c) < 0xE000 for c in text)


def list_decodings(encodings, count, special, decode, extra=()):
    """Pieces of encodings, and ids at random; `decode` may refuse."""
    rng = random.Random(5)
    lists = [list(ids) for ids in extra]
    for ids in rng.sample(encodings, 60):
        begin = rng.randrange(len(ids) + 1)
        lists.append(ids[begin:begin + rng.randrange(1, 30)])
    for _ in range(60):
        lists.append([rng.randrange(count) for _ in range(rng.randrange(1, 12))])
    rows = []
    for ids in lists:
        rows.append({"ids": ids, "skip_special": True, "text": decode([i for i in ids if i not in special], True)})
        if not set(ids) & special:
            rows.append({"ids": ids, "skip_special": False, "text": decode(ids, False)})
    return rows


# --- SentencePiece ---

def train(corpus, **options):
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=f"{folder}/m", minloglevel=2, num_threads=1,
            max_sentence_length=100000, hard_vocab_limit=False, **options)
        model = schema.ModelProto()
        model.ParseFromString(pathlib.Path(f"{folder}/m.model").read_bytes())
    model.trainer_spec.ClearField("input")
    model.trainer_spec.model_prefix = "m"
    return model


def walk_trie(blob):
    """All rules of a precompiled character map."""
    size = struct.unpack_from("<I", blob)[0]
    units = struct.unpack_from(f"<{size // 4}I", blob, 4)
    texts = blob[4 + size:]
    rules = {}

    def offset(unit):
        return (unit >> 10) << ((unit & 512) >> 6)

    def walk(node, key):
        for byte in range(1, 256):
            child = node ^ byte
            if child < len(units) and units[child] & 0x800000FF == byte:
                following = child ^ offset(units[child])
                if units[child] >> 8 & 1:
                    begin = units[following] & 0x7FFFFFFF
                    rules[key + bytes([byte])] = texts[begin:texts.index(b"\0", begin)]
                walk(following, key + bytes([byte]))
    walk(offset(units[0]), b"")
    return {key.decode(): text.decode() for key, text in rules.items()}


def prune_rules(name, texts):
    """The rules of `name` that the texts need."""
    joined = "\n".join(text for _, text in texts)
    return {key: text for key, text in walk_trie(read_map(name)).items() if key in joined}


def read_map(name):
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "c"
        corpus.write_text("a b c d e f g h i j\n" * 20)
        return train(corpus, vocab_size=20, normalization_rule_name=name).normalizer_spec.precompiled_charsmap


def train_with_rules(corpus, name, texts, whole, **options):
    if whole:
        return train(corpus, normalization_rule_name=name, **options)
    with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as rules:
        for key, text in prune_rules(name, texts).items():
            rules.write(" ".join(f"{ord(c):X}" for c in key) + "\t" + " ".join(f"{ord(c):X}" for c in text) + "\n")
        rules.flush()
        model = train(corpus, normalization_rule_tsv=rules.name, **options)
    model.normalizer_spec.name = name
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    return model


def mark_unused(model):
    """Frequent pieces that may not come out, and characters that are no piece."""
    pieces = [p for p in model.pieces if p.type == 1 and len(p.piece) > 1]
    for piece in pieces[::3]:
        piece.type = 5
    for piece in list(model.pieces):
        if piece.type == 1 and piece.piece in "eoZ7":
            model.pieces.remove(piece)
    return model


def write_sentence_piece(folder, model, texts, config=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n")
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    rows, encodings = [], []
    for i, (kind, text) in enumerate(texts):
        if not is_storable(text):
            continue
        ids = processor.encode(text)
        encodings.append(ids)
        adds = i % 7 == 0 and processor.bos_id() >= 0
        rows.append({"kind": kind, "text": text, "ids": [processor.bos_id()] + ids if adds else ids,
                     "add_special": adds, "special_text": "plain"})
    write_lines(folder / "encode.jsonl", rows)
    special = {i for i in range(processor.get_piece_size()) if processor.is_control(i)}
    byte = [i for i in range(processor.get_piece_size()) if processor.is_byte(i)]
    extra = [[]]
    if byte:
        at = {int(processor.id_to_piece(i)[3:5], 16): i for i in byte}
        word = processor.encode("word")
        extra += [[at[b] for b in data] for data in
                  (b"\x20", b"\x20a", "é中😀".encode(), b"\xe4\xb8", b"\xe4\xb8\xad\xe4", b"\xff\xfea\xc3", b"\xed\xa0\x80")]
        extra += [[at[0xE4]] + word, word + [at[0xE4], at[0xB8]] + word, [at[0x20]] + word]
    write_lines(folder / "decode.jsonl",
                list_decodings(encodings, processor.get_piece_size(), special,
                               lambda ids, _: processor.decode(ids), extra))


def split_at(text, tokens):
    """(part, id or None), the longest token at the leftmost place."""
    parts, plain, at = [], "", 0
    while at < len(text):
        found = max((t for t in tokens if text.startswith(t, at)), key=len, default=None)
        if found is None:
            plain += text[at]
            at += 1
            continue
        if plain:
            parts.append((plain, None))
        plain = ""
        parts.append((found, tokens[found]))
        at += len(found)
    return parts + ([(plain, None)] if plain else [])


def write_with_special(folder, texts, legacy):
    """Texts whose special tokens are found, as transformers' slow tokenizers do it: each stretch goes to the model by
    itself; without `legacy` only the first gets the dummy prefix."""
    data = (folder / "tokenizer.model").read_bytes()
    first = sentencepiece.SentencePieceProcessor(model_proto=data)
    model = schema.ModelProto()
    model.ParseFromString(data)
    model.normalizer_spec.add_dummy_prefix = model.normalizer_spec.add_dummy_prefix and legacy
    later = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    tokens = {p.piece: i for i, p in enumerate(model.pieces) if p.type == 3}
    config = json.loads((folder / "tokenizer_config.json").read_text())
    tokens |= {entry["content"]: int(i) for i, entry in config.get("added_tokens_decoder", {}).items()}
    rows = []
    for kind, text in texts:
        if any(token in text for token in tokens) or kind in ("specials", "english"):
            ids = []
            for i, (part, token) in enumerate(split_at(text, tokens)):
                ids += [token] if token is not None else (later if i else first).encode(part)
            rows.append({"kind": kind, "text": text, "ids": ids, "add_special": False, "special_text": "recognise"})
    with open(folder / "encode.jsonl", "a", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_sentence_pieces(out, corpus, texts, whole):
    llama = train(corpus, model_type="bpe", vocab_size=900, byte_fallback=True, normalization_rule_name="identity",
                  remove_extra_whitespaces=False, character_coverage=0.995, split_digits=True)
    added = {"0": "<unk>", "1": "<s>", "2": "</s>"}
    config = {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>",
              "added_tokens_decoder": {i: {"content": t, "lstrip": False, "normalized": False, "rstrip": False,
                                           "single_word": False, "special": True} for i, t in added.items()}}
    write_sentence_piece(out / "sp_llama", llama, texts, config)
    # Special tokens that the config lists decode to themselves; the package says " ⁇ " for the unknown one.
    drop_unknown(out / "sp_llama", 0)
    write_with_special(out / "sp_llama", texts, True)
    config["legacy"] = False
    folder = out / "sp_llama_not_legacy"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(llama.SerializeToString())
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n")
    (folder / "encode.jsonl").write_text("")
    write_with_special(folder, texts, False)
    gemma = train(corpus, model_type="bpe", vocab_size=900, byte_fallback=True, normalization_rule_name="identity",
                  remove_extra_whitespaces=False, add_dummy_prefix=False, character_coverage=0.995,
                  pad_id=0, eos_id=1, bos_id=2, unk_id=3, control_symbols=["<start_of_turn>", "<end_of_turn>"],
                  user_defined_symbols=["\n\n", "\n", "▁▁", "▁▁▁", "<table>", "</table>", "ab", "abab", "<tr>"])
    write_sentence_piece(out / "sp_gemma", gemma, texts, {"tokenizer_class": "GemmaTokenizer"})
    write_with_special(out / "sp_gemma", texts, True)
    write_sentence_piece(out / "sp_bpe_nmt_nfkc", train_with_rules(
        corpus, "nmt_nfkc", texts, whole, model_type="bpe", vocab_size=700, character_coverage=0.98,
        user_defined_symbols=["①", "the"]), texts)
    write_sentence_piece(out / "sp_unigram_nmt_nfkc", train_with_rules(
        corpus, "nmt_nfkc", texts, whole, model_type="unigram", vocab_size=600, character_coverage=0.98, bos_id=-1), texts)
    write_sentence_piece(out / "sp_unigram_nfkc_cf_bytes", train_with_rules(
        corpus, "nfkc_cf", texts, whole, model_type="unigram", vocab_size=900, character_coverage=0.98, byte_fallback=True,
        add_dummy_prefix=False, remove_extra_whitespaces=False,
        user_defined_symbols=["<table>", "ab", "the", "▁▁"]), texts)
    unused = mark_unused(train(corpus, model_type="bpe", vocab_size=500, character_coverage=0.98, normalization_rule_name="identity"))
    write_sentence_piece(out / "sp_bpe_unused", unused, texts)
    unused = mark_unused(train(corpus, model_type="unigram", vocab_size=500, character_coverage=0.98, normalization_rule_name="identity"))
    unused.normalizer_spec.escape_whitespaces = False
    write_sentence_piece(out / "sp_unigram_unused_bare_spaces", unused, texts)


def drop_unknown(folder, unknown):
    rows = [json.loads(line) for line in open(folder / "decode.jsonl", encoding="utf-8")]
    write_lines(folder / "decode.jsonl", [row for row in rows if unknown not in row["ids"]])


# --- bytes by rank ---

def train_ranks(corpus, pattern, size):
    """Bytes in order, then what `tokenizers` merges of the corpus."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train([str(corpus)], tokenizers.trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    others = [b for b in range(256) if b not in printable]
    spelled = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
    tokens = [bytes(spelled[c] for c in text) for text, _ in sorted(tokenizer.get_vocab().items(), key=lambda it: it[1])]
    tokens = [bytes([b]) for b in range(256)] + [token for token in tokens if len(token) > 1]
    return {token: rank for rank, token in enumerate(tokens)}


def write_ranks(folder, name, ranks, pattern, special, config, texts, form="".__class__):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{base64.b64encode(t).decode()} {r}\n" for t, r in ranks.items()))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n")
    encoding = tiktoken.Encoding(name="x", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    rows, encodings = [], []
    for i, (kind, text) in enumerate(texts):
        plain = i % 3 == 0
        ids = (encoding.encode(form(text), disallowed_special=()) if plain
               else encoding.encode(form(text), allowed_special="all"))
        encodings.append(ids)
        rows.append({"kind": kind, "text": text, "ids": ids, "add_special": False,
                     "special_text": "plain" if plain else "recognise"})
    write_lines(folder / "encode.jsonl", rows)
    write_lines(folder / "decode.jsonl", list_decodings(
        encodings, len(ranks), set(special.values()), lambda ids, _: encoding.decode(ids)))


def name_tokens(names):
    return {str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
                     "special": True} for t, i in names.items()}


def write_tiktoken(out, corpus, texts):
    import unicodedata
    ranks = train_ranks(corpus, QWEN, 900)
    base = len(ranks)
    named = {"[BOS]": base, "[EOS]": base + 1, "<|im_end|>": base + 2, "<|im_start|>": base + 3, "[PAD]": base + 255}
    taken = set(named.values())
    special = named | {f"<|reserved_token_{i}|>": i for i in range(base, base + 256) if i not in taken}
    config = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "[EOS]",
              "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
              "added_tokens_decoder": name_tokens(named)}
    write_ranks(out / "tiktoken_kimi", "tiktoken.model", ranks, KIMI, special, config,
                texts + [("specials", f"a<|reserved_token_{base + 9}|>b"), ("cjk", "中文abc漢字カナ한국어 中a中")])
    special = {"<|endoftext|>": base, "<|im_start|>": base + 1, "<|im_end|>": base + 2}
    special |= {f"<|extra_{i}|>": base + 3 + i for i in range(205)}
    write_ranks(out / "tiktoken_qwen", "qwen.tiktoken", ranks, QWEN, special,
                {"tokenizer_class": "QWenTokenizer"}, texts + [("specials", "x<|extra_204|> y")],
                lambda text: unicodedata.normalize("NFC", text))
    special = {"<|begin_of_text|>": base, "<|end_of_text|>": base + 1, "<|eot_id|>": base + 9}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_type": "llama", "bos_token": "<|begin_of_text|>",
              "added_tokens_decoder": name_tokens(special)}
    write_ranks(out / "tiktoken_llama3", "tokenizer.model", ranks, LLAMA, special, config,
                texts + [("specials", "<|begin_of_text|>hi<|eot_id|>")])
    path = out / "tiktoken_llama3" / "encode.jsonl"
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    write_lines(path, rows + [dict(row, ids=[base] + row["ids"], add_special=True) for row in rows[::40]])


def write_tekken(out, corpus, texts):
    ranks = train_ranks(corpus, TEKKEN, 800)
    vocabulary = [{"rank": rank, "token_bytes": base64.b64encode(token).decode(),
                   "token_str": token.decode("utf-8", "ignore") if len(token) > 1 or token[0] < 128 else None}
                  for token, rank in ranks.items()]
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>"]
    for name, listed, count, cut in (("tekken", special, 30, 10), ("tekken_unlisted", None, 1000, 0)):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        file = {"config": {"pattern": TEKKEN, "num_vocab_tokens": len(vocabulary),
                           "default_vocab_size": len(vocabulary) - cut + count, "default_num_special_tokens": count,
                           "version": "v7" if listed else "v3"}, "vocab": vocabulary}
        if listed:
            file["special_tokens"] = [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(listed)]
        (folder / "tekken.json").write_text(json.dumps(file, ensure_ascii=False, separators=(",", ":")))
        tekken = Tekkenizer.from_file(folder / "tekken.json")
        rows, encodings = [], []
        for i, (kind, text) in enumerate(texts if listed else texts[::5]):
            ids = tekken.encode(text, bos=i % 7 == 0, eos=False)
            encodings.append(ids)
            rows.append({"kind": kind, "text": text, "ids": ids, "add_special": i % 7 == 0, "special_text": "plain"})
        write_lines(folder / "encode.jsonl", rows)
        policy = {True: SpecialTokenPolicy.IGNORE, False: SpecialTokenPolicy.KEEP}
        ordinary = [[i for i in ids if i >= count] for ids in encodings]
        write_lines(folder / "decode.jsonl", list_decodings(
            ordinary, count, set(), lambda ids, skips: tekken.decode(ids, policy[skips]),
            [[1, count + 72, count + 105, 2], [3, count + 200, count + 201, 4]]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", nargs="+", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts)
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus.txt"
        words = "".join(path.read_text(encoding="utf-8") for path in sorted(pathlib.Path("docs").glob("*.md")))
        corpus.write_text(words + "\n".join(text for _, text in texts), encoding="utf-8")
        write_sentence_pieces(arguments.out, corpus, texts, arguments.whole)
        write_tiktoken(arguments.out, corpus, texts)
        write_tekken(arguments.out, corpus, texts)


if __name__ == "__main__":
    main()
