"""How the page looks: light or dark as the reader has it, plain on paper."""

CSS = """
:root {
  color-scheme: light dark;
  --ink: #1c2330; --faint: #5b6577; --line: #d5dae2; --paper: #ffffff; --panel: #f5f7fa;
  --good: #1a7f4b; --bad: #b3261e; --warn: #8a5a00;
  --even: #3b6fb6; --odd: #8fb1dc; --held: #8a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ef; --faint: #9aa5b8; --line: #343c4a; --paper: #151a22; --panel: #1e2530;
    --good: #5ccb90; --bad: #ff8a80; --warn: #e5b454;
    --even: #5b8fd6; --odd: #34547f; --held: #e5b454;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem;
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
}
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.4rem 0 .5rem; font-size: 1.2rem; }
h2 small { margin-left: .4rem; font-weight: normal; font-size: .85rem; color: var(--faint); }
h3 { margin: 1.2rem 0 .2rem; font-size: .9rem; color: var(--faint); }
p { margin: .4rem 0; }
header p, .notes p, .proof { color: var(--faint); }
.proof, .notes { font-size: .87rem; }
.proof code { word-break: break-all; }
a { color: inherit; }
code { font: .92em ui-monospace, monospace; }
.tiles {
  display: grid; gap: .75rem; margin: 1.4rem 0 0;
  grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
}
.tile {
  padding: .7rem .9rem; border: 1px solid var(--line); border-radius: 8px; background: var(--panel);
}
.tile strong { display: block; font-size: 1.3rem; line-height: 1.3; }
.tile span { font-size: .85rem; color: var(--faint); }
.tile.good strong, .verdict.good { color: var(--good); }
.tile.bad strong, .verdict.bad { color: var(--bad); }
.tile.warn strong, .verdict.warn { color: var(--warn); }
.verdict { font-weight: 600; }
p > .verdict { margin-right: .5rem; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td {
  padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line);
}
th { font-size: .82rem; font-weight: 600; color: var(--faint); white-space: nowrap; }
td { font-size: .9rem; }
.account { margin-top: 2.6rem; padding-top: .2rem; border-top: 2px solid var(--line); }
.account h2 { margin-top: 1rem; }
.strip { display: block; width: 100%; height: 38px; margin: .9rem 0 0; }
.ticks {
  display: flex; justify-content: space-between; margin: 0; font-size: .85rem; color: var(--faint);
}
.strip .even { fill: var(--even); } .strip .odd { fill: var(--odd); }
.strip .late { fill: var(--bad); } .strip .held { fill: var(--held); }
@media (max-width: 52rem) { .wide table { min-width: 50rem; } }
@media print {
  @page { margin: 14mm; }
  :root {
    --ink: #000000; --faint: #444444; --line: #bbbbbb; --paper: #ffffff; --panel: #ffffff;
    --good: #1a7f4b; --bad: #b3261e; --warn: #8a5a00;
    --even: #3b6fb6; --odd: #8fb1dc; --held: #8a5a00;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; }
  .wide table { min-width: 0; }
  .tiles { grid-template-columns: repeat(5, 1fr); }
  .proof, .notes { font-size: 8.5pt; }
  table { font-size: 8.5pt; }
  td, th { font-size: 8.5pt; }
  tr, .tile, .strip, h2, h3 { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .strip rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
