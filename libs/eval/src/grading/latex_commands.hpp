// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace anamnesis::eval::grading {

/// Commands that change nothing but the looks.
constexpr auto ignored_commands = std::to_array<std::string_view>(
    {"left",         "right",      "big",       "Big",         "bigl",    "bigr",
     "Bigl",         "Bigr",       "bigg",      "Bigg",        "biggl",   "biggr",
     "displaystyle", "textstyle",  "limits",    "rm",          "bf",      "it",
     "cal",          "nolimits",   "mathstrut", "scriptstyle", "strut",   "hfill",
     "boldsymbol",   "mathchoice", "middle",    "bigm",        "noindent"});

constexpr auto spacing_commands =
    std::to_array<std::string_view>({"quad", "qquad", "hspace", "enspace", "space", "thinspace"});

constexpr auto text_commands = std::to_array<std::string_view>({"text",
                                                                "textbf",
                                                                "textit",
                                                                "textrm",
                                                                "textnormal",
                                                                "textsf",
                                                                "texttt",
                                                                "mbox",
                                                                "hbox",
                                                                "emph",
                                                                "textup",
                                                                "operatorname"});

/// Commands whose argument is mathematics, or one word such as the unit in \mathrm{cm}.
constexpr auto font_commands = std::to_array<std::string_view>(
    {"mathrm", "mathbf", "mathit", "mathsf", "mathtt", "mathcal", "bm", "pmb"});

/// Commands that draw something around their argument.
constexpr auto transparent_commands = std::to_array<std::string_view>(
    {"boxed", "fbox", "Boxed", "framebox", "underline", "ensuremath", "mathord", "mathop"});

/// Names that are mathematics also without a backslash.
constexpr auto plain_functions = std::to_array<std::string_view>(
    {"sqrt",   "sin",    "cos",   "tan",  "cot",  "sec",   "csc",      "arcsin", "arccos",
     "arctan", "log",    "ln",    "exp",  "pi",   "infty", "infinity", "theta",  "alpha",
     "beta",   "lambda", "binom", "sinh", "cosh", "tanh",  "cup"});

constexpr auto synonyms = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"dfrac", "frac"},   {"tfrac", "frac"},   {"cfrac", "frac"},     {"leq", "le"},
    {"leqslant", "le"},  {"geq", "ge"},       {"geqslant", "ge"},    {"neq", "ne"},
    {"lt", "<"},         {"gt", ">"},         {"infinity", "infty"}, {"varnothing", "emptyset"},
    {"dbinom", "binom"}, {"tbinom", "binom"}, {"choose", "choose"},  {"tg", "tan"},
    {"lbrace", "\\{"},   {"rbrace", "\\}"},   {"colon", ":"},        {"ast", "*"},
    {"land", "and"},     {"lor", "or"},       {"vee", "or"},         {"wedge", "and"},
    {"bigcup", "cup"},   {"varphi", "phi"},   {"degree", "circ"},    {"lvert", "|"},
    {"rvert", "|"},      {"vert", "|"},       {"simeq", "approx"},   {"sim", "approx"},
    {"imath", "i"},      {"dots", "ldots"},   {"cdots", "ldots"},    {"thickapprox", "approx"},
    {"lbrack", "["},     {"rbrack", "]"},     {"bar", "overline"},
});

}  // namespace anamnesis::eval::grading
