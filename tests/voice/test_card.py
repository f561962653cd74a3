"""The voice's card: valid front matter, the right code snippet, and a clear statement of the base."""

import ast
import re

import pytest
import yaml

from voiceclone.voice.card import CardInfo, render_card

NANO_NOTICE = "This voice belongs to the nano base; stock Kokoro-82M cannot speak with it"


def info(**changes) -> CardInfo:
    plain = {"name": "my_voice", "base_name": "hexgrad/Kokoro-82M", "base_kind": "kokoro", "clips": 12}
    plain |= {"minutes": 1.42, "seed": 7}
    return CardInfo(**(plain | changes))


def front_matter(card: str) -> dict:
    assert card.startswith("---\n")
    return yaml.safe_load(card.split("---\n")[1])


def snippet(card: str) -> str:
    return re.search(r"^(`{3,})python\n(.*?)\n\1$", card, re.DOTALL | re.MULTILINE)[2]


def test_stock_card_loads_with_the_stock_pipeline_and_has_no_warning():
    card = render_card(info(language="b"))
    assert front_matter(card) == {
        "tags": ["kokoro", "text-to-speech", "voice"],
        "pipeline_tag": "text-to-speech",
        "language": ["en"],
        "base_model": "hexgrad/Kokoro-82M",
        "license": "unknown",
    }
    assert "cannot speak" not in card
    code = snippet(card)
    ast.parse(code)
    assert 'KPipeline(lang_code="b", repo_id="hexgrad/Kokoro-82M")' in code
    assert 'voice="my_voice.pt"' in code
    assert "voiceclone" not in code


def test_nano_card_says_so_before_anything_else():
    card = render_card(info(base_name="nano 1", base_kind="nano"))
    assert NANO_NOTICE in card
    assert card.index(NANO_NOTICE) < card.index("## Use")
    assert "base_model" not in front_matter(card)
    code = snippet(card)
    ast.parse(code)
    assert 'voiceclone.load_base("nano").pipeline("a")' in code
    assert "KPipeline(" not in code


def test_custom_base_is_named_and_loaded_from_its_folder():
    card = render_card(info(base_name="mine", base_kind="custom", base='/bases/with "quotes"'))
    assert "belongs to the base mine; stock Kokoro-82M cannot speak with it" in card
    call = next(node for node in ast.walk(ast.parse(snippet(card))) if getattr(node, "attr", "") == "load_base")
    assert call
    assert '/bases/with \\"quotes\\"' in snippet(card)


def test_consent_is_stated_either_way():
    assert "\nconsent: not stated\n" in render_card(info())
    assert "\nconsent: Ann, in writing, 3 May\n" in render_card(info(consent="Ann, in writing,\n3 May"))


def test_facts_and_metrics():
    card = render_card(
        info(
            metrics_before={"mel_mse": 0.51234567, "lost": 1.0},
            metrics_after={"mel_mse": 0.3, "new": float("nan")},
            versions={"torch": "2.11.0"},
            base_sha256="ab" * 32,
            extra={"speed": 1.05},
        )
    )
    for row in (
        "| metric | before | after |",
        "| mel_mse | 0.5123 | 0.3 |",
        "| lost | 1 |  |",
        "| new |  | not finite |",
        "| torch | 2.11.0 |",
        "| source | 12 clips (1.4 minutes) |",
        "| seed | 7 |",
        "| language | American English (code a) |",
        f"| sha256 of the base | {'ab' * 32} |",
        "| speed | 1.05 |",
    ):
        assert f"\n{row}\n" in card


def test_one_clip_is_singular_and_absent_parts_leave_nothing():
    card = render_card(info(clips=1))
    assert "1 clip (" in card
    assert "## Metrics" not in card and "## Notices" not in card and "## Versions" not in card
    assert "dataset fingerprint" not in card


@pytest.mark.parametrize("licence", ["cc-by-4.0", 'mine: "all" rights\n- x'])
def test_licences_survive_the_front_matter(licence):
    matter = front_matter(render_card(info(licence=licence)))
    if licence == "cc-by-4.0":
        assert matter["license"] == licence
    else:
        assert (matter["license"], matter["license_name"]) == ("other", licence)


def test_texts_are_escaped():
    card = render_card(info(name="x`*_y_*`", consent="<script>\n# head | pipe", extra={"a|b": "c|d\nrow"}))
    assert "<script>" not in card
    assert "\n# head" not in card
    assert "| a\\|b | c\\|d row |" in card
    assert "# x\\`\\*\\_y\\_\\*\\`" in card
    ast.parse(snippet(card))


def test_unknown_language_is_left_out_of_the_front_matter():
    card = render_card(info(language="q"))
    assert "language" not in front_matter(card)
    assert "| language | q |" in card
