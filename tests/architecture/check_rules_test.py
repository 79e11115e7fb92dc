#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules see what they forbid, and pass what they do not."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "rules"))
import check_rules  # noqa: E402


def functions(text):
    return [(name, first, lines) for first, lines, name in check_rules.find_functions(text)]


class Functions(unittest.TestCase):
    def test_counts_from_the_first_line_of_the_declaration_to_the_closing_brace(self):
        text = "namespace a {\n\nint f(int x,\n      int y) {\n    return x;\n}\n\n}  // namespace a\n"
        self.assertEqual(functions(text), [("f", 3, 4)])

    def test_finds_members_constructors_operators_templates_and_trailing_returns(self):
        text = """struct S : Base {
    S(int x) : a_{x}, b_(x) {
    }
    bool operator==(const S&) const {
        return true;
    }
    template <class T, class U = std::vector<T>>
    auto g(T t) const noexcept -> U {
        if (t) {
        }
        return {};
    }
};
"""
        self.assertEqual(functions(text), [("S", 2, 2), ("operator==", 4, 3), ("g", 7, 6)])

    def test_a_lambda_belongs_to_its_function_and_initialisers_are_none(self):
        text = """constexpr std::array values{1, 2};
const std::map<int, int> table = {
    {f(1), 2},
};
void f() {
    const auto g = [] {
        return 1;
    };
}
"""
        self.assertEqual(functions(text), [("f", 5, 5)])

    def test_braces_in_comments_literals_and_directives_do_not_count(self):
        text = 'void f() {  // {\n    g("{", \'{\', R"(}{)", 1\'000);  /* } */\n}\n#define M {\nvoid h() {\n}\n'
        self.assertEqual(functions(text), [("f", 1, 3), ("h", 5, 2)])


class Words(unittest.TestCase):
    def found(self, line):
        hits = []
        for entry in (check_rules.rules / "words.txt").read_text().split("\n"):
            if entry and not entry.startswith("#"):
                name, _, expression, _ = entry.split("\t")
                if check_rules.re.search(expression, line, check_rules.re.I):
                    hits.append(name)
        return hits

    def test_forbids_the_word_and_not_its_idioms(self):
        self.assertEqual(self.found("what stands behind the last box"), ["stand", "behind"])
        self.assertEqual(self.found("typed as it stands; N stands for a number; a stand-in"), [])
        self.assertEqual(self.found("a model behind an HTTP server, two programs behind one command"), [])
        self.assertEqual(self.found("complain(at_the_door)"), ["at_the_door", "complain"])
        self.assertEqual(self.found("to understand a recommended amendment"), [])

    def test_prose_of_cpp_is_comments_and_strings(self):
        prose = check_rules.extract_prose("a.cpp", 'int behind = 1;  // behind it\ncall("stands");\n')
        self.assertEqual([line.strip() for line in prose.split("\n")], ["// behind it", '"stands"', ""])


class Links(unittest.TestCase):
    def test_anchors_are_those_of_the_page(self):
        self.assertEqual(check_rules.find_anchors("# A `b` c, d\n```\n# no\n```\n## What this is\n"), {"a-b-c-d", "what-this-is"})


if __name__ == "__main__":
    unittest.main()
