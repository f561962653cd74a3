"""CSS of the page: one column, large touch targets, light or dark by the system's setting."""

from __future__ import annotations

FONTS = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]

STYLE = """
:root { --quiet: #4b5563; }
.dark { --quiet: #b6bdc9; }
footer { display: none !important; }
.gradio-container { max-width: 860px !important; margin: 0 auto !important; }
.gradio-container h2 { font-size: 1.35rem; margin: .4rem 0 .3rem; }
.gradio-container h3 { font-size: 1.1rem; margin: .8rem 0 .2rem; }
.html-container { padding: 0 !important; }
.gradio-container { --body-text-color-subdued: var(--quiet); --block-info-text-color: var(--quiet); }
.gradio-container { --color-accent: #4338ca; --block-label-text-color: #3730a3; --block-title-text-color: #3730a3;
  --button-primary-background-fill: #4338ca; --button-primary-background-fill-hover: #3730a3; }
.gradio-container { --checkbox-label-background-fill-selected: #4338ca; }
#lines .token { color: inherit !important; }
.dark .gradio-container, .dark.gradio-container { --color-accent: #a5b4fc; --block-label-text-color: #e0e7ff;
  --block-title-text-color: #e0e7ff; }
#walk .stepper-wrapper, #walk .stepper-container, #walk .step-title, #walk .step-button, #walk .step-connector {
  display: none !important; }
.steps { display: flex; gap: .4rem; list-style: none; padding: 0; margin: .6rem 0 .2rem; }
.steps li { flex: 1; padding-top: .35rem; border-top: 5px solid var(--neutral-400); color: var(--quiet);
  font-size: .95rem; }
.steps li.done, .steps li.now { border-color: var(--color-accent); }
.steps li.now { font-weight: 700; color: var(--body-text-color); }
.steps button { all: unset; box-sizing: border-box; width: 100%; cursor: pointer; text-decoration: underline; }
.steps button:focus-visible { outline: 3px solid #f59e0b; outline-offset: 2px; }
.out-of-sight { display: none !important; }
.note { margin: .3rem 0; padding: .5rem .75rem; border-left: 4px solid var(--neutral-400); border-radius: 6px;
  background: var(--background-fill-secondary); color: var(--body-text-color); }
.note.good { border-color: #15803d; }
.note.fair { border-color: #b45309; }
.note.unfit { border-color: #b91c1c; }
.count, .hint { color: var(--quiet); font-size: .9rem; margin: .2rem 0; }
.reading { font-size: 1.5rem; line-height: 1.4; margin: .4rem 0 .6rem; min-height: 4.2rem; }
.player { margin: .4rem 0; }
.player figcaption { font-weight: 600; margin-bottom: .2rem; overflow-wrap: anywhere; }
.player small { font-weight: 400; margin-left: .5rem; color: var(--quiet); }
.player audio { width: 100%; height: 44px; display: block; }
.dark .player audio { color-scheme: dark; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .2rem 1rem; margin-bottom: .8rem; }
.pair > * { min-width: 0; }
#lines, #lines * { min-width: 0; }
#lines .codemirror-wrapper, #lines .cm-editor, #lines .cm-scroller, #lines pre { max-width: calc(100vw - 5rem);
  overflow-x: auto; }
#lines .cm-content, #lines .cm-line { white-space: pre-wrap !important; overflow-wrap: anywhere !important; }
.pair .said { grid-column: 1 / -1; font-style: italic; margin: 0; }
.clip { padding: .75rem !important; background: var(--block-background-fill) !important; }
.clip .styler { background: none !important; }
.clip .remove { max-width: 12rem; margin-top: .4rem; }
.bar label { font-weight: 600; display: block; margin-bottom: .3rem; }
.bar progress { appearance: none; width: 100%; height: 16px; border: 0; border-radius: 8px; overflow: hidden;
  background: var(--neutral-300); }
.dark .bar progress, .dark .bar progress::-webkit-progress-bar { background: var(--neutral-700); }
.bar progress::-webkit-progress-bar { background: var(--neutral-300); }
.bar progress::-webkit-progress-value { background: var(--color-accent); border-radius: 8px; }
.bar progress::-moz-progress-bar { background: var(--color-accent); }
.verdict p { margin: .2rem 0; }
.verdict p:first-child { font-size: 1.15rem; font-weight: 600; }
.gauge-fill { fill: var(--color-accent) !important; }
.curve { width: 100%; height: auto; background: #fff; border-radius: 6px; }
.log { font-size: .75rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; }
.cards label { width: 100%; padding: .7rem .9rem !important; }
.pair-of-buttons { flex-wrap: nowrap !important; }
.pair-of-buttons button { min-width: 0 !important; }
@media (max-width: 600px) {
  .gradio-container { padding: .5rem !important; }
  .reading { font-size: 1.25rem; }
  .steps { gap: .25rem; }
  .steps li { font-size: .68rem; white-space: nowrap; }
  .gradio-container h1 { font-size: 1.25rem !important; margin: 0 !important; }
  .gradio-container h2 { font-size: 1.15rem; }
  .verdict p:first-child { font-size: 1.05rem; }
  .gradio-container .steps button { min-height: 32px; }
  .pair { grid-template-columns: 1fr; }
  .downloads > * { flex: 1 1 45% !important; min-width: 45% !important; }
  .gradio-container button { min-height: 44px; }
}
"""
