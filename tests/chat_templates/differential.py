#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders random templates with Jinja as transformers sets it up, and with this project.

  tests/chat_templates/differential.py --program build/core/tests/render_lines --templates 100000
  tests/chat_templates/differential.py --golden FILE --templates 600   # writes a set to test against

Every template must give the same text, or be refused by both. Texts that hold an address of Python's
(a generator printed as it is) cannot be compared. Refusing what Jinja renders is counted and may come
for what docs/chat-templates.md leaves out; another text, or a text where Jinja refuses, is a failure.
Needs jinja2; ends with 77 where it is absent.
"""

import argparse
import collections
import copy
import datetime
import json
import random
import re
import subprocess
import sys

try:
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    print("skipped: python3 has no jinja2")
    sys.exit(77)


class AssistantTracker(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_generation_support"), [], [], body).set_lineno(
            lineno
        )

    @jinja2.pass_eval_context
    def _generation_support(self, context, caller):
        return caller()


def raise_exception(m):
    raise jinja2.exceptions.TemplateError(m)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(f):
    return datetime.datetime(2026, 11, 28).strftime(f)


class TemplateDict:
    def __call__(self, *a, **k):
        return dict(*a, **k)


class TemplateNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attrs = dict(*args, **kwargs)
        for n in attrs:
            TemplateNamespace._check(n)
        jinja2.utils.Namespace.__init__(self, attrs)

    def __setitem__(self, name, value):
        TemplateNamespace._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError("x")


env = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[AssistantTracker, jinja2.ext.loopcontrols]
)
env.filters["tojson"] = tojson
env.globals.update(
    raise_exception=raise_exception,
    strftime_now=strftime_now,
    dict=TemplateDict(),
    namespace=TemplateNamespace,
)


def render(t, v):
    try:
        return {"text": env.from_string(t).render(**copy.deepcopy(v))}
    except RecursionError:
        return {"error": "recursion"}
    except Exception as e:
        return {"error": type(e).__name__ + ": " + str(e)}


R = random.Random(1)
MSGS = [
    {"role": "system", "content": " You are X.\n"},
    {"role": "user", "content": "Hé <b>&'\"\n\nline two  "},
    {
        "role": "assistant",
        "content": "ok",
        "reasoning_content": "why\n",
        "tool_calls": [
            {"function": {"name": "f", "arguments": {"a": 1, "b": [1.5, None, True], "c": "ü\u0001"}}}
        ],
    },
    {"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]},
    {"role": "tool", "content": ""},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_w",
            "description": 'd"q',
            "parameters": {
                "type": "object",
                "properties": {"loc": {"type": "string"}, "n": {"type": "integer", "enum": [1, 2]}},
                "required": ["loc"],
            },
        },
    }
]
NAMES = [
    "messages",
    "tools",
    "x",
    "y",
    "n",
    "s",
    "lst",
    "d",
    "undefined_thing",
    "add_generation_prompt",
    "bos_token",
    "ns",
    "m",
    "loop",
    "f",
    "none_v",
]


def pick(*a):
    return R.choice(a)


def atom(d):
    c = R.random()
    if c < 0.35:
        return pick(*NAMES)
    if c < 0.5:
        return pick("'a'", '"b c"', "'\\n'", "'Hello World'", "''", "' pad '", "'a,b,c'", "'é'")
    if c < 0.62:
        return pick("0", "1", "2", "-1", "10", "3.5", "1e3", "0.1", "100000")
    if c < 0.7:
        return pick("true", "false", "none", "True", "None")
    if c < 0.76:
        return "[" + ", ".join(expr(d - 1) for _ in range(R.randint(0, 3))) + "]"
    if c < 0.8:
        return (
            "{"
            + ", ".join(pick("'a'", "'b'", "1") + ": " + expr(d - 1) for _ in range(R.randint(0, 2)))
            + "}"
        )
    if c < 0.84:
        return "(" + ", ".join(expr(d - 1) for _ in range(R.randint(1, 3))) + pick("", ",") + ")"
    if c < 0.88:
        return "range(" + pick("3", "0", "1, 4", "5, 0, -2", "n") + ")"
    return pick(
        "messages[0]",
        "messages[-1].content",
        "messages[0].role",
        "messages[1]['content']",
        "tools[0].function",
        "d.a",
        "d.items()",
        "lst[0]",
        "s[1:]",
        "messages[1:]",
        "s[::-1]",
        "messages|length",
        "lst|length",
        "namespace(a=1)",
        "dict(a=1)",
        "messages[2].tool_calls[0].function.arguments",
        "messages[2].get('reasoning_content')",
    )


FIL = [
    "upper",
    "lower",
    "trim",
    "capitalize",
    "title",
    "length",
    "list",
    "first",
    "last",
    "string",
    "tojson",
    "int",
    "float",
    "abs",
    "reverse",
    "sort",
    "unique",
    "join",
    "safe",
    "e",
    "items",
    "sum",
    "min",
    "max",
    "round",
    "default('D')",
    "default('D', true)",
    "join(', ')",
    "replace('a','b')",
    "tojson(indent=2)",
    "tojson(ensure_ascii=true)",
    "tojson(sort_keys=true)",
    "map('upper')",
    "map(attribute='role')",
    "map(attribute='content')",
    "select('string')",
    "reject('none')",
    "selectattr('role','equalto','user')",
    "rejectattr('role')",
    "selectattr('content')",
    "batch(2)",
    "indent(2)",
    "indent(2, true)",
    "sort(attribute='role')",
    "sort(reverse=true)",
    "dictsort",
    "center(9)",
    "round(1)",
    "int(default=7)",
    "join('-', attribute='role')",
    "format('z')",
    "forceescape",
    "count",
    "unique(attribute='role')",
    "attr('x')",
    "trim('a')",
    "map('length')",
    "round(1,'floor')",
    "wordcount",
    "truncate(3)",
]
MET = [
    "upper()",
    "lower()",
    "strip()",
    "lstrip()",
    "rstrip('\\n')",
    "strip('a ')",
    "split()",
    "split(',')",
    "split(',', 1)",
    "rsplit(' ', 1)",
    "splitlines()",
    "startswith('a')",
    "endswith(('a','d'))",
    "replace('a','bb')",
    "replace('l','L',1)",
    "title()",
    "capitalize()",
    "join(lst)",
    "join(['a','b'])",
    "find('l')",
    "rfind('l')",
    "index('e')",
    "count('l')",
    "partition(' ')",
    "rpartition('o')",
    "zfill(5)",
    "ljust(6)",
    "rjust(7,'*')",
    "center(8)",
    "removeprefix('He')",
    "removesuffix('d')",
    "isdigit()",
    "isalpha()",
    "isupper()",
    "isspace()",
    "format(1, 2)",
    "items()",
    "keys()",
    "values()",
    "get('a')",
    "get('zz', 3)",
    "copy()",
    "append(1)",
    "index(1)",
    "count(1)",
    "pop()",
    "isalnum()",
    "swapcase()",
]
TST = [
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "mapping",
    "sequence",
    "iterable",
    "odd",
    "even",
    "true",
    "false",
    "boolean",
    "integer",
    "float",
    "callable",
    "lower",
    "upper",
    "equalto 'a'",
    "eq(1)",
    "in [1,2]",
    "divisibleby 2",
    "sameas true",
    "gt 1",
    "ne 2",
]


def expr(d):
    if d <= 0:
        return atom(0)
    c = R.random()
    if c < 0.25:
        return atom(d)
    if c < 0.42:
        return expr(d - 1) + pick(" + ", " ~ ", " - ", " * ", " / ", " // ", " % ", "~", "**") + expr(d - 1)
    if c < 0.5:
        return (
            expr(d - 1) + pick(" == ", " != ", " < ", " > ", " <= ", " >= ", " in ", " not in ") + expr(d - 1)
        )
    if c < 0.56:
        return expr(d - 1) + pick(" and ", " or ") + expr(d - 1)
    if c < 0.59:
        return "not " + expr(d - 1)
    if c < 0.73:
        return pick(atom(d), "(" + expr(d - 1) + ")") + "|" + pick("", "", " ") + pick(*FIL)
    if c < 0.82:
        return pick(atom(d), "(" + expr(d - 1) + ")") + "." + pick(*MET)
    if c < 0.88:
        return expr(d - 1) + " is " + pick("", "", "not ") + pick(*TST)
    if c < 0.92:
        return expr(d - 1) + " if " + expr(d - 1) + pick("", " else " + expr(d - 1))
    if c < 0.95:
        return "-" + atom(d)
    if c < 0.97:
        return atom(d) + "[" + pick("0", "-1", "1:", "::2", ":-1", "'a'", "'role'", "5", "x") + "]"
    return pick(
        "loop.index",
        "loop.first",
        "loop.last",
        "loop.index0",
        "loop.length",
        "loop.revindex",
        "loop.previtem",
        "loop.nextitem",
        "loop.cycle('a','b')",
        "loop.changed(x)",
        "loop.depth",
    )


def ws():
    return pick("", "", "", " ", "\n", "\n  ", " \n", "  ")


def o():
    return "{%" + pick("", "", "-", "-", "+")


def c_():
    return pick("", "", "-", "-", "+") + "%}"


def stmt(d, inloop=False):
    k = R.random()
    if d <= 0 or k < 0.2:
        return pick("text", "  text\n", "\n", "a b\n\n", "<|im|>", " ")
    if k < 0.45:
        return "{{" + pick("", "-", " ") + " " + expr(R.randint(0, 3)) + " " + pick("", "-") + "}}"
    if k < 0.55:
        return (
            o()
            + " if "
            + expr(2)
            + " "
            + c_()
            + body(d - 1, inloop)
            + (o() + " elif " + expr(1) + " " + c_() + body(d - 1, inloop) if R.random() < 0.3 else "")
            + (o() + " else " + c_() + body(d - 1, inloop) if R.random() < 0.4 else "")
            + o()
            + " endif "
            + c_()
        )
    if k < 0.68:
        t = pick("m", "x", "i", "k, v", "a, b")
        it = pick(
            "messages",
            "lst",
            "range(3)",
            "d.items()",
            "s",
            "tools",
            expr(1),
            "messages[1:]",
            "d",
            "[]",
            "lst|reverse",
            "messages if m.role != 'system'" if t == "m" else "lst",
        )
        return (
            o()
            + " for "
            + t
            + " in "
            + it
            + " "
            + c_()
            + body(d - 1, True)
            + (o() + " else " + c_() + body(d - 1, inloop) if R.random() < 0.2 else "")
            + o()
            + " endfor "
            + c_()
        )
    if k < 0.8:
        return (
            o()
            + " set "
            + pick("x", "y", "ns.a", "s", "q", "x, y")
            + " = "
            + pick(expr(2), expr(1), "x, 1")
            + " "
            + c_()
        )
    if k < 0.84:
        return (
            o()
            + " set "
            + pick("x", "y")
            + pick("", " | upper", "|trim")
            + " "
            + c_()
            + body(d - 1, False)
            + o()
            + " endset "
            + c_()
        )
    if k < 0.88:
        return (
            o()
            + " macro f("
            + pick("", "a", "a, b=2", "a='z', b=x")
            + ") "
            + c_()
            + body(d - 1, False)
            + pick("", "{{ a }}", "{{ varargs }}", "{{ caller() }}", "{{ kwargs }}")
            + o()
            + " endmacro "
            + c_()
            + "{{ f("
            + pick("", "1", "1, 2", "a=3", "1, 2, 3", "b=1", "z=1")
            + ") }}"
        )
    if k < 0.9:
        return (
            o()
            + " filter "
            + pick("upper", "trim", "indent(2)")
            + " "
            + c_()
            + body(d - 1, False)
            + o()
            + " endfilter "
            + c_()
        )
    if k < 0.92:
        return o() + " call f(" + pick("", "1") + ") " + c_() + body(d - 1, False) + o() + " endcall " + c_()
    if k < 0.94:
        return (
            o()
            + " with "
            + pick("x=1", "x=y, y=2", "")
            + " "
            + c_()
            + body(d - 1, inloop)
            + o()
            + " endwith "
            + c_()
        )
    if k < 0.95:
        return o() + " generation " + c_() + body(d - 1, False) + o() + " endgeneration " + c_()
    if k < 0.97:
        return pick(
            "{# note #}",
            "{#- note -#}",
            "{# a\nb #}\n",
            "{% raw %}{{ x }}{% endraw %}",
            "{%- raw -%} {% x %} {%- endraw -%}",
        )
    if inloop:
        return o() + " " + pick("break", "continue") + " " + c_()
    return "{{ raise_exception('no') }}" if R.random() < 0.1 else "z"


def body(d, inloop=False):
    return "".join(ws() + stmt(d, inloop) for _ in range(R.randint(1, 3))) + ws()


VARS = {
    "messages": MSGS,
    "tools": TOOLS,
    "x": 5,
    "y": "why",
    "n": 3,
    "s": "Hello World",
    "lst": [3, 1, 2],
    "d": {"b": 1, "a": "x"},
    "add_generation_prompt": True,
    "bos_token": "<s>",
    "none_v": None,
}


ADDRESS = re.compile(
    r"<(generator|function|bound|built|Macro|LoopContext|jinja2|method|__main__|itertools|map|"
    r"filter|list_reverse|str_iter|reversed)|0x[0-9a-f]{6,}"
)


def make_templates(count, seed):
    R.seed(seed)
    for _ in range(count):
        text = body(R.randint(1, 3))
        yield "{% set ns = namespace(a=0) %}" + text if R.random() < 0.5 else text


def compare(template, ours):
    wanted = render(template, VARS)
    if "text" in wanted and ADDRESS.search(wanted["text"]):
        return "has an address"
    if "text" in wanted and "text" in ours:
        return "same" if wanted["text"] == ours["text"] else "DIFFERENT"
    if "text" in ours:
        return "TAKEN, Jinja refuses"
    return "refused here alone" if "text" in wanted else "refused by both"


def write_golden(path, count, seed):
    with open(path, "w") as out:
        for template in make_templates(count, seed):
            wanted = render(template, VARS)
            if "text" in wanted and ADDRESS.search(wanted["text"]):
                continue
            out.write(
                json.dumps({"template": template, "text": wanted.get("text")}, ensure_ascii=False) + "\n"
            )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program")
    parser.add_argument("--golden")
    parser.add_argument("--templates", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.golden:
        write_golden(arguments.golden, arguments.templates, arguments.seed)
        return 0
    counts = collections.Counter()
    failures = 0
    refusals = collections.Counter()
    for begin in range(0, arguments.templates, 5000):
        templates = list(make_templates(min(5000, arguments.templates - begin), arguments.seed + begin))
        lines = "".join(json.dumps({"template": t, "variables": VARS}) + "\n" for t in templates)
        done = subprocess.run([arguments.program], input=lines, capture_output=True, text=True, check=True)
        for template, line in zip(templates, done.stdout.splitlines(), strict=True):
            ours = json.loads(line)
            outcome = compare(template, ours)
            counts[outcome] += 1
            if outcome == "refused here alone":
                refusals[ours["message"].split(": ", 1)[-1][:70]] += 1
            if outcome.isupper() or outcome.startswith("TAKEN"):
                failures += 1
                if failures <= 5:
                    print(f"{outcome}\n  {template!r}\n  Jinja {render(template, VARS)}\n  here  {ours}")
    for outcome, count in counts.most_common():
        print(f"{count:8} {outcome}")
    for reason, count in refusals.most_common(10):
        print(f"{count:16} {reason}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
