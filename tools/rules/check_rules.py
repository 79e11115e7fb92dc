#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the rules that no compiler knows (CONTRIBUTING.md): sizes, words, links.

  tools/rules.sh            prints every violation that tools/rules/allowed.txt does not list
  tools/rules.sh --shrink   lowers the numbers in allowed.txt to what is there now, and drops entries
                            that no longer violate a rule; it never adds or raises one

allowed.txt holds what the tree does not meet yet, one entry a line: rule, subject, measured value. A
value above the listed one fails, and so does an entry that violates nothing any more.
"""
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

SOURCE_LINES = 400
FUNCTION_LINES = 60
APPS_LINES = 5500
TREE_MIB = 55  # with the libraries of tools/gpu_pack.sh it must fit into 64

root = pathlib.Path(__file__).resolve().parents[2]
rules = root / "tools" / "rules"
allowed_file = rules / "allowed.txt"


@dataclass
class Finding:
    rule: str
    subject: str
    value: int
    places: list  # "file:line: text"


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=root, check=True, capture_output=True)
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [name for name in names if (root / name).is_file()]


def read(name):
    return (root / name).read_text(encoding="utf-8")


# C++: every character that is code, comment or string, line by line.

TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/
      |R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"
      |"(?:\\.|[^"\\\n])*"
      |(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+'""",
    re.S | re.X,
)


def split_cpp(text):
    """The code with comments and literals blanked (newlines kept), and the prose of these."""

    def blank(piece):
        return re.sub(r"[^\n]", " ", piece)

    code, prose, last = [], [], 0
    for match in TOKEN.finditer(text):
        piece = match.group(0)
        code += [text[last : match.start()], '"' if piece[0] in "\"R'" else " ", blank(piece)[1:]]
        prose += [blank(text[last : match.start()]), piece]
        last = match.end()
    code.append(text[last:])
    prose.append(blank(text[last:]))
    return "".join(code), "".join(prose)


def without_directives(code):
    lines = code.split("\n")
    continued = False
    for i, line in enumerate(lines):
        is_directive = continued or line.lstrip().startswith("#")
        continued = is_directive and line.rstrip().endswith("\\")
        if is_directive:
            lines[i] = ""
    return "\n".join(lines)


SCOPE = re.compile(r"\b(namespace|class|struct|union|enum)\b|\bextern\s*\"")


def find_functions(text):
    """(first line, lines, name) of every function body at namespace or class scope."""
    code = without_directives(split_cpp(text)[0])
    functions, stack = [], []  # stack: "scope", "other", or the function that a brace opens
    start, parentheses = 0, 0  # start of the declaration before the next brace
    for at, character in enumerate(code):
        is_inside_function = any(isinstance(entry, tuple) for entry in stack)
        if character == "(":
            parentheses += 1
        elif character == ")":
            parentheses -= 1
        elif character == "{":
            if is_inside_function or parentheses > 0 or "other" in stack:
                stack.append("other")
                continue
            header = code[start:at]
            kind = classify_brace(header)
            if kind == "function":
                first = start + len(header) - len(header.lstrip())
                stack.append((code.count("\n", 0, first) + 1, find_function_name(header)))
            else:
                stack.append(kind)
            if kind != "other":
                start = at + 1
        elif character == "}":
            opened = stack.pop() if stack else "scope"
            if isinstance(opened, tuple):
                functions.append((opened[0], code.count("\n", 0, at) + 2 - opened[0], opened[1]))
                start = at + 1
            elif opened == "scope":
                start = at + 1
        elif character == ";" and parentheses == 0 and not is_inside_function and "other" not in stack:
            start = at + 1
        elif character == ":" and code[start:at].strip() in ("public", "private", "protected"):
            start = at + 1
    return functions


def classify_brace(header):
    """What the brace after a declaration opens: a scope, a function, or other (an initialiser)."""
    plain = drop_parenthesised(header)
    if not plain.rstrip():
        return "other"
    if "()" not in plain:
        return "scope" if SCOPE.search(plain) else "other"
    before, after = plain.split("()", 1)
    if re.search(r"(?<!operator)(?<![=!<>+\-*/%&|^])=(?!=)", before) and "operator" not in before:
        return "other"
    if re.search(r"\b(class|struct|union|enum|namespace)\s+[\w:]*\s*(final\s*)?(:[^:].*)?$", before.strip()):
        return "scope"
    # `name() : a_{x}, b_(y) {`: a brace right after a member's name initialises it.
    initialisers = re.match(r"[^:]*?(?<!:):(?!:)(.*)$", after, re.S)
    if initialisers and re.search(r"(^|,)\s*[\w:<>, ]+$", initialisers.group(1).rstrip()):
        return "other"
    return "function"


def drop_parenthesised(header):
    """The header with the contents of (), template <> after `template`, and {} left out."""
    header = re.sub(r"\[\[.*?\]\]", " ", header, flags=re.S)
    result, depth, braces = [], 0, 0
    for character in header:
        if character == "(":
            depth += 1
            if depth == 1 and braces == 0:
                result.append("(")
        elif character == ")":
            depth -= 1
            if depth == 0 and braces == 0:
                result.append(")")
        elif character == "{":
            braces += 1
        elif character == "}":
            braces -= 1
            if braces == 0 and depth == 0:
                result.append("()")
        elif depth == 0 and braces == 0:
            result.append(character)
    return re.sub(r"\btemplate\s*<[^()]*?>(?=\s*(requires|[\w:\[]))", " ", "".join(result), count=1)


def find_function_name(header):
    found = re.search(r"([\w:~]+|operator\s*[^\s\w(]+|operator\s*\(\))\s*\(", header)
    return re.sub(r"\s+", "", found.group(1)) if found else "?"


def product_sources():
    return tracked("libs/*/src/*.[ch]pp", "libs/*/include/*.[ch]pp", "apps/*.[ch]pp", "python/src/*.[ch]pp")


def check_sizes():
    apps = 0
    for name in product_sources():
        text = read(name)
        lines = text.count("\n")
        if name.startswith("apps/"):
            apps += lines
        if lines > SOURCE_LINES:
            yield Finding("source-lines", name, lines, [f"{name}: {lines} lines, at most {SOURCE_LINES}"])
        # Overloads share an entry: the longest counts.
        longest = {}
        for first, length, function in find_functions(text):
            if length > FUNCTION_LINES and length > longest.get(function, (0, 0))[0]:
                longest[function] = (length, first)
        for function, (length, first) in longest.items():
            place = f"{name}:{first}: {function} has {length} lines, at most {FUNCTION_LINES}"
            yield Finding("function-lines", f"{name}:{function}", length, [place])
    if apps > APPS_LINES:
        yield Finding("apps-lines", "apps", apps, [f"apps: {apps} lines, at most {APPS_LINES}"])
    tree = sum((root / name).stat().st_size for name in tracked()) / 2**20
    if tree > TREE_MIB:
        yield Finding("tree-size", "tree", round(tree), [f"the tracked files: {tree:.1f} MiB, at most {TREE_MIB}"])


def extract_prose(name, text):
    if name.endswith((".cpp", ".hpp")):
        return split_cpp(text)[1]
    if name.endswith(".md"):
        return text
    return "\n".join("#" + line.split("#", 1)[1] if "#" in line else "" for line in text.split("\n"))


def check_words():
    words = []
    for line in (rules / "words.txt").read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#"):
            name, scope, expression, instead = line.split("\t")
            words.append((name, scope, re.compile(expression, re.I), instead))
    files = tracked("*.cpp", "*.hpp", "*.md", "*.sh", "*.py", "*.cmake", "*.in", "*CMakeLists.txt")
    places = {word[0]: [] for word in words}
    for name in files:
        # What others wrote, the list itself and its test.
        if name.startswith(("testdata/", "tools/rules/")) or "/data/" in name or name.endswith("check_rules_test.py"):
            continue
        text = read(name)
        lines = {"all": text.split("\n"), "prose": extract_prose(name, text).split("\n")}
        for word, scope, expression, instead in words:
            for i, line in enumerate(lines[scope]):
                for found in expression.finditer(line):
                    places[word].append(f"{name}:{i + 1}: '{found.group(0)}'; write: {instead}")
    for word, found in places.items():
        if found:
            yield Finding("word", word, len(found), found)


def find_anchors(text):
    anchors, fenced = set(), False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        heading = re.match(r"#+ +(.*)", line)
        if heading and not fenced:
            plain = re.sub(r"[`*\[\]]|\(.*?\)", "", heading.group(1)).strip().lower()
            anchors.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain)))
    return anchors


def check_links():
    for name in tracked("*.md"):
        text = re.sub(r"```.*?```|`[^`\n]*`", lambda m: re.sub(r"[^\n]", " ", m.group(0)), read(name), flags=re.S)
        for found in re.finditer(r"\]\(([^)\s]+)\)", text):
            target = found.group(1)
            if re.match(r"[a-z]+:", target):
                continue
            line = text.count("\n", 0, found.start()) + 1
            path, _, anchor = target.partition("#")
            file = (root / name).parent / path if path else root / name
            place = f"{name}:{line}: {target}"
            if root not in file.resolve().parents and file.resolve() != root:
                yield Finding("link", f"{name}:{target}", 1, [f"{place} leaves the repository"])
            elif not file.exists():
                yield Finding("link", f"{name}:{target}", 1, [f"{place} does not exist"])
            elif anchor and file.suffix == ".md" and anchor not in find_anchors(file.read_text(encoding="utf-8")):
                yield Finding("link", f"{name}:{target}", 1, [f"{place}: no such heading"])


def check_outside_references():
    """Nothing cites the collection of design papers that lies outside the repository."""
    for name in tracked():
        if name.startswith("tools/rules/"):
            continue
        try:
            text = read(name)
        except UnicodeDecodeError:
            continue
        for i, line in enumerate(text.split("\n")):
            if re.search(r"shared/design|\bdesign/[\w-]+\.md", line):
                yield Finding("outside", name, 1, [f"{name}:{i + 1}: cites a design paper outside the repository"])
                break


def read_allowed():
    allowed = {}
    for line in allowed_file.read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#"):
            rule, subject, value = line.split()
            allowed[rule, subject] = int(value)
    return allowed


def write_allowed(allowed):
    comments = [line for line in allowed_file.read_text(encoding="utf-8").split("\n") if line.startswith("#")]
    entries = [f"{rule} {subject} {value}" for (rule, subject), value in sorted(allowed.items())]
    allowed_file.write_text("\n".join(comments + entries) + "\n", encoding="utf-8")


def main():
    if sys.argv[1:] not in ([], ["--shrink"]):
        print("tools/rules.sh: unknown option; see the first lines of tools/rules/check_rules.py", file=sys.stderr)
        sys.exit(2)
    checks = (check_sizes, check_words, check_links, check_outside_references)
    findings = [finding for check in checks for finding in check()]
    allowed = read_allowed()
    found = {(finding.rule, finding.subject): finding.value for finding in findings}
    if sys.argv[1:] == ["--shrink"]:
        allowed = {key: min(value, found[key]) for key, value in allowed.items() if key in found}
        write_allowed(allowed)
    problems = []
    for finding in findings:
        limit = allowed.get((finding.rule, finding.subject), 0)
        if finding.value > limit:
            note = f"  ({finding.rule} {finding.subject}: {finding.value}, allowed.txt has {limit})"
            problems += finding.places + ([note] if limit else [])
    for rule, subject in allowed:
        if (rule, subject) not in found:
            problems.append(f"tools/rules/allowed.txt: '{rule} {subject}' violates nothing any more; run tools/rules.sh --shrink")
    if problems:
        print("\n".join(problems))
        sys.exit(1)
    print(f"rules hold; {len(allowed)} entries in tools/rules/allowed.txt are still to go")


if __name__ == "__main__":
    main()
