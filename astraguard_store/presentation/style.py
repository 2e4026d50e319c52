"""The style sheet of the report and of the pages: light and dark, and for print."""

from typing import Final

# Of Okabe and Ito (2008): told apart with any kind of colour vision.
PALETTE: Final = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a"),
    *("#7a4f9c", "#a65628", "#3f7f4f"),
)

CSS: Final = """\
:root{color-scheme:light dark;--back:#fff;--ink:#1b1b1b;--soft:#595959;--line:#d7d7d7;
--row:#f5f6f8;--bad:#a4262c;--good:#0b6a3c;--link:#0b5cad}
@media (prefers-color-scheme:dark){:root{--back:#16181c;--ink:#e8e8e8;--soft:#b0b0b0;
--line:#3c4048;--row:#1f2228;--bad:#ff9d9d;--good:#7fd8a8;--link:#8ec5ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:70rem;background:var(--back);color:var(--ink);
font:1rem/1.5 system-ui,"DejaVu Sans",sans-serif}
h1{font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}h2{font-size:1.2rem;margin-top:2rem}
h3{font-size:1rem}
a{color:var(--link)}:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.soft,figcaption,caption{color:var(--soft)}caption{text-align:left;padding-bottom:.3rem}
.bad{color:var(--bad);font-weight:600}.good{color:var(--good);font-weight:600}
.note{border-left:.3rem solid var(--bad);padding:.3rem .8rem;background:var(--row)}
iframe.live{width:100%;height:8rem;border:1px solid var(--line);border-radius:.4rem}
.hidden{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.part{padding:.2rem .6rem;max-width:none}
.verdict{border:2px solid var(--soft);border-radius:.4rem;padding:.2rem 1rem;margin:1rem 0}
.headline{font-size:1.15rem;font-weight:600;overflow-wrap:anywhere}
.regressed{border-color:var(--bad)}.regressed .headline{color:var(--bad)}
.improved,.equivalent{border-color:var(--good)}
.improved .headline,.equivalent .headline{color:var(--good)}
.wide{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:left;
white-space:nowrap}
th.n,td.n{text-align:right}tbody tr:nth-child(even){background:var(--row)}
td.long{white-space:normal;overflow-wrap:anywhere}
figure{margin:1rem 0;overflow-x:auto}svg{width:100%;min-width:38rem;max-width:45rem;height:auto;
display:block;color:var(--ink)}
svg text{fill:currentColor;font-size:12px;font-family:system-ui,"DejaVu Sans",sans-serif}
summary{cursor:pointer;color:var(--link);overflow-wrap:anywhere}
pre{background:var(--row);padding:.8rem;overflow-x:auto}code{font-family:ui-monospace,monospace}
nav a{margin-right:1rem}form{display:flex;flex-wrap:wrap;gap:.6rem;align-items:end;margin:1rem 0}
label{display:flex;flex-direction:column;font-size:.9rem;max-width:100%}
input,select,textarea,button{font:inherit;color:inherit;background:var(--back);
border:1px solid var(--soft);border-radius:.3rem;padding:.3rem .5rem;max-width:100%}
textarea{width:100%;min-height:7rem;font-family:ui-monospace,monospace}label.full{flex:1 1 100%}
@media print{body{max-width:none;padding:0;font-size:10pt;background:#fff;color:#000}
figure,tr{break-inside:avoid}h2{break-after:avoid}nav,form,details:not([open]){display:none}
.wide,figure{overflow:visible}svg{min-width:0}}
"""
