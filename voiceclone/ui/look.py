"""CSS of the page: one column, large touch targets, light or dark by the system's setting.

gradio adds a prefix to every selector. In ``@media`` blocks it removes the original selector, so none there may begin
with ``.gradio-container``. In a list of selectors it handles only the first ``.dark`` correctly, so rules with
``.dark`` have one selector each.
"""

from __future__ import annotations

from typing import Any

FONTS = ["system-ui", "-apple-system", "Segoe UI", "sans-serif"]

STYLE = """
:root { --quiet: #4b5563; --trough: #d1d5db; }
.dark { --quiet: #b6bdc9; --trough: #374151; --gauge-edge: #0b0f19; }
footer { display: none !important; }
.gradio-container { width: 100%; max-width: 860px !important; margin: 0 auto !important; }
.app { padding: 1rem clamp(.75rem, 4vw, 2rem) !important; }
.title { margin: 0 0 .8rem; }
.title h1 { font-size: clamp(1.2rem, 5.5vw, 1.75rem); font-weight: 700; margin: 0; line-height: 1.25; }
.title p { margin: .2rem 0 0; color: var(--quiet); }
.gradio-container h2 { font-size: 1.35rem; margin: .4rem 0 .3rem; }
.gradio-container h3 { font-size: 1.1rem; margin: .8rem 0 .2rem; }
.html-container { padding: 0 !important; }
.gradio-container { --body-text-color-subdued: var(--quiet); --block-info-text-color: var(--quiet); }
.gradio-container { --color-accent: #4338ca; }
.code_wrap .token { color: inherit !important; }
.code_wrap pre, .code_wrap pre code { white-space: pre-wrap !important; overflow-wrap: anywhere; }
.dark .gradio-container { --color-accent: #a5b4fc; }
.dark.gradio-container { --color-accent: #a5b4fc; }
#walk .stepper-wrapper, #walk .stepper-container, #walk .step-title, #walk .step-button, #walk .step-connector {
  display: none !important; }
.steps { display: flex; gap: .4rem; list-style: none; padding: 0; margin: .6rem 0 .2rem; }
.steps li { flex: 1; padding-top: .35rem; border-top: 5px solid var(--neutral-400); color: var(--quiet);
  font-size: .95rem; }
.steps li.done, .steps li.now { border-color: var(--color-accent); }
.steps li.now { font-weight: 700; color: var(--body-text-color); }
.steps button { all: unset; box-sizing: border-box; display: grid; align-content: start; width: 100%;
  min-height: 1.9rem; cursor: pointer; text-decoration: underline; }
.steps button:focus-visible { outline: 3px solid #f59e0b; outline-offset: 2px; }
.out-of-sight { display: none !important; }
.note { margin: .3rem 0; padding: .5rem .75rem; border-left: 4px solid var(--neutral-400); border-radius: 6px;
  background: var(--background-fill-secondary); color: var(--body-text-color); }
.note.good { border-color: #15803d; }
.note.fair { border-color: #b45309; }
.note.unfit { border-color: #b91c1c; }
.count, .hint { color: var(--quiet); font-size: .9rem; margin: .2rem 0; }
.reading { font-size: 1.5rem; line-height: 1.4; margin: .4rem 0 .6rem; min-height: 4.2rem; }
#microphone .icon-button-wrapper { display: none; }
#microphone .record-button, #microphone .stop-button, #microphone .stop-button-paused, #microphone .resume-button,
  #microphone .pause-button { height: 48px; font-size: 1rem; }
#microphone .stop-button, #microphone .stop-button-paused { width: auto; padding-right: 1.2rem; }
#microphone .record-button { background: var(--button-primary-background-fill); color: #fff; width: auto;
  padding: 0 1.4rem 0 .4rem; font-weight: 600; }
#microphone .record-button::before { background: #fca5a5; }
#microphone .mic-select { height: 48px; }
.player { margin: .4rem 0; }
.player figcaption { font-weight: 600; margin-bottom: .2rem; overflow-wrap: anywhere; }
.player small { font-weight: 400; margin-left: .5rem; color: var(--quiet); }
.player audio { width: 100%; height: 44px; display: block; }
.dark .player audio { color-scheme: dark; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .2rem 1rem; margin-bottom: .8rem; }
.pair > * { min-width: 0; }
.pair .said { grid-column: 1 / -1; font-style: italic; margin: 0; }
.clip { padding: .75rem !important; background: var(--block-background-fill) !important; }
.clip .block { border: 0 !important; }
.clip .styler { background: none !important; gap: .5rem; }
.clip .remove { max-width: 12rem; align-self: flex-end; box-shadow: none;
  border: 1px solid var(--button-secondary-border-color) !important; border-radius: 6px; }
.clip textarea { height: auto !important; max-height: 12rem; min-height: 2.6rem; field-sizing: content;
  border: 1px solid var(--input-border-color) !important; border-radius: var(--input-radius) !important; }
.bar label { font-weight: 600; display: block; margin-bottom: .3rem; }
.bar progress { appearance: none; width: 100%; height: 16px; border: 0; border-radius: 8px; overflow: hidden;
  background: var(--trough); }
.bar progress::-webkit-progress-bar { background: var(--trough); }
.bar progress::-webkit-progress-value { background: var(--color-accent); border-radius: 8px; }
.bar progress::-moz-progress-bar { background: var(--color-accent); }
.verdict p { margin: .2rem 0; }
.verdict p:first-child { font-size: 1.15rem; font-weight: 600; }
.gauge-fill { fill: var(--color-accent) !important; }
.curve { width: 100%; height: auto; background: #fff; border-radius: 6px; }
.log { font-size: .75rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; }
.wrap:has(> .wrap-inner) { border: 1px solid var(--input-border-color); border-radius: var(--input-radius); }
#card table { width: 100%; }
#card th, #card td { overflow-wrap: anywhere; padding: .35rem .5rem; vertical-align: top; }
#card tr > :first-child { overflow-wrap: normal; min-width: 5.5rem; }
.cards label { width: 100%; padding: .7rem .9rem !important; }
.downloads button { white-space: nowrap; padding-inline: .4rem; font-size: .95rem; }
.pair-of-buttons { flex-wrap: nowrap !important; }
.pair-of-buttons > button { min-width: fit-content !important; white-space: nowrap; padding-inline: .5rem; }
.pair-of-buttons > button.primary { flex-grow: 2 !important; }
@media (max-width: 600px) {
  .reading { font-size: 1.25rem; }
  .steps { gap: .25rem; }
  .steps li { font-size: .8rem; }
  .steps .number { display: block; }
  .steps button { min-height: 44px; }
  h2 { font-size: 1.15rem !important; }
  .verdict p:first-child { font-size: 1.05rem; }
  .pair { grid-template-columns: 1fr; }
  .downloads > * { flex: 1 1 45% !important; min-width: 45% !important; }
  .tab-container { height: 44px; }
  .tab-container button { min-height: 44px; }
  .tab-container.visually-hidden { height: 1px; }
  .tab-container.visually-hidden button { min-height: 0; }
  .label-wrap { min-height: 44px; margin-block: -.6rem !important; align-items: center; }
  button.sm { min-height: 44px; }
  input[type="checkbox"] { width: 24px; height: 24px; }
}
"""


def theme() -> Any:
    """gradio's soft theme with plain labels, and with borders that can be seen."""
    import gradio as gr

    edge, edge_dark = "#7b8494", "#8b93a1"  # 3:1 against the page, which is what parts to be used need
    colours = {
        "button_primary_background_fill": "#4338ca",
        "button_primary_background_fill_hover": "#3730a3",
        "checkbox_background_color_selected": "#4338ca",
        "checkbox_label_background_fill_selected": "#4338ca",
        "input_border_color": edge,
        "checkbox_border_color": edge,
    }
    dark = {f"{name}_dark": edge_dark if name.endswith("border_color") else value for name, value in colours.items()}
    both = {
        "button_cancel_background_fill": "#b91c1c",
        "button_cancel_background_fill_hover": "#991b1b",
        "button_cancel_text_color": "white",
    }
    plain = {
        f"{label}_{part}{mode}": value
        for label in ("block_title", "block_label")
        for mode in ("", "_dark")
        for part, value in (("background_fill", "transparent"), ("text_color", "*body_text_color"))
    }
    return gr.themes.Soft(font=FONTS, font_mono=["monospace"]).set(
        **colours,
        **dark,
        **plain,
        **both,
        **{f"{name}_dark": value for name, value in both.items()},
        background_fill_primary="*neutral_50",  # of the soft theme; what is set anew falls back to white
        link_text_color="#3730a3",
        link_text_color_dark="#a5b4fc",
        input_placeholder_color="#6b7280",
        input_placeholder_color_dark="#b6bdc9",
        block_title_padding="0",
        input_border_width="1px",
        button_secondary_border_color=edge,
        button_secondary_border_color_dark=edge_dark,
        button_border_width="1px",
    )
