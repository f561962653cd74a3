"""Step 4: preview, training with one progress bar, and audio of the latest epoch."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from voiceclone.bases.stock_names import AUTO, KOKORO, NANO, planned_base
from voiceclone.cloning.config import EPOCHS
from voiceclone.ui.desk import Desk, Path, Step, note
from voiceclone.ui.handlers import told
from voiceclone.ui.job import DONE, FAILED, RUNNING, STOPPED, JobState
from voiceclone.ui.player import player, side_by_side
from voiceclone.ui.progress import left_in_words

if TYPE_CHECKING:
    from voiceclone.ui.draft import Draft

TICK_SECONDS = 2.0
_KINDS = {STOPPED: "fair", DONE: "good", RUNNING: "info"}


def build_clone_step(desk: Desk, way: Path) -> None:
    """Build the step and connect its events."""
    import gradio as gr

    gr.HTML("<h2>Clone</h2>")
    with gr.Column(elem_id="before") as before:
        summary = gr.HTML()
        base, epochs, seed = _settings(gr, desk)
        with gr.Row(elem_classes="pair-of-buttons"):
            back = gr.Button("Back", elem_id="back-to-consent")
            start = gr.Button("Make my voice", variant="primary", elem_id="start")
    progress = gr.HTML(visible=False, elem_id="progress")
    sounds = gr.HTML(visible=False, elem_id="sounds")
    stop = gr.Button("Stop", visible=False, elem_id="stop")
    with gr.Row(visible=False, elem_classes="pair-of-buttons") as after:
        again = gr.Button("Change something", elem_id="again")
        resume = gr.Button("Go on", variant="primary", elem_id="resume")
    with gr.Accordion("Details for experts", open=False, visible=False, elem_id="details") as details:
        curve = gr.HTML(elem_id="loss")
        log = gr.HTML(elem_id="log")
    seen = gr.State(())

    run_outputs = [progress, sounds, stop, after, resume, details, curve, log, seen]
    outputs = [before, summary, base, epochs, seed, *run_outputs]

    def shown(draft: Draft) -> list[Any]:
        state, given = desk.jobs.state(draft), draft.state
        values = [given.base or str(desk.studio.base), given.epochs, given.seed]
        before_run = gr.Column(visible=state is None or state.outcome == DONE)
        return [before_run, _summary(draft), *values, *run_shown(state, ())]

    way.steps.append(Step(outputs=outputs, shown=shown))

    def begin(token: str, *values: Any, resumed: bool = False) -> list[Any]:
        draft = desk.drafts.of(token)
        if not resumed:
            choice, rounds, number = values
            draft.state.base = "" if choice == str(desk.studio.base) else choice
            draft.state.epochs = None if rounds is None else int(rounds)
            draft.state.seed = int(number or 0)
        desk.jobs.start(draft, resume=resumed)
        return way.at(draft, 4)

    def change(token: str) -> list[Any]:
        draft = desk.drafts.of(token)
        desk.jobs.forget(draft)
        return [gr.Column(visible=True), *run_shown(None, ())]

    def tick(token: str, before_: tuple[Any, ...]) -> list[Any]:
        draft = desk.drafts.of(token)
        state = desk.jobs.state(draft)
        if state is not None and state.outcome == DONE and draft.state.step == 4:
            return [*way.at(draft, 5), *[gr.skip()] * len(run_outputs)]
        going = state is not None and state.outcome == RUNNING
        timer = gr.skip() if going else gr.Timer(active=False)
        return [gr.skip(), gr.skip(), timer, gr.skip(), *run_shown(state, before_)]

    start.click(told(begin, outputs=4), [way.visit, base, epochs, seed], way.outputs)
    resume.click(told(lambda token: begin(token, resumed=True), outputs=4), way.visit, way.outputs)
    stop.click(told(lambda token: _stop(desk, token)), way.visit, stop)
    again.click(told(change, outputs=1 + len(run_outputs)), way.visit, [before, *run_outputs])
    back.click(told(lambda token: way.at(desk.drafts.of(token), 3), outputs=4), way.visit, way.outputs)
    way.timer.tick(tick, [way.visit, seen], [*way.outputs, *run_outputs], show_progress="hidden")


def _settings(gr: Any, desk: Desk) -> tuple[Any, Any, Any]:
    """Base model, number of epochs and seed, in a collapsed section."""
    with gr.Accordion("Expert settings", open=False, elem_id="expert"):
        base = gr.Dropdown(label="Base", choices=base_choices(desk), elem_id="base", info=BASE_INFO)
        epochs = gr.Number(
            label="Rounds of training (epochs)",
            info=f"Left empty: {EPOCHS}.",
            precision=0,
            minimum=0,
            maximum=10_000,
            elem_id="epochs",
        )
        seed = gr.Number(label="Seed", info="The same clips and seed give the same voice.", precision=0, minimum=0)
    return base, epochs, seed


BASE_INFO = "The model that learns your voice. Kokoro-82M and nano speak with each other's voices."


def base_choices(desk: Desk) -> list[tuple[str, str]]:
    """The bases that a visitor can choose: the page's own, Kokoro and nano. Paths cannot be entered."""
    own = str(desk.studio.base)
    planned = planned_base(own, offline=desk.studio.offline) if own == AUTO else own
    named = {
        AUTO: f"Automatic ({'Kokoro-82M' if planned == AUTO else planned})",
        KOKORO: "Kokoro-82M (best sound)",
        NANO: "nano (small, plainer sound)",
    }
    return [*([] if own in named else [(own, own)]), *((title, name) for name, title in named.items())]


def run_shown(state: JobState | None, before: tuple[Any, ...]) -> list[Any]:
    """Updates of the components that show a run.

    Players whose file did not change are left alone, or playback would stop.
    """
    import gradio as gr

    if state is None:
        hidden = gr.HTML(visible=False)
        gone = [gr.Button(visible=False), gr.Row(visible=False), gr.Button(), gr.Accordion(visible=False)]
        return [hidden, hidden, *gone, "", "", ()]
    running = state.outcome == RUNNING
    now = (state.name, str(state.first), str(state.so_far), len(state.snapshot.losses))
    old = tuple(before) if before else ("", "", "", -1)
    html = _sounds(state)
    sounds = gr.skip() if now[:3] == old[:3] else gr.HTML(value=html, visible=bool(html))
    curve = gr.skip() if now == old else _curve(state)
    return [
        gr.HTML(value=_progress(state), visible=True),
        sounds,
        gr.skip() if running and before else gr.Button(visible=running, interactive=True),
        gr.Row(visible=not running and state.outcome != DONE),
        gr.Button(value=_again(state)),
        gr.Accordion(visible=bool(state.lines or state.snapshot.losses)),
        curve,
        f'<pre class="log" tabindex="0" aria-label="Log">{escape(chr(10).join(state.lines))}</pre>'
        if state.lines
        else "",
        now,
    ]


def _again(state: JobState) -> str:
    """Label of the button that starts an ended run again."""
    if state.outcome == FAILED:
        return "Try again"
    return "Go on" if state.learnt else "Start again"


def _summary(draft: Draft) -> str:
    clips = draft.usable()
    minutes = sum(clip.seconds for clip in clips) / 60
    return (
        f"<p>{len(clips)} clips, {minutes:.1f} minutes of speech, for the voice <b>{escape(draft.state.name)}</b>. "
        "You hear a first sound soon; the training then makes it better. You may close this page meanwhile: the work "
        "goes on, and you find it here again.</p>"
    )


def _progress(state: JobState) -> str:
    if state.position is None:
        return note(state.line, _KINDS.get(state.outcome, "unfit"), live=True)
    percent = round(100 * state.position.share)
    left = left_in_words(state.position.seconds_left)
    return (
        f'<div class="bar"><label for="bar">{escape(state.name)}: {escape(state.line)}</label>'
        f'<progress id="bar" max="100" value="{percent}">{percent} %</progress>'
        f'<p class="hint">{percent} %, {left}</p></div>'
    )


def _sounds(state: JobState) -> str:
    parts = []
    if state.first is not None:
        parts.append(player(state.first, "The first sound, before any training", elem_id="first-sound"))
    if state.so_far is not None and state.target is not None:
        target = player(state.target, "Your recording", elem_id="target")
        parts.append(side_by_side([(target, player(state.so_far, "The voice so far", elem_id="so-far"))]))
    return "".join(parts)


def _curve(state: JobState) -> str:
    """HTML of the loss curves as an embedded PNG."""
    import base64
    import io

    from matplotlib.ticker import MaxNLocator

    from voiceclone.plotting.plots import loss_figure

    if not state.snapshot.losses:
        return ""
    buffer = io.BytesIO()
    figure = loss_figure(state.snapshot.losses)
    figure.axes[0].set_xlabel("training step", fontsize=9)
    figure.axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.savefig(buffer, format="png", dpi=110)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="curve" alt="Loss of the training and of held-out clips" src="data:image/png;base64,{picture}">'


def _stop(desk: Desk, token: str) -> Any:
    import gradio as gr

    job = desk.jobs.of(desk.drafts.of(token))
    if job is not None:
        job.stop()
    return gr.Button(interactive=False)
