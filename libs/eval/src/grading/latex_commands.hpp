// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace anamnesis::eval::grading {

/// Commands that change nothing but the looks.
constexpr auto ignored_commands = std::to_array<std::string_view>({"left",
                                                                   "right",
                                                                   "big",
                                                                   "Big",
                                                                   "bigl",
                                                                   "bigr",
                                                                   "Bigl",
                                                                   "Bigr",
                                                                   "bigg",
                                                                   "Bigg",
                                                                   "biggl",
                                                                   "biggr",
                                                                   "displaystyle",
                                                                   "textstyle",
                                                                   "limits",
                                                                   "rm",
                                                                   "bf",
                                                                   "it",
                                                                   "cal",
                                                                   "nolimits",
                                                                   "mathstrut",
                                                                   "scriptstyle",
                                                                   "strut",
                                                                   "hfill",
                                                                   "boldsymbol",
                                                                   "mathchoice",
                                                                   "middle",
                                                                   "bigm",
                                                                   "noindent",
                                                                   "large",
                                                                   "Large",
                                                                   "LARGE",
                                                                   "huge",
                                                                   "Huge",
                                                                   "small",
                                                                   "normalsize",
                                                                   "tiny",
                                                                   "scriptsize",
                                                                   "footnotesize",
                                                                   "scriptscriptstyle",
                                                                   "bfseries",
                                                                   "itshape",
                                                                   "sf",
                                                                   "tt",
                                                                   "rmfamily",
                                                                   "sffamily",
                                                                   "ttfamily",
                                                                   "mdseries",
                                                                   "upshape",
                                                                   "centering",
                                                                   "displaylimits",
                                                                   "notag",
                                                                   "nonumber",
                                                                   "therefore",
                                                                   "because",
                                                                   "checkmark",
                                                                   "blacksquare",
                                                                   "qed",
                                                                   "hline"});

constexpr auto spacing_commands =
    std::to_array<std::string_view>({"quad", "qquad", "enspace", "space", "thinspace"});

/// Commands whose arguments say how something looks, is numbered or is spaced: how many there are.
constexpr auto commands_with_arguments = std::to_array<std::pair<std::string_view, int>>(
    {{"color", 1},     {"textcolor", 1}, {"mathcolor", 1}, {"colorbox", 1}, {"fcolorbox", 2},
     {"pagecolor", 1}, {"tag", 1},       {"label", 1},     {"hspace", 1},   {"vspace", 1},
     {"phantom", 1},   {"hphantom", 1},  {"vphantom", 1},  {"bbox", 0},     {"fontsize", 2},
     {"enclose", 1},   {"style", 1},     {"class", 1},     {"cssId", 1},    {"texttip", 0}});

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

/// Commands whose letters are upright, as units are set; \rm and its like to the end of their
/// group.
constexpr auto upright_fonts = std::to_array<std::string_view>({"mathrm", "operatorname"});
constexpr auto upright_switches = std::to_array<std::string_view>({"rm", "rmfamily"});

/// Commands that draw something around their argument.
constexpr auto transparent_commands = std::to_array<std::string_view>({"boxed",
                                                                       "fbox",
                                                                       "Boxed",
                                                                       "framebox",
                                                                       "underline",
                                                                       "ensuremath",
                                                                       "mathord",
                                                                       "mathop",
                                                                       "selectfont"});

/// Names that are mathematics also without a backslash.
constexpr auto plain_functions = std::to_array<std::string_view>(
    {"sqrt",   "sin",    "cos",   "tan",  "cot",  "sec",   "csc",      "arcsin", "arccos",
     "arctan", "log",    "ln",    "exp",  "pi",   "infty", "infinity", "theta",  "alpha",
     "beta",   "lambda", "binom", "sinh", "cosh", "tanh",  "cup"});

constexpr auto synonyms = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"dfrac", "frac"},
    {"tfrac", "frac"},
    {"cfrac", "frac"},
    {"leq", "le"},
    {"leqslant", "le"},
    {"geq", "ge"},
    {"geqslant", "ge"},
    {"neq", "ne"},
    {"lt", "<"},
    {"gt", ">"},
    {"infinity", "infty"},
    {"varnothing", "emptyset"},
    {"dbinom", "binom"},
    {"tbinom", "binom"},
    {"choose", "choose"},
    {"tg", "tan"},
    {"lbrace", "\\{"},
    {"rbrace", "\\}"},
    {"colon", ":"},
    {"ast", "*"},
    {"land", "and"},
    {"lor", "or"},
    {"vee", "or"},
    {"wedge", "and"},
    {"bigcup", "cup"},
    {"varphi", "phi"},
    {"degree", "circ"},
    {"lvert", "|"},
    {"rvert", "|"},
    {"vert", "|"},
    {"simeq", "approx"},
    {"sim", "approx"},
    {"imath", "i"},
    {"dots", "ldots"},
    {"cdots", "ldots"},
    {"thickapprox", "approx"},
    {"lbrack", "["},
    {"rbrack", "]"},
    {"bar", "overline"},
    {"backslash", "setminus"},
    {"smallsetminus", "setminus"},
    {"rupees", "rupee"},
    {"texteuro", "euro"},
    {"textyen", "yen"},
    {"textsterling", "pounds"},
    {"newline", "\\"},
    {"linebreak", "\\"},
});

}  // namespace anamnesis::eval::grading
