# SPDX-License-Identifier: Apache-2.0
"""Every kind of cause has its exception, and no input ends the interpreter."""
import json
import os
import pickle

import anamnesis
import pytest
from anamnesis import _core, errors


def test_every_kind_has_a_class_of_its_own():
    kinds = _core.list_error_kinds()
    assert len(kinds) == len(set(kinds)) == 10
    classes = set()
    for kind in kinds:
        with pytest.raises(anamnesis.Error) as caught:
            _core.throw_error(kind, "a 'sentence'")
        assert caught.value.kind == kind and caught.value.message == "a 'sentence'"
        classes.add(type(caught.value))
    assert len(classes) == 10 and anamnesis.Error not in classes


def test_errors_keep_their_context_and_travel():
    with pytest.raises(anamnesis.NotFoundError) as caught:
        anamnesis.inspect("/nowhere/at/all")
    error = caught.value
    assert "/nowhere/at/all" in error.message
    assert error.context and str(error) == error.message + "".join(f"\n  while {line}" for line in error.context)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)


def test_kinds_of_real_causes(pair, tmp_path):
    pre, post = pair
    with pytest.raises(anamnesis.UsageError, match="lies in, the source"):
        anamnesis.restore(pre, post, out=pre)
    with pytest.raises(anamnesis.MismatchError, match="nothing to repair"):
        twin = tmp_path / "twin"
        anamnesis.restore(pre, post, out=twin)
        anamnesis.restore(pre, twin, out=tmp_path / "again")
    broken = tmp_path / "broken"
    os.makedirs(broken)
    (broken / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(anamnesis.MalformedError):
        anamnesis.inspect(broken)
    unknown = tmp_path / "unknown"
    os.makedirs(unknown)
    (unknown / "model.safetensors").write_bytes((tmp_path / "pair" / "pre" / "model.safetensors").read_bytes())
    (unknown / "config.json").write_text('{"model_type": "never_heard_of"}')
    with pytest.raises(anamnesis.UnsupportedError, match="never_heard_of"):
        anamnesis.inspect(unknown)
    assert issubclass(anamnesis.UsageError, ValueError)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "needs out"),
        ({"out": "a", "in_place": True}, "one of out, in_place and patch"),
        ({"out": "a", "method": "magic"}, "magic"),
        ({"out": "a", "method": "groups"}, "--groups LIST"),
        ({"out": "a", "groups": "q,nothing"}, "nothing"),
        ({"out": "a", "layers": [99]}, "99"),
        ({"out": "a", "layers": [-1]}, "layers"),
        ({"out": "a", "layers": ["x"]}, "layers"),
        ({"out": "a", "layers": "3-"}, "layers"),
        ({"out": "a", "alpha": 0.5}, "--method lerp"),
        ({"out": "a", "method": "lerp", "alpha": 2}, "alpha is 2"),
        ({"out": "a", "method": "lerp", "alpha": float("nan")}, "alpha"),
        ({"out": "a", "method": "pro", "lambda_rel": -1.0}, "negative"),
        ({"out": "a", "metric": "rope"}, "--method pro"),
        ({"out": "a", "mu": 1.0}, "belong to method='fit'"),
        ({"out": "a", "allow": ["everything"]}, "everything"),
        ({"out": "a", "threads": 5000}, "at most 1024"),
        ({"in_place": True, "link": True}, "link belongs to out"),
        ({"patch": "p", "sync": False}, "sync belongs to out"),
        ({"out": "a", "via": "f64"}, "f64"),
    ],
)
def test_wrong_options_are_refused_with_a_sentence(pair, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(anamnesis.UsageError, match=sentence):
        anamnesis.restore(*pair, **options)
    assert not (tmp_path / "a").exists()


def test_fit_says_who_calibrates(pair, tmp_path):
    with pytest.raises(anamnesis.UnsupportedError, match="moments"):
        anamnesis.restore(*pair, out=tmp_path / "out", method="fit")


@pytest.mark.parametrize("path", [5, None, 1.5, object(), [], {}, b"\xff\xfe", "", "a\0b", "\udcff", "/dev/null", "/"])
def test_odd_paths_raise(path):
    for job in (anamnesis.inspect, anamnesis.doctor, anamnesis.undo):
        with pytest.raises((anamnesis.Error, TypeError, ValueError)):
            job(path)


def test_wrong_types_raise(pair):
    pre, post = pair
    for options in ({"threads": "four"}, {"threads": -1}, {"progress": 5}, {"strict": "yes", "threads": None}):
        with pytest.raises((anamnesis.Error, TypeError)):
            anamnesis.drift(pre, post, **options)
    with pytest.raises(TypeError):
        anamnesis.restore(pre, post, out="x", no_such_option=True)
    with pytest.raises((anamnesis.Error, TypeError)):
        _core.inspect(None, True, None)


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"model_type": 5}',
        '{"model_type": "llama", "hidden_size": -1}',
        '{"model_type": "llama", "hidden_size": 1e99}',
        '{"model_type": "llama", "num_hidden_layers": 4294967295, "hidden_size": 4294967295}',
        '{"model_type": "qwen3_next", "layer_types": "full"}',
        "{" * 100000,
        json.dumps({"model_type": "llama", "num_attention_heads": 0, "hidden_size": 64}),
    ],
)
def test_hostile_configs_raise(pair, config, tmp_path):
    folder = tmp_path / "hostile"
    os.makedirs(folder)
    (folder / "model.safetensors").write_bytes((tmp_path / "pair" / "pre" / "model.safetensors").read_bytes())
    (folder / "config.json").write_text(config)
    try:
        anamnesis.inspect(folder)
    except (anamnesis.Error, ValueError):
        pass
    with pytest.raises((anamnesis.Error, ValueError)):
        anamnesis.routing_map(json.loads(config))


def test_configs_that_are_no_json_are_refused():
    endless = {"model_type": "llama"}
    endless["self"] = endless
    for config in (endless, {"model_type": object()}, {"a": {1, 2}}):
        with pytest.raises(anamnesis.UsageError, match="no JSON"):
            anamnesis.routing_map(config)
    with pytest.raises(anamnesis.UsageError, match="takes a path"):
        anamnesis.routing_map(5)
