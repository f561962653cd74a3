"""What the parts of the page share."""

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
BUSY = 4  # the step at which the voice is made: it is no place to go back to


@dataclass(frozen=True, kw_only=True, eq=False)
class Desk:
    """The page's state, the same for all visitors."""

    studio: Studio
    drafts: Drafts
    jobs: Jobs
    sounds: Sounds
    local: bool = True
    """Whether only this machine reaches the page: then it may name folders of this machine."""

    @classmethod
    def of(cls, studio: Studio, *, local: bool = True) -> Desk:
        """A desk for a studio."""
        return cls(studio=studio, drafts=Drafts(studio.out), jobs=Jobs(studio), sounds=Sounds(), local=local)

    def close(self) -> None:
        """End the runs, remove temporary files."""
        self.jobs.close()
        self.sounds.close()


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One step of the path: its components that change, and what they show for a draft."""

    outputs: Sequence[Any]
    shown: Callable[[Draft], list[Any]] = field(repr=False)


@dataclass(kw_only=True, eq=False)
class Path:
    """The steps and how one goes from one to another; filled while the page is built."""

    visit: Any
    """Holds the visitor's token in the browser."""
    walk: Any
    """The walkthrough."""
    head: Any
    """Says which step this is; gradio's own header mixes up the names of steps that were not on the page before."""
    timer: Any
    moved: Any
    """A state that changes when another step is to be shown."""
    steps: list[Step] = field(default_factory=list)

    @property
    def outputs(self) -> list[Any]:
        """What :meth:`at` sets; the step's own parts follow once it is on the page, see :meth:`wire`."""
        return [self.walk, self.head, self.timer, self.moved]

    def at(self, draft: Draft, number: int) -> list[Any]:
        """The page at step ``number``."""
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
        """Fill a step when it is gone to: gradio forgets what is set on parts that are not on the page yet."""
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
    """The steps, of which ``number`` is the current one; earlier ones are buttons (:mod:`voiceclone.ui.way_back`)."""
    items = []
    for place, title in enumerate(STEPS, 1):
        kind = "now" if place == number else "done" if place < number else "to-come"
        current = ' aria-current="step"' if place == number else ""
        text = f"{place} {title}"
        if place < min(number, BUSY):
            text = f'<button type="button" data-step="{place}" aria-label="Back to step {text}">{text}</button>'
        items.append(f'<li class="{kind}"{current}>{text}</li>')
    return f'<ol class="steps" aria-label="Steps">{"".join(items)}</ol>'


def note(text: str, kind: str = "info", *, live: bool = False) -> str:
    """HTML of a remark: ``info``, ``good``, ``fair`` or ``unfit``. ``live`` ones are read out when they change."""
    role = ' role="status"' if live else ""
    return f'<p class="note {kind}"{role}>{escape(text)}</p>' if text else ""
