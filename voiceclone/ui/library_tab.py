"""The library tab: list, speak, mix, rename, delete and compare own voices and stock voices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError
from voiceclone.ui import shelf
from voiceclone.ui.comparison import compare, read_findings
from voiceclone.ui.desk import Desk, note
from voiceclone.ui.first_sound import TEXT
from voiceclone.ui.handlers import told
from voiceclone.ui.mix_box import MixBox, build_mix_box
from voiceclone.ui.player import player
from voiceclone.ui.step_result import verdict_html
from voiceclone.voice.library import own_voices

if TYPE_CHECKING:
    from voiceclone.ui.studio import Studio

OWN_SHOWN = 100


def build_library_tab(desk: Desk, tab: Any) -> None:
    """Build the tab and connect its events. The lists are filled whenever the tab is opened."""
    import gradio as gr

    gr.HTML("<h2>Voices</h2>")
    own = gr.Radio(label="Your voices", choices=[], visible=False, elem_id="own", elem_classes="cards")
    stock = gr.Dropdown(label="Stock voices", choices=[], value=None, elem_id="stock", info=STOCK_INFO)
    with gr.Column(visible=False, elem_id="chosen") as chosen:
        title = gr.HTML(elem_id="chosen-title")
        text = gr.Textbox(label="Text", value=TEXT, lines=2, elem_id="library-text", max_length=3000)
        speed = gr.Slider(0.5, 2.0, value=1.0, step=0.05, label="Speed")
        speak = gr.Button("Speak", variant="primary", elem_id="library-speak")
        spoken = gr.HTML(visible=False, elem_id="library-spoken")
        mix_box = build_mix_box(gr)
        with gr.Column(visible=False) as own_tools:
            tools = _own_tools(gr)
        with gr.Accordion("Card: how it was made", open=False, visible=False, elem_id="card") as card_box:
            card = gr.Markdown()
    voice = gr.State("")

    lists = [own, stock]
    view = [voice, chosen, title, card_box, card, own_tools, tools["downloads"], tools["name"], tools["sure"],
            tools["compare"], spoken, mix_box.other]  # fmt: skip

    def listed(value: str | None = None) -> list[Any]:
        return _listed(gr, desk, value)

    def show(name: str | None) -> list[Any]:
        if not name:
            return ["", gr.Column(visible=False), *[gr.skip()] * (len(view) - 2)]
        return [name, gr.Column(visible=True), *_details(gr, desk, name)]

    def choose_own(file: str) -> list[Any]:
        return [gr.Dropdown(value=None), *show(file)]

    def choose_stock(name: str | None) -> list[Any]:
        return [gr.Radio(value=None), *show(name)] if name else [gr.skip()] * (1 + len(view))

    tab.select(told(listed, outputs=2), None, lists)
    own.input(told(choose_own, outputs=1 + len(view)), own, [stock, *view])
    stock.input(told(choose_stock, outputs=1 + len(view)), stock, [own, *view])
    speak.click(told(lambda *values: _speak(gr, desk, *values)), [voice, text, speed], spoken)

    def renamed(file: str, name: str) -> list[Any]:
        path = str(shelf.rename(desk.studio, file, name))
        return [*listed(path), *show(path)]

    def deleted(file: str, sure: bool, recordings: bool) -> list[Any]:
        if not sure:
            raise UsageError("tick that you are sure: a deleted voice cannot be brought back")
        shelf.delete(desk.studio, file, recordings=recordings)
        return [*listed(), *show(None)]

    def compared(file: str) -> list[Any]:
        compare(desk.studio, shelf.own_voice(desk.studio.out, file).file)
        return [*listed(file), *show(file)]

    size = len(lists) + len(view)
    tools["rename"].click(told(renamed, outputs=size), [voice, tools["name"]], [*lists, *view])
    tools["delete"].click(told(deleted, outputs=size), [voice, tools["sure"], tools["recordings"]], [*lists, *view])
    tools["compare"].click(told(compared, outputs=size), voice, [*lists, *view])
    tools["form"].change(
        told(lambda file, form: _download(gr, desk, file, form)), [voice, tools["form"]], tools["downloads"]
    )

    _wire_mix(desk, mix_box, voice, text, lists, view, listed, show)


def _wire_mix(
    desk: Desk, mix_box: MixBox, voice: Any, text: Any, lists: list[Any], view: list[Any],
    listed: Callable[..., list[Any]], show: Callable[..., list[Any]],
) -> None:  # fmt: skip
    """Connect the buttons that play a mix and save it as a voice of the library."""

    def mixed(*values: Any) -> list[Any]:
        path = str(mix_box.save(desk, *values))
        return [*listed(path), *show(path)]

    mix_box.speak.click(
        told(lambda *values: mix_box.hear(desk, *values)), [voice, text, *mix_box.inputs], mix_box.spoken
    )
    size = len(lists) + len(view)
    mix_box.keep.click(told(mixed, outputs=size), [voice, mix_box.name, *mix_box.inputs], [*lists, *view])


def _listed(gr: Any, desk: Desk, value: str | None) -> list[Any]:
    """Updates of both lists, with ``value`` selected."""
    found = shelf.titles(desk.studio.out)[:OWN_SHOWN]
    return [
        gr.Radio(choices=found, value=value, visible=bool(found)),
        gr.Dropdown(choices=_stock_names(desk.studio), value=None),
    ]


STOCK_INFO = "Voices that come with the base: choose one to hear it."


def _own_tools(gr: Any) -> dict[str, Any]:
    """Components for cloned voices only: compare, rename, delete."""
    with gr.Accordion("Download", open=False, elem_id="library-download"):
        form = gr.Radio(label="Format", choices=list(shelf.DOWNLOADS), value=next(iter(shelf.DOWNLOADS)))
        downloads = gr.DownloadButton("Download", elem_id="library-file")
    with gr.Accordion("Compare with the recordings", open=False):
        gr.HTML("<p>How near the voice is to its speaker, how well it is understood, how fast it speaks. A minute.</p>")
        compare_ = gr.Button("Compare", elem_id="library-compare")
    with gr.Accordion("Rename or delete", open=False, elem_id="library-change"):
        name = gr.Textbox(label="New name", elem_id="new-name")
        rename = gr.Button("Rename", elem_id="rename")
        recordings = gr.Checkbox(label="Delete its recordings, too", value=True, elem_id="delete-recordings")
        sure = gr.Checkbox(label="I am sure that I want to delete this voice", elem_id="sure")
        delete = gr.Button("Delete", variant="stop", elem_id="delete")
    return {"form": form, "downloads": downloads, "compare": compare_, "name": name, "rename": rename,
            "recordings": recordings, "sure": sure, "delete": delete}  # fmt: skip


def _details(gr: Any, desk: Desk, name: str) -> list[Any]:
    """What is shown of the selected voice."""
    own = next((voice for voice in own_voices(desk.studio.out) if voice.file == name), None)
    others = [(title, file) for title, file in shelf.titles(desk.studio.out) if file != name]
    others += [(other, other) for other in _stock_names(desk.studio) if other != name]
    other = gr.Dropdown(choices=others, value=others[0][1] if others else None)
    hidden = gr.HTML(visible=False)
    if own is None:
        head = f"<h3>{name}</h3>" + note(f"A stock voice of {desk.studio.base_of(name)}.")
        return [
            head,
            gr.Accordion(visible=False),
            "",
            gr.Column(visible=False),
            gr.skip(),
            "",
            False,
            gr.skip(),
            hidden,
            other,
        ]
    found, card = read_findings(Path(own.file)), shelf.card_of(own)
    facts = f"Made on {own.date}" + (f" for the base {own.base}." if own.base else ".")
    head = verdict_html(own.name, found) + note(facts)
    path = shelf.export(desk.studio, own.file, "pt", desk.sounds.place())
    comparable = bool(desk.studio.clips_of(own.file))
    return [
        head,
        gr.Accordion(visible=bool(card)),
        card,
        gr.Column(visible=True),
        gr.DownloadButton(value=str(path)),
        own.name,
        False,
        gr.Button(interactive=comparable),
        hidden,
        other,
    ]


def _stock_names(studio: Studio) -> list[str]:
    own = set(studio.own_voices())
    return [voice for voice in studio.all_voices() if voice not in own]


def _known(desk: Desk, voice: str) -> str:
    """Check that a name is a voice of the library or a stock voice, so that a request cannot read any other file."""
    if voice not in desk.studio.all_voices():
        raise UsageError("this voice is not in the library any more: choose another")
    return voice


def _speak(gr: Any, desk: Desk, voice: str, text: str, speed: float) -> Any:
    path = desk.sounds.of_audio(desk.studio.audio(text, _known(desk, voice), speed=speed))
    return gr.HTML(value=player(path, "The voice", elem_id="library-sound"), visible=True)


def _download(gr: Any, desk: Desk, voice: str, title: str) -> Any:
    form, _ = shelf.DOWNLOADS[title]
    path = shelf.export(desk.studio, _known(desk, voice), form, desk.sounds.place())
    return gr.DownloadButton(value=str(path))
