# SPDX-License-Identifier: Apache-2.0
"""The hooks, in the real Trainer."""
import json
import os

import anamnesis
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the hooks are not tested")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: the hooks are not tested")
pytest.importorskip("accelerate", reason="accelerate is not installed: the Trainer of transformers needs it")
from anamnesis import hf  # noqa: E402


class Texts(torch.utils.data.Dataset):
    """Random tokens to learn."""

    def __init__(self, vocabulary):
        generator = torch.Generator().manual_seed(1)
        self.rows = torch.randint(0, vocabulary, (16, 12), generator=generator)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def load(source, family):
    folder = source / "testdata" / "models" / family
    return str(folder), transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def make_trainer(model, out, callbacks, steps=4, **arguments):
    settings = transformers.TrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        weight_decay=0.1,
        logging_steps=1,
        save_steps=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **arguments,
    )
    return transformers.Trainer(
        model=model, args=settings, train_dataset=Texts(model.config.vocab_size), callbacks=callbacks
    )


@pytest.mark.parametrize("family", ["qwen3_base", "qwen3_next_base"])
def test_drift_is_logged_and_copies_are_repaired(source, tmp_path, family):
    pre, model = load(source, family)
    callback = hf.RestoreCallback(pre=pre)
    trainer = make_trainer(model, tmp_path, [callback])
    trainer.train()
    assert [point.step for point in callback.drift][:4] == [1, 2, 3, 4]
    assert 0 < callback.drift[0].q < callback.drift[3].q and callback.drift[3].k > 0
    assert any("anamnesis/drift_q" in entry for entry in trainer.state.log_history)
    assert [saved.step for saved in callback.saved] == [2, 4]
    for saved in callback.saved:
        assert saved.repaired == str(tmp_path / "repaired" / f"checkpoint-{saved.step}")
        assert anamnesis.verify(pre, saved.path, saved.repaired)
        transformers.AutoModelForCausalLM.from_pretrained(saved.repaired)
    # What was logged is the drift of the checkpoint that was saved at the same step.
    report = anamnesis.drift(pre, callback.saved[-1].path)
    layers = anamnesis.inspect(pre).softmax_layers
    drifts = [t.drift for t in report.tensors if t.layer in layers and t.part == "q" and "proj.weight" in t.name]
    assert len(drifts) == len(layers)
    assert callback.drift[3].q == pytest.approx(sum(drifts) / len(drifts), rel=1e-3)
    assert set(callback.drift[3].layers) == set(layers)


def test_without_pre_drift_is_from_the_start(source, tmp_path):
    _, model = load(source, "qwen3_base")
    callback = hf.RestoreCallback()
    seen = []

    class Tracker(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            seen.append(dict(logs))

    trainer = make_trainer(model, tmp_path, [Tracker()])
    callback.attach(trainer)
    trainer.train()
    assert callback.drift[0].q > 0 and not callback.saved[0].repaired
    assert "anamnesis/drift_k" in seen[0]


def test_a_gate_warns_or_stops(source, tmp_path, caplog):
    pre, model = load(source, "qwen3_base")
    values = iter([0.9, 0.1, 0.9])
    callback = hf.RestoreCallback(
        pre=pre, gate=lambda *_: next(values), min_recall=0.5, on_fail="stop", repair="failed"
    )
    make_trainer(model, tmp_path, [callback], steps=8).train()
    assert [(saved.step, saved.recall, saved.passed) for saved in callback.saved] == [(2, 0.9, True), (4, 0.1, False)]
    assert callback.saved[0].repaired is None and callback.saved[1].repaired
    assert "recall is 0.100, below 0.500" in caplog.text


def test_a_copy_that_cannot_be_made_does_not_end_training(source, tmp_path, caplog):
    _, model = load(source, "qwen3_base")
    other = str(source / "testdata" / "models" / "llama_scaled")
    callback = hf.RestoreCallback(pre=other)
    trainer = make_trainer(model, tmp_path, [callback])
    trainer.train()
    assert trainer.state.global_step == 4 and callback.saved[0].repaired is None
    assert "could not be repaired" in caplog.text


def test_needles_are_asked_of_the_model(source, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(source / "testdata" / "tokenizer" / "tiny" / "qwen2")
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=4096,
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    gate = hf.NeedleGate(length=1024, samples=2, tokens_to_generate=16)
    assert gate(model, tokenizer) == 0.0

    answered = []

    def generate(input_ids, **_):
        """Copies the needle's number, which is what recall is."""
        text = tokenizer.decode(input_ids[0])
        value = text.split(" is: ")[1].split(".")[0]
        answered.append(value)
        return torch.cat([input_ids, torch.tensor([tokenizer(" " + value)["input_ids"]])], 1)

    model.generate = generate
    assert gate(model, tokenizer) == 1.0 and len(answered) == 2
    with pytest.raises(anamnesis.UsageError, match="tokenizer"):
        gate(model, None)


@pytest.mark.parametrize("family", ["qwen3_base", "qwen3_next_base", "phi3_base"])
def test_frozen_rows_stay_to_the_bit_and_others_learn(source, tmp_path, family):
    _, model = load(source, family)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    frozen = hf.freeze_qk(model)
    routing = anamnesis.routing_map(before, json.loads(model.config.to_json_string(use_diff=False)))
    make_trainer(model, tmp_path, [frozen], steps=3, save_strategy="no").train()
    after = dict(model.named_parameters())
    checked = 0
    for name, tensor in routing.items():
        if tensor.group != "weight" or tensor.kind != "full":
            continue
        for rows in tensor.slices("qk"):
            assert torch.equal(after[name][rows], before[name][rows]), name
            checked += 1
        for rows in tensor.slices("v,gate"):
            assert not torch.equal(after[name][rows], before[name][rows]), name
    assert checked
    if family == "qwen3_base":
        assert frozen.parameters and not frozen.rows
    else:
        assert frozen.rows


def test_freeze_works_in_a_loop_of_your_own(source):
    _, model = load(source, "qwen3_next_base")
    name = "model.layers.3.self_attn.q_proj.weight"
    weight = dict(model.named_parameters())[name]
    before = weight.detach().clone()
    frozen = hf.freeze_qk(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5)
    frozen.attach(optimizer)
    batch = Texts(model.config.vocab_size).rows[:2]
    for _ in range(2):
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
    for rows in frozen.rows[name]:
        assert torch.equal(weight[rows], before[rows])
    assert not torch.equal(weight, before)


def test_wrong_requests_are_refused(source):
    _, model = load(source, "qwen3_base")
    for options, sentence in (
        ({"on_fail": "cry"}, "'warn' or 'stop'"),
        ({"repair": "sometimes", "pre": "."}, "'always', 'failed' or 'never'"),
        ({"repair": "always"}, "needs pre"),
        ({"min_recall": 0.5}, "need a gate"),
        ({"method": "magic"}, "magic"),
        ({"pre": "no/such-model"}, "neither a folder nor in the Hugging Face cache"),
    ):
        with pytest.raises(anamnesis.UsageError, match=sentence):
            hf.RestoreCallback(**options)
    with pytest.raises(anamnesis.UsageError, match="has no rows"):
        hf.freeze_qk(model, layers=[99])


def test_adapters_are_watched_and_repaired(source, tmp_path):
    peft = pytest.importorskip("peft", reason="peft is not installed: adapters in training are not tested")
    pre, model = load(source, "qwen3_base")
    model = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]))
    callback = hf.RestoreCallback(pre=pre)
    make_trainer(model, tmp_path, [callback]).train()
    assert callback.drift[-1].q > callback.drift[0].q > 0
    saved = callback.saved[-1]
    assert saved.repaired and os.path.exists(os.path.join(saved.repaired, "adapter_config.json"))
    assert anamnesis.verify(pre, saved.path, saved.repaired)


def test_trl_trains_with_the_callback(source, tmp_path):
    trl = pytest.importorskip("trl", reason="trl is not installed: SFTTrainer is not tested")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: SFTTrainer is not tested")
    tokenizer = transformers.AutoTokenizer.from_pretrained(source / "testdata" / "tokenizer" / "tiny" / "qwen2")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16,
    )
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(tmp_path / "pre")
    callback = hf.RestoreCallback(pre=tmp_path / "pre")
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(tmp_path / "out"), max_steps=2, save_steps=2, logging_steps=1, report_to=[], use_cpu=True,
            per_device_train_batch_size=2, max_length=32, bf16=False, learning_rate=1e-2, disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_dict({"text": ["one two three", "four five six"] * 4}),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    trainer.train()
    assert callback.drift[-1].q > 0
    saved = callback.saved[-1]
    assert saved.repaired and anamnesis.verify(tmp_path / "pre", saved.path, saved.repaired)
