"""How the report's page looks: one column, cards instead of a wide table on a phone."""

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f8fafc; color: #1e293b; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p, li, blockquote, caption { overflow-wrap: anywhere; }
.facts, small { color: #475569; }
.facts { font-size: .9rem; }
.verdict { font-size: 1.1rem; font-weight: 600; padding: .8rem 1rem; border-left: 6px solid #94a3b8; background: #fff; }
.verdict.better { border-color: #15803d; background: #f0fdf4; }
.verdict.worse, .verdict.unintelligible { border-color: #b91c1c; background: #fef2f2; }
.verdict.mixed, .verdict.unclear { border-color: #b45309; background: #fffbeb; }
.doubt { padding: .5rem 1rem; background: #fffbeb; border-left: 6px solid #b45309; }
img { display: block; width: 100%; max-width: 40rem; height: auto; margin: 1rem auto; background: #fff; }
table { border-collapse: collapse; width: 100%; background: #fff; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .5rem; border-bottom: 1px solid #e2e8f0; text-align: left; vertical-align: top; }
thead th { font-size: .8rem; color: #475569; font-weight: 600; }
th small, td small { display: block; font-weight: 400; font-size: .78rem; }
td small { white-space: nowrap; }
tr.clone { background: #fff7ed; }
tr.recordings { background: #f1f5f9; }
.lengths { margin: 0 0 1.2rem; }
.lengths caption { text-align: left; font-size: .9rem; color: #475569; padding: .3rem 0; }
.lengths td, .lengths thead th { text-align: right; }
blockquote { margin: 1.2rem 0 .4rem; padding-left: .8rem; border-left: 3px solid #cbd5e1; font-style: italic; }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .5rem 1rem; }
.players label { display: block; font-size: .85rem; color: #475569; }
audio { display: block; width: 100%; height: 2.5rem; }
@media (max-width: 45rem) {
  .voices thead { display: none; }
  .voices, .voices tbody { display: block; background: none; }
  .voices tr { display: block; background: #fff; border: 1px solid #e2e8f0; border-radius: 6px; margin: 0 0 .8rem; }
  .voices tr.clone { background: #fff7ed; border-color: #fdba74; }
  .voices tr.recordings { background: #f1f5f9; }
  .voices th { display: block; border-bottom: 1px solid #e2e8f0; }
  .voices td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .15rem .5rem; }
  .voices td:empty { display: none; }
  .voices td::before { content: attr(data-label); color: #475569; font-size: .85rem; }
  .voices td > span { text-align: right; }
  .voices td small { display: inline; }
  .lengths th, .lengths td { padding: .3rem .3rem; font-size: .85rem; }
}
"""
