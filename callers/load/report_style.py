"""The style of the HTML report: the colours and the calm of the demo page (gateway/page/look.css)."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --page: #f6f7f5; --ink: #1d2326; --quiet: #5c666b; --line: #dcdfdd; --faint: #eceeec;
  --accent: #1f6f5c; --danger: #a8322a; --danger-ground: #fbf0ee; --accent-ground: #eef5f2;
  --c1: #1f6f5c; --c2: #b0741a; --c3: #3f6ca8; --c4: #84497a; --c5: #7b8489; --c6: #a8322a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #1b1f21; --page: #131617; --ink: #e8e9e7; --quiet: #a2abaf; --line: #353b3e; --faint: #272c2f;
    --accent: #74c3ad; --danger: #f0968d; --danger-ground: #2c2020; --accent-ground: #1c2a27;
    --c1: #74c3ad; --c2: #e0b060; --c3: #8db4e6; --c4: #cf9bc5; --c5: #9aa4a8; --c6: #f0968d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
header p { margin: 0; color: var(--quiet); }
.label { font-size: .85rem; letter-spacing: .04em; }
h1 { margin: .1rem 0 .35rem; font-size: 1.9rem; font-weight: 600; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 2.75rem 0 .25rem; font-size: 1.1rem; font-weight: 600; }
h2 + p { margin: 0 0 .9rem; color: var(--quiet); font-size: .92rem; max-width: 52rem; }
.facts { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin-top: .9rem; font-size: .92rem;
  color: var(--quiet); }
.facts span { color: var(--ink); overflow-wrap: anywhere; }
.lead { max-width: 52rem; text-wrap: balance; font-size: 1.05rem; }
.note { margin: 1.25rem 0 0; padding: .7rem 1rem; border-radius: .75rem; background: var(--danger-ground);
  color: var(--danger); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(max(9.5rem, var(--least)), 1fr));
  gap: .75rem; margin-top: 1.75rem; --least: 0px; }
.many { --least: calc(25% - .5625rem); }
.card, figure, .sheet { background: var(--ground); border: 1px solid var(--line); border-radius: 1rem; }
.card { padding: .85rem 1.1rem .8rem; }
.card dt { color: var(--quiet); font-size: .85rem; }
.card dd { margin: 0; }
.card .value { font-size: 1.7rem; font-weight: 600; line-height: 1.25; letter-spacing: -.01em;
  font-variant-numeric: tabular-nums; }
.card .value small { font-size: .9rem; font-weight: 400; color: var(--quiet); letter-spacing: 0; }
.card .aside { color: var(--quiet); font-size: .82rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); gap: .75rem; }
figure { margin: 0; padding: .9rem 1rem .6rem; break-inside: avoid; }
figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .9rem; margin-bottom: .35rem; }
figcaption b { font-weight: 600; font-size: .95rem; margin-inline-end: auto; }
figcaption b small { font-weight: 400; color: var(--quiet); }
.key { font-size: .82rem; color: var(--quiet); white-space: nowrap; }
.key svg { inline-size: 18px; block-size: 8px; margin-inline-end: .35em; }
svg { display: block; inline-size: 100%; block-size: auto; }
.key svg { display: inline-block; }
svg text { fill: var(--quiet); font: 10.5px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
.grid { stroke: var(--faint); } .axis { stroke: var(--line); } .edge { stroke: var(--faint); }
.line path { fill: none; stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round; }
.thin path { stroke-width: 1.25; } .dashed path { stroke-dasharray: 5 3.5; } .dotted path { stroke-dasharray: 1 3.5; }
.step path { stroke-linejoin: miter; }
.knee { stroke: var(--danger); stroke-dasharray: 3 3; } .beyond { fill: var(--danger); opacity: .06; }
svg .knee-words { fill: var(--danger); }
.c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); }
.c5 { stroke: var(--c5); } .c6 { stroke: var(--c6); }
.c1 circle { fill: var(--c1); } .c2 circle { fill: var(--c2); } .c3 circle { fill: var(--c3); }
.c4 circle { fill: var(--c4); } .c5 circle { fill: var(--c5); } .c6 circle { fill: var(--c6); }
.line circle { stroke: none; }
rect.c1 { fill: var(--c1); stroke: none; } rect.c2 { fill: var(--c2); stroke: none; }
rect.c3 { fill: var(--c3); stroke: none; } rect.c4 { fill: var(--c4); stroke: none; }
rect.c5 { fill: var(--c5); stroke: none; } rect.c6 { fill: var(--c6); stroke: none; }
.sheet { overflow-x: auto; padding: .35rem .5rem; }
table { border-collapse: collapse; inline-size: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .42rem .6rem; text-align: end; white-space: nowrap; }
th { color: var(--quiet); font-weight: 500; vertical-align: bottom; }
thead th[colspan] { text-align: center; } thead tr + tr th { padding-top: 0; }
.levels th, .levels td { padding-inline: .5rem; }
tbody tr { border-top: 1px solid var(--faint); }
th[scope="row"] { color: var(--ink); font-weight: 600; }
th.words, td.words { text-align: start; white-space: normal; }
tr.bad td, tr.bad th { background: var(--danger-ground); }
tr.bad th[scope="row"], .fails { color: var(--danger); }
.holds { color: var(--accent); }
details { margin-top: .3rem; font-size: .82rem; color: var(--quiet); }
details table { font-size: .8rem; } details th, details td { padding: .2rem .5rem; }
details div { max-block-size: 16rem; overflow: auto; }
summary { cursor: pointer; inline-size: max-content; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: .25rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--quiet);
  font-size: .85rem; }
footer p { max-width: 52rem; margin: 0 0 .5rem; }
@media print {
  :root { color-scheme: light; --page: #ffffff; --ground: #ffffff; --ink: #1d2326; --quiet: #5c666b; --line: #dcdfdd;
    --faint: #eceeec; --accent: #1f6f5c; --danger: #a8322a; --danger-ground: #fbf0ee;
    --c1: #1f6f5c; --c2: #b0741a; --c3: #3f6ca8; --c4: #84497a; --c5: #7b8489; --c6: #a8322a; }
  body { font-size: 12px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { padding: 0; max-width: none; }
  .plots { grid-template-columns: 1fr 1fr; }
  .card .value { font-size: 1.35rem; }
  details { display: none; }
  h2 { break-after: avoid; } tr, .card { break-inside: avoid; }
  .cards { grid-template-columns: repeat(3, 1fr); }
  .sheet { overflow: visible; } .sheet table { font-size: .72rem; } th, td { padding: .3rem .35rem; }
  .levels table { font-size: .64rem; } .levels th, .levels td { padding-inline: .2rem; }
  @page { margin: 14mm; }
}
"""
