// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace anamnesis::report {

/// The page's style sheet. Colours are those of the heat map's scale, told apart also by readers
/// with red-green blindness.
inline constexpr std::string_view style_sheet = R"css(
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6877; --paper: #fdfcfa; --line: #d9dde3; --bar: #7b8ba1; --strong: #b5472f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7e9ec; --soft: #a2acb9; --paper: #14181f; --line: #343c48; --bar: #6f829b; --strong: #e8825f; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-top: 1px solid var(--line); padding-top: 1.2rem; }
h3, h4 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
.subtitle, figcaption, caption { color: var(--soft); }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; margin: 1.5rem 0; }
.figures div { min-width: 7rem; }
.figures b { display: block; font-size: 1.65rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 1rem; font-size: .92rem; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
.number { text-align: right; }
figure { margin: 1rem 0 1.5rem; }
svg { max-width: 100%; height: auto; display: block; margin-top: .4rem; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .absent { fill: none; stroke: var(--line); }
.gallery { display: flex; flex-wrap: wrap; gap: 0 1.5rem; align-items: flex-start; } .gallery figure { margin: .5rem 0 1rem; }
details { margin: .3rem 0; } summary { cursor: pointer; } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem;
  border-left: 3px solid var(--line); padding: .1rem 0 .1rem .8rem; margin: .4rem 0; color: var(--soft); }
svg .axis { stroke: var(--soft); stroke-width: 1; fill: none; } svg .grid { stroke: var(--line); stroke-width: 1; }
svg .s0 { --c: #0072b2; } svg .s1 { --c: #d55e00; } svg .s2 { --c: #009e73; } svg .s3 { --c: #cc79a7; } svg .s4 { --c: #e69f00; } svg .s5 { --c: #56b4e9; }
svg .line { stroke: var(--c); fill: none; stroke-width: 2; } svg .whisker { stroke: var(--c); stroke-width: 1.2; opacity: .75; }
svg .mark { fill: var(--c); stroke: var(--paper); stroke-width: 1; } svg text.name { fill: var(--ink); }
.bar { fill: var(--bar); } .strong { fill: var(--strong); }
@media print { body { max-width: none; padding: 0; background: #fff; color: #000; } h2, figure, table { break-inside: avoid; } details > pre { display: block; } }
)css";

}  // namespace anamnesis::report
