"""State and helpers that all parts of the page use."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from voiceclone.ui.draft import Draft, Drafts
from voiceclone.ui.jobs import Jobs
from voiceclone.ui.sounds import Sounds

if TYPE_CHECKING:
    from voiceclone.ui.studio import Studio

STEPS = ("Voice", "Texts", "Consent", "Clone", "Result")
BUSY = 4  # the step that runs the training; the header does not link back to it


@dataclass(frozen=True, kw_only=True, eq=False)
class Desk:
    """State of the page, shared by all visitors."""

    studio: Studio
    drafts: Drafts
    jobs: Jobs
    sounds: Sounds
    local: bool = True
    """True where only this machine can reach the page. Folders of this machine can be chosen only then."""

    @classmethod
    def of(cls, studio: Studio, *, local: bool = True) -> Desk:
        """Make the state for a studio."""
        return cls(studio=studio, drafts=Drafts(studio.out), jobs=Jobs(studio), sounds=Sounds(), local=local)

    def close(self) -> None:
        """Stop all runs and remove temporary files."""
        self.jobs.close()
        self.sounds.close()


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One step of the walkthrough: its components that change, and the function that computes their values."""

    outputs: Sequence[Any]
    shown: Callable[[Draft], list[Any]] = field(repr=False)


@dataclass(kw_only=True, eq=False)
class Path:
    """The steps of the walkthrough and the navigation between them. It is filled while the page is built."""

    visit: Any
    """Holds the visitor's token in the browser."""
    walk: Any
    """The gradio walkthrough component."""
    head: Any
    """Shows which step this is. gradio's own header mixes up the names of steps that were not on the page before."""
    timer: Any
    moved: Any
    """A gradio state that changes whenever another step is to be shown."""
    steps: list[Step] = field(default_factory=list)

    @property
    def outputs(self) -> list[Any]:
        """The components that :meth:`at` sets. Those inside a step are filled later, by the event of :meth:`wire`."""
        return [self.walk, self.head, self.timer, self.moved]

    def at(self, draft: Draft, number: int) -> list[Any]:
        """Values of :meth:`outputs` that show the page at step ``number``."""
        import gradio as gr

        if draft.state.step != number:
            draft.state.step = number
            if draft.clips:
                draft.save()
        return [
            gr.Walkthrough(selected=number),
            head_html(number),
            gr.Timer(active=number == BUSY),
            (number, time.monotonic()),
        ]

    def wire(self, draft_of: Callable[[str], Draft]) -> None:
        """Fill a step's components after it is shown: gradio discards updates of components not displayed yet."""
        import gradio as gr

        def fill(token: str) -> list[Any]:
            draft = draft_of(token)
            found: list[Any] = []
            for number, step in enumerate(self.steps, 1):
                shown = step.shown(draft) if number == draft.state.step else [gr.skip()] * len(step.outputs)
                found += shown
            return found

        outputs = [part for step in self.steps for part in step.outputs]
        self.moved.change(fill, self.visit, outputs, show_progress="hidden")


def head_html(number: int) -> str:
    """HTML of the list of steps with ``number`` marked as current.

    Earlier steps are buttons (:mod:`voiceclone.ui.way_back`).
    """
    items = []
    for place, title in enumerate(STEPS, 1):
        kind = "now" if place == number else "done" if place < number else "to-come"
        current = ' aria-current="step"' if place == number else ""
        text = f'<span class="number">{place}</span> {title}'
        if place < min(number, BUSY):
            label = f"Back to step {place} {title}"
            text = f'<button type="button" data-step="{place}" aria-label="{label}"><span>{text}</span></button>'
        items.append(f'<li class="{kind}"{current}>{text}</li>')
    return f'<ol class="steps" aria-label="Steps">{"".join(items)}</ol>'


def note(text: str, kind: str = "info", *, live: bool = False) -> str:
    """HTML of a message box.

    ``kind`` is ``info``, ``good``, ``fair`` or ``unfit``; ``live`` makes screen readers announce changes.
    """
    role = ' role="status"' if live else ""
    return f'<p class="note {kind}"{role}>{escape(text)}</p>' if text else ""
