# SPDX-License-Identifier: Apache-2.0
"""The fields of results are those that `--json` prints."""
import dataclasses
import json
import re
import subprocess

import anamnesis
import pytest
from anamnesis import results


def run(command, *arguments, code=0):
    finished = subprocess.run([command, *map(str, arguments), "--json"], capture_output=True, text=True)
    assert finished.returncode == code, finished.stderr
    return json.loads(finished.stdout)


def test_inspect_gives_what_the_verb_prints(pair, command):
    for place in pair:
        assert anamnesis.inspect(place).json == run(command, "inspect", place)
    info = anamnesis.inspect(pair[0], tensors=True)
    assert info.json == run(command, "inspect", pair[0], "--tensors")
    assert (info.family, info.heads.query, info.heads.key_value, info.heads.head_dim) == ("hypenet", 4, 2, 16)
    assert info.softmax_layers == [2, 5]
    assert info.all_tensors[0].dtype == "BF16"


def test_doctor_drift_and_verify_give_what_the_verbs_print(pair, command, tmp_path):
    pre, post = pair
    assert anamnesis.doctor(pre).json == run(command, "doctor", pre)
    assert anamnesis.doctor(pre, post).json == run(command, "doctor", pre, post)
    assert anamnesis.drift(pre, post).json == run(command, "drift", "--pre", pre, "--post", post)
    out = tmp_path / "out"
    anamnesis.restore(pre, post, out=out)
    proof = anamnesis.verify(pre, post, out)
    assert proof and proof.claim == "the receipt"
    assert proof.json == run(command, "verify", "--pre", pre, "--post", post, "--repaired", out)


def test_restore_gives_what_the_verb_prints_and_the_same_bytes(pair, command, tmp_path):
    pre, post = pair
    receipt = anamnesis.restore(pre=pre, post=post, out=tmp_path / "here", layers=[2], note="why")
    printed = run(
        command, "restore", "--pre", pre, "--post", post, "--out", tmp_path / "there", "--layers", "2", "--note", "why"
    )
    weights = [folder / "model.safetensors" for folder in (tmp_path / "here", tmp_path / "there")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert receipt.path == str(tmp_path / "here")
    assert set(receipt.json) == set(printed)
    here, there = receipt.outputs[0].receipt, printed["outputs"][0]["receipt"]
    assert set(here) == set(there)
    assert here["tensors"] == there["tensors"] and here["request"] == there["request"]
    plan = anamnesis.restore(pre, post, dry_run=True, method="pro", lambda_rel=[0.1, 1])
    printed = run(
        command, "restore", "--pre", pre, "--post", post, "--dry-run", "--method", "pro", "--lambda-rel", "0.1,1"
    )
    assert plan.outputs == 2 and plan.json["changes"] == printed["changes"] and plan.json["request"] == printed["request"]


def test_undo_gives_what_the_verb_prints(pair, command):
    pre, post = pair
    before = anamnesis.inspect(post).json
    anamnesis.restore(pre, post, in_place=True)
    undone = anamnesis.undo(post)
    anamnesis.restore(pre, post, in_place=True)
    assert undone.json == run(command, "undo", post)
    assert undone.bytes_restored > 0 and anamnesis.inspect(post).json == before


def test_grade_gives_what_the_verb_prints(command, tmp_path):
    lines = [
        {"id": "a", "task": "gsm8k", "gold": "12", "response": "So it is 12.\n#### 12"},
        {"id": "b", "task": "gsm8k", "gold": "3", "response": "#### 4"},
    ]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "graded.jsonl"
    grades = anamnesis.grade(answers, out)
    assert (grades.answers, grades.correct, grades.share) == (2, 1, 0.5)
    first = out.read_bytes()
    assert grades.json == run(command, "grade", "--in", answers, "--out", out)
    assert out.read_bytes() == first


def test_adapters_give_what_the_verbs_print(source, command, tmp_path):
    folder = source / "testdata" / "lora"
    found = sorted(config.parent for config in folder.glob("**/adapter_config.json"))
    assert found
    for adapter in found[:6]:
        printed = subprocess.run([command, "inspect", adapter, "--json"], capture_output=True, text=True)
        if printed.returncode == 0:
            assert anamnesis.inspect(adapter).json == json.loads(printed.stdout)


RECORDS = {
    "inspect": results.CheckpointInfo,
    "inspect adapter": results.AdapterInfo,
    "doctor": results.Diagnosis,
    "drift": results.DriftReport,
    "restore": results.Receipt,
    "verify": results.Verification,
    "undo": results.Undone,
    "grade": results.Grades,
    "niah": results.RecallReport,
}


def read_schemas(source):
    text = (source / "docs" / "json.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```schema ([^\n]*)\n(.*?)^```", text, re.S | re.M)
    return {name: json.loads(body) for name, body in blocks}


def compare(schema, record):
    """Names, which of them may be missing, and the same of the records within."""
    optional = {name.rstrip("?") for name in schema if name.endswith("?")}
    required = {name for name in schema if not name.endswith("?")}
    fields = {field.name.removesuffix("_"): field for field in dataclasses.fields(record) if field.name != "json"}
    assert set(fields) == required | optional, record
    missing = {name for name, field in fields.items() if field.default is not dataclasses.MISSING}
    assert missing == optional, record
    hints = results.typing.get_type_hints(record)
    for name, described in schema.items():
        inner = described[0] if isinstance(described, list) else described
        hint = hints[fields[name.rstrip("?")].name]
        for candidate in (hint, *results.typing.get_args(hint)):
            for nested in (candidate, *results.typing.get_args(candidate)):
                if isinstance(nested, type) and issubclass(nested, results.Record):
                    compare(inner, nested)


@pytest.mark.parametrize("name", RECORDS)
def test_fields_are_those_of_docs_json(source, name):
    compare(read_schemas(source)[name], RECORDS[name])


def test_a_plan_has_the_fields_of_both_dry_runs(source):
    schemas = read_schemas(source)
    whole = set(schemas["restore --dry-run"]) | set(schemas["restore --dry-run adapter"])
    assert {field.name for field in dataclasses.fields(results.RepairPlan)} - {"json"} == whole


def test_unknown_fields_are_kept_and_do_not_matter():
    read = results.Undone.from_json({"path": "x", "bytes_restored": 1, "later": [1]})
    assert read.bytes_restored == 1 and read.json["later"] == [1]


def test_drift_becomes_frames(pair):
    pytest.importorskip("pandas", reason="pandas is not installed: to_pandas is not tested")
    report = anamnesis.drift(*pair)
    frame = report.to_pandas()
    assert list(frame.columns) == ["name", "layer", "part", "drift", "non_finite_pairs"]
    assert len(frame) == len(report.tensors)
    q = frame[(frame.part == "q") & (frame.layer == 2)]
    assert q.drift.iloc[0] == pytest.approx(0.3, abs=0.02)
    heads = report.to_pandas("heads")
    assert len(heads) == 8 and heads.routing.min() > 0.1
    with pytest.raises(ValueError, match="'tensors' or 'heads'"):
        report.to_pandas("rows")
