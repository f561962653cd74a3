"""The page's script: navigation to an earlier step by its name in the header, and corrections of gradio's labels.

The header is plain HTML and cannot call Python. A script clicks a hidden gradio button instead. It is passed to gradio
as a JavaScript function, because the page's Content-Security-Policy blocks scripts that are added to the head.

gradio's upload button has an accessible name other than its visible text, and the header of a toast message is a button
that contains the close button: both are accessibility faults, which the script corrects.
"""

from __future__ import annotations

from typing import Any

from voiceclone.ui.desk import BUSY, STEPS, Desk, Path
from voiceclone.ui.handlers import told
from voiceclone.ui.job import DONE

SCRIPT = """() => {
  document.addEventListener("click", (event) => {
    const step = event.target.closest(".steps [data-step]");
    if (step) document.getElementById("back-to-" + step.dataset.step)?.click();
  });
  const mend = () => {
    for (const button of document.querySelectorAll("button.upload-container[aria-label]"))
      button.removeAttribute("aria-label");
    for (const head of document.querySelectorAll(".toast-header[role]")) {
      head.removeAttribute("role");
      head.removeAttribute("tabindex");
    }
  };
  mend();
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
}"""


def build_way_back(desk: Desk, way: Path) -> None:
    """Add a hidden button for each step that the header links to."""
    import gradio as gr

    for number, title in enumerate(STEPS[: BUSY - 1], 1):
        button = gr.Button(f"Back to {title}", elem_id=f"back-to-{number}", elem_classes="out-of-sight")
        button.click(told(_handler(desk, way, number), outputs=4), way.visit, way.outputs)


def _handler(desk: Desk, way: Path, number: int) -> Any:
    def gone_back(token: str) -> list[Any]:
        return go_back(desk, way, token, number)

    return gone_back


def go_back(desk: Desk, way: Path, token: str, number: int) -> list[Any]:
    """Show an earlier step. A finished voice stays in the library.

    Raises:
        UsageError: the voice is being trained.
    """
    draft = desk.drafts.of(token)
    if number >= draft.state.step:
        return way.at(draft, draft.state.step)
    state = desk.jobs.state(draft)
    desk.jobs.forget(draft)
    if state is not None and state.outcome == DONE:
        draft.state.run = {}
        draft.save()
    return way.at(draft, number)
