# SPDX-License-Identifier: Apache-2.0
"""Repairs in memory are those of files, bit for bit."""
import hashlib
import json
import pathlib

import anamnesis
import pytest

numpy = pytest.importorskip("numpy", reason="numpy is not installed: state dicts are not tested")
from support import read_weights, write_weights  # noqa: E402


def torch_or_skip():
    return pytest.importorskip("torch", reason="torch is not installed: torch tensors are not tested")


def as_numpy(weights, dtype):
    """BF16 weights of files as arrays of a numpy type."""
    return {name: widen(raw).reshape(shape).astype(dtype) for name, (_, shape, raw) in weights.items()}


def widen(raw):
    return (numpy.frombuffer(raw, dtype=numpy.uint16).astype(numpy.uint32) << 16).view(numpy.float32)


def as_torch(weights):
    torch = torch_or_skip()
    types = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F8_E4M3": torch.float8_e4m3fn}
    return {
        name: torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(types[dtype]).reshape(shape)
        for name, (dtype, shape, raw) in weights.items()
    }


def tensor_bytes(tensor):
    if isinstance(tensor, numpy.ndarray):
        return tensor.tobytes()
    torch = torch_or_skip()
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


METHODS = [
    {},
    {"method": "q", "layers": [5]},
    {"method": "v", "heads": [1]},
    {"method": "pro", "lambda_rel": 0.5},
    {"method": "lerp", "alpha": 0.3},
    {"groups": "mlp,norms"},
]


@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float16", "float16"), ("float32", "float16")])
@pytest.mark.parametrize("request_", METHODS, ids=str)
def test_numpy_arrays_become_what_files_become(pair, tmp_path, dtypes, request_):
    config = json.loads((pathlib.Path(pair[0]) / "config.json").read_text())
    sides = {}
    for side, place, dtype in (("pre", pair[0], dtypes[0]), ("post", pair[1], dtypes[1])):
        sides[side] = as_numpy(read_weights(place), dtype)
        write_weights(tmp_path / side, sides[side], config)
    anamnesis.restore(tmp_path / "pre", tmp_path / "post", out=tmp_path / "out", **request_)
    expected = read_weights(tmp_path / "out")
    before = {name: array.copy() for name, array in sides["post"].items()}
    repaired = anamnesis.restore_state_dict(sides["pre"], sides["post"], config, **request_)
    changed = 0
    for name, (dtype, shape, raw) in expected.items():
        assert repaired[name].tobytes() == raw, name
        assert list(repaired[name].shape) == shape and repaired[name].dtype == sides["post"][name].dtype
        changed += repaired[name] is not sides["post"][name]
        assert sides["post"][name].tobytes() == before[name].tobytes()
    assert 0 < changed < len(expected)


@pytest.mark.parametrize("request_", METHODS, ids=str)
def test_torch_tensors_become_what_files_become(pair, tmp_path, request_):
    torch_or_skip()
    pre, post = (as_torch(read_weights(place)) for place in pair)
    config = pathlib.Path(pair[0])
    anamnesis.restore(*pair, out=tmp_path / "out", **request_)
    repaired = anamnesis.restore_state_dict(pre, post, config, **request_)
    for name, (_, _, raw) in read_weights(tmp_path / "out").items():
        assert tensor_bytes(repaired[name]) == raw, name


def digests_of(folder, name):
    """Digests of all tensors: those of post, and of what changes."""
    digests = {}
    for file in ("post", name):
        text = json.loads((folder / "expected" / f"{file}.sha256.json").read_text())
        digests.update(text["tensors"])
    return digests


def surgery_families():
    import os

    root = pathlib.Path(os.environ.get("ANAMNESIS_SOURCE", "/nowhere")) / "testdata" / "surgery"
    return sorted(file.parent.parent.name for file in root.glob("*/expected/qk.sha256.json"))


@pytest.mark.parametrize("family", surgery_families())
def test_every_family_becomes_what_its_goldens_say(source, family):
    torch_or_skip()
    folder = source / "testdata" / "surgery" / family
    try:
        pre, post = (as_torch(read_weights(folder / side)) for side in ("pre", "post"))
    except KeyError as dtype:
        pytest.skip(f"the test reads no {dtype}")
    # Where all layers slide, a repair takes rows only if it is told to.
    slides = not anamnesis.inspect(folder / "post").softmax_layers
    repaired = anamnesis.restore_state_dict(pre, post, folder / "post", include_sliding=slides)
    digests = digests_of(folder, "qk.sliding" if slides else "qk")
    assert set(digests) == set(repaired)
    for name, digest in digests.items():
        assert hashlib.sha256(tensor_bytes(repaired[name])).hexdigest() == digest, name


@pytest.mark.parametrize("request_", [{"method": "align"}, {"method": "pro", "metric": "rope"}], ids=str)
def test_computed_rows_of_another_family_are_those_of_files(source, tmp_path, request_):
    torch_or_skip()
    folder = source / "testdata" / "surgery" / "llama"
    places = [folder / side for side in ("pre", "post")]
    anamnesis.restore(*places, out=tmp_path / "out", **request_)
    repaired = anamnesis.restore_state_dict(*map(as_torch, map(read_weights, places)), places[1], **request_)
    for name, (_, _, raw) in read_weights(tmp_path / "out").items():
        assert tensor_bytes(repaired[name]) == raw, name


def test_tensors_are_read_where_they_lie(pair):
    """A view without a copy: what is written to the array later, the source sees."""
    from anamnesis import _core, state

    pre, post = (as_numpy(read_weights(place), "float32") for place in pair)
    config = (pathlib.Path(pair[0]) / "config.json").read_text()
    name = "model.layers.2.self_attn.q_proj.weight"
    reading = _core.Reading()
    sources = [
        _core.make_source(side, state._named_tensors(tensors, side), config, reading)
        for side, tensors in (("pre", pre), ("post", post))
    ]
    pre[name][...] = 7.0
    repair = _core.repair_in_memory(*sources, anamnesis.jobs.make_request(), None, reading, 0, None)
    target = post[name].copy()
    repair.write(name, target.reshape(-1).view(numpy.uint8))
    assert (target == 7.0).all()


def test_in_place_writes_into_the_tensors(pair):
    torch = torch_or_skip()
    pre, post = (as_torch(read_weights(place)) for place in pair)
    expected = anamnesis.restore_state_dict(pre, post, pair[0])
    name = "model.layers.2.self_attn.q_proj.weight"
    other = torch.nn.Parameter(post[name].t().contiguous().t())
    post[name] = other
    result = anamnesis.restore_state_dict(pre, post, pair[0], in_place=True)
    assert result[name] is other and not other.is_contiguous()
    for key in post:
        assert result[key] is post[key] and tensor_bytes(post[key]) == tensor_bytes(expected[key])
    arrays = [as_numpy(read_weights(place), "float32") for place in pair]
    arrays[1][name].flags.writeable = False
    kept = {key: array.copy() for key, array in arrays[1].items()}
    with pytest.raises(anamnesis.UsageError, match="read-only"):
        anamnesis.restore_state_dict(arrays[0], arrays[1], pair[0], in_place=True)
    assert all((arrays[1][key] == kept[key]).all() for key in kept)


def test_layouts_that_are_no_rows_in_order_are_copied(pair):
    pre, post = (as_numpy(read_weights(place), "float32") for place in pair)
    expected = anamnesis.restore_state_dict(pre, post, pair[0])
    odd_pre = {name: numpy.asfortranarray(array) for name, array in pre.items()}
    odd_post = {
        name: (numpy.repeat(array, 2, axis=0)[::2] if array.ndim > 1 else array) for name, array in post.items()
    }
    for array in odd_pre.values():
        array.flags.writeable = False
    repaired = anamnesis.restore_state_dict(odd_pre, odd_post, pair[0])
    assert all((repaired[name] == expected[name]).all() for name in expected)


def test_pre_may_be_a_path_and_kinds_may_differ(pair):
    pre, post = (as_numpy(read_weights(place), "float32") for place in pair)
    expected = anamnesis.restore_state_dict(pre, post, pair[0])
    mixed = anamnesis.restore_state_dict(pair[0], post, pair[0])
    assert all(mixed[name].tobytes() == expected[name].tobytes() for name in expected)
    torch = torch_or_skip()
    post = {name: torch.from_numpy(array) for name, array in post.items()}
    mixed = anamnesis.restore_state_dict(pre, post, pair[0])
    assert all(tensor_bytes(mixed[name]) == expected[name].tobytes() for name in expected)


def test_equal_rows_are_no_repair(pair):
    pre = as_numpy(read_weights(pair[0]), "float32")
    with pytest.raises(anamnesis.MismatchError, match="nothing to repair"):
        anamnesis.restore_state_dict(pre, dict(pre), pair[0])


def test_drift_of_state_dicts_is_that_of_files(pair):
    torch_or_skip()
    pre, post = (as_torch(read_weights(place)) for place in pair)
    here = anamnesis.drift_state_dict(pre, post, pair[0])
    there = anamnesis.drift(*pair)
    assert here.tensors == there.tensors and here.heads == there.heads and here.parts == there.parts
    assert anamnesis.drift_state_dict(pair[0], post, pair[0]).parts == there.parts


def test_routing_maps_of_path_config_and_state_dict_agree(source):
    for family in ("qwen3_next", "llama", "phi3", "deepseek_v3", "hypenet", "gpt_neox"):
        folder = source / "testdata" / "surgery" / family / "post"
        of_path = anamnesis.routing_map(folder)
        config = json.loads((folder / "config.json").read_text())
        of_config = anamnesis.routing_map(config)
        weights = {
            name: numpy.empty(shape, dtype="float16" if dtype == "BF16" else "float32")
            for name, (dtype, shape, _) in read_weights(folder).items()
        }
        of_state = anamnesis.routing_map(weights, config)
        assert of_path == of_state, family
        assert set(of_config) <= set(of_path), family
        for name, tensor in of_config.items():
            assert tensor == of_path[name], family
        plan = json.loads((folder.parent / "plan.json").read_text())
        for entry in plan["entries"]:
            found = of_path.get(entry["tensor"])
            if found is not None and entry["group"] == "weight":
                assert found.q == merged(entry["q"]) and found.k == merged(entry["k"]), entry["tensor"]


def merged(ranges):
    joined = []
    for begin, end in ranges:
        if joined and joined[-1][1] == begin:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    return joined


def test_slices_are_rows(source):
    folder = source / "testdata" / "surgery" / "qwen3_next" / "post"
    tensor = anamnesis.routing_map(folder)["model.layers.3.self_attn.q_proj.weight"]
    assert tensor.slices("q") == [slice(0, 16), slice(32, 48), slice(64, 80), slice(96, 112)]
    assert tensor.slices("q,gate") == [slice(0, 128)] and tensor.slices("k") == []
    with pytest.raises(ValueError, match="no role"):
        tensor.slices("o")


HOSTILE = [
    5,
    None,
    "text",
    [1.0, 2.0],
    object(),
    numpy.zeros((3, 3)),
    numpy.zeros((64, 64), dtype="float32")[:, :0],
    numpy.zeros((64, 64), dtype=">f4"),
    numpy.zeros((64, 64), dtype="U4"),
    numpy.zeros((64, 64), dtype=object),
    numpy.zeros((), dtype="float32"),
    numpy.zeros((2,) * 20, dtype="float32"),
    numpy.broadcast_to(numpy.float32(1), (64, 64)),
    numpy.ma.masked_array(numpy.zeros((64, 64), dtype="float32")),
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("side", ["pre", "post"])
def test_hostile_tensors_raise_or_are_read(pair, value, side):
    sides = {name: as_numpy(read_weights(place), "float32") for name, place in zip(("pre", "post"), pair)}
    sides[side]["model.layers.2.self_attn.q_proj.weight"] = value
    try:
        anamnesis.restore_state_dict(sides["pre"], sides["post"], pair[0])
    except (anamnesis.Error, TypeError, ValueError):
        pass


def test_hostile_dicts_raise(pair):
    post = as_numpy(read_weights(pair[1]), "float32")
    for pre in ({}, [], 5, {"a": numpy.zeros(3)}, {5: numpy.zeros(3)}, dict.fromkeys(post)):
        with pytest.raises((anamnesis.Error, TypeError, AttributeError)):
            anamnesis.restore_state_dict(pre, post, pair[0])
    for config in ({}, {"model_type": "llama"}, {"model_type": 3}, "/nowhere", 7, []):
        with pytest.raises((anamnesis.Error, TypeError, OSError)):
            anamnesis.restore_state_dict(post, post, config)


def test_torch_tensors_without_values_are_refused(pair):
    torch = torch_or_skip()
    pre, post = (as_torch(read_weights(place)) for place in pair)
    name = "model.layers.2.self_attn.q_proj.weight"
    for odd in (
        torch.empty(64, 64, device="meta"),
        torch.zeros(64, 64).to_sparse(),
        torch.quantize_per_tensor(torch.zeros(64, 64), 0.1, 0, torch.qint8),
    ):
        with pytest.raises(anamnesis.UsageError, match="tensor 'model.layers.2"):
            anamnesis.restore_state_dict({**pre, name: odd}, post, pair[0])
