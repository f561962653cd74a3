"""Step 3: the speaker's name and consent, and the name of the voice."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from voiceclone.ui.consent import MAX_NAME, SENTENCE, consent_text
from voiceclone.ui.desk import Desk, Path, Step
from voiceclone.ui.handlers import told
from voiceclone.ui.jobs import check_draft_name

if TYPE_CHECKING:
    from voiceclone.ui.draft import Draft


def build_consent_step(desk: Desk, way: Path) -> None:
    """Build the step and connect its events."""
    import gradio as gr

    gr.HTML("<h2>Consent and name</h2><p>Both are recorded with the voice, in its report and its card.</p>")
    person = gr.Textbox(label="Who is the speaker?", elem_id="person", max_length=MAX_NAME)
    agreed = gr.Checkbox(label=SENTENCE, elem_id="agreed")
    name = gr.Textbox(
        label="Name of the voice",
        elem_id="name",
        info="Letters, digits, - and _; it becomes the name of the file.",
        max_length=MAX_NAME,
    )
    with gr.Row(elem_classes="pair-of-buttons"):
        back = gr.Button("Back", elem_id="back-to-texts")
        onward = gr.Button("Next: clone", variant="primary", elem_id="to-clone")

    def shown(draft: Draft) -> list[Any]:
        return [draft.state.person, draft.state.agreed, draft.state.name]

    way.steps.append(Step(outputs=[person, agreed, name], shown=shown))

    def keep(token: str, *values: Any) -> Draft:
        draft = desk.drafts.of(token)
        draft.state.person, draft.state.agreed, draft.state.name = values[0].strip(), bool(values[1]), values[2].strip()
        return draft

    def go_on(token: str, *values: Any) -> list[Any]:
        draft = keep(token, *values)
        consent_text(draft.state.person, draft.state.agreed, date.today())
        check_draft_name(desk.studio, draft, draft.state.name)
        return way.at(draft, 4)

    given = [way.visit, person, agreed, name]
    # also save when the visitor leaves the step through the header
    for event in (person.blur, name.blur, agreed.change):
        event(told(lambda token, *values: keep(token, *values) and None), given, None, show_progress="hidden")
    back.click(told(lambda token, *values: way.at(keep(token, *values), 2), outputs=4), given, way.outputs)
    onward.click(told(go_on, outputs=4), given, way.outputs)
