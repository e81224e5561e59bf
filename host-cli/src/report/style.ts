// The style sheet of a report, screen and paper. Colours have at least 4.5:1 against what is behind them (WCAG 2.1 AA),
// and none is the only sign of anything.

export const CSS = `
:root{color-scheme:light;--ink:#1b1f24;--soft:#4a525c;--rule:#c9ced4;--head:#eef1f4;
--refuted:#8a1020;--recalled:#7a2d8c;--vulnerable:#a33b00;--unproven:#5c5500;--patched:#11603a}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:#fff;font:15px/1.5 system-ui,"Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif}
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1.5rem}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:1rem;background:#fff;padding:.5rem;border:2px solid var(--ink)}
a{color:#0b4f9e}
a:focus,[tabindex]:focus{outline:3px solid #0b4f9e;outline-offset:2px}
header{display:flex;gap:2rem;justify-content:space-between;padding-top:1.5rem;border-bottom:3px solid var(--ink);padding-bottom:1rem}
header svg{width:150px;height:150px;flex:none;display:block}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.3rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--rule);padding-bottom:.2rem}
h3{font-size:1.05rem;margin:1.4rem 0 .4rem}
p{margin:.4rem 0;max-width:56rem}
nav ul{list-style:none;padding:0;margin:.8rem 0;display:flex;flex-wrap:wrap;gap:.2rem 1rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.86rem;margin:.6rem 0}
caption{text-align:left;color:var(--soft);padding:.2rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .55rem;border-bottom:1px solid var(--rule);overflow-wrap:anywhere}
thead th{background:var(--head);border-bottom:2px solid var(--rule);white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.mono{font-family:ui-monospace,"DejaVu Sans Mono","Liberation Mono",Menlo,monospace;font-size:.92em}
td.mono{min-width:8.5rem}
td.when{min-width:12rem}
td.why{min-width:18rem}
.name{min-width:6.5rem}
th[scope=row]{min-width:6rem}
.word{font-weight:700;white-space:nowrap}
.word.refuted{color:var(--refuted)}.word.recalled{color:var(--recalled)}.word.vulnerable{color:var(--vulnerable)}
.word.unproven{color:var(--unproven)}.word.patched{color:var(--patched)}
.answer{font-size:1.15rem}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.2rem 1.2rem;margin:.6rem 0}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
figure{margin:1rem 0;max-width:44rem;break-inside:avoid}
figcaption{font-weight:600}
figure svg{width:100%;height:auto;display:block}
svg text{font-size:12px;fill:var(--ink)}
.grid{stroke:var(--rule)}.axis{stroke:var(--ink)}
.line{fill:none;stroke:var(--patched);stroke-width:2.5}.dot{fill:var(--patched)}
.bar{stroke:#fff;stroke-width:1}
.bar.refuted{fill:var(--refuted)}.bar.recalled{fill:var(--recalled)}.bar.vulnerable{fill:var(--vulnerable)}
.bar.unproven{fill:var(--unproven)}.bar.patched{fill:var(--patched)}
pre{background:var(--head);padding:.7rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.82rem}
.sign td{height:3.2rem;min-width:9rem}
footer{border-top:1px solid var(--rule);margin-top:2.5rem;padding-top:.8rem;padding-bottom:2rem;color:var(--soft);font-size:.86rem}
@media (max-width:40rem){header{flex-direction:column}dl{grid-template-columns:1fr}}
@page{size:A4 landscape;margin:14mm 12mm}
@media print{
body{font-size:9.5pt}header,main,footer{max-width:none;padding-left:0;padding-right:0}
nav,.skip{display:none}.scroll{overflow:visible}a{color:inherit;text-decoration:none}
thead{display:table-header-group}tr{break-inside:avoid}h2,h3,caption{break-after:avoid}
table{font-size:8pt}.bar,thead th,pre{print-color-adjust:exact;-webkit-print-color-adjust:exact}
td.mono,td.when,td.why,.name,th[scope=row]{min-width:0}th,td{padding:.16rem .4rem}
tbody tr:first-child,tbody tr:nth-child(2){break-before:avoid}.short,dl,footer,.sign{break-inside:avoid}
footer{margin-top:1rem;padding-bottom:0}section>h2+p,section>h2+dl{break-before:avoid}
}
`;
