"""``--help``: valid examples, defaults, grouped flags; and the output without a command."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from voiceclone.cli.help import EXAMPLES, GROUPS, CommandParser, summary_sentence
from voiceclone.cli.main import COMMANDS, _parser, main


def help_of(command: str) -> str:
    return parser_of(command).format_help()


def parser_of(command: str) -> CommandParser:
    parser = _parser([command], None)
    return next(a for a in parser._actions if getattr(a, "choices", None)).choices[command]


def test_without_a_command_the_path_is_five_lines(capsys) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    commands = [re.match(r"\d\. voiceclone ([a-z-]+) ", line)[1] for line in lines]
    assert commands == ["prepare", "clone", "say", "evaluate", "export"]
    assert max(map(len, lines)) <= 100
    for line in lines:
        words = shlex.split(line.split("  ")[0])[2:]
        assert callable(_parser(words, None).parse_args(words).run)


def test_every_command_has_one_example_that_parses() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    for command, example in EXAMPLES.items():
        words = shlex.split(example)
        assert words[:2] == ["voiceclone", command]
        assert callable(_parser(words[1:], None).parse_args(words[1:]).run)
        text = help_of(command)
        assert text.count("example:") == 1 and text.rstrip().endswith(example)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_defaults_are_shown_and_every_flag_has_help_and_a_group(command: str) -> None:
    parser = parser_of(command)
    in_groups = [action for group in parser._action_groups if group.title in GROUPS for action in group._group_actions]
    assert sorted(map(id, in_groups)) == sorted(map(id, parser._actions))
    for action in parser._actions:
        assert action.help, action
        if action.default not in (None, False, argparse.SUPPRESS) and action.default != []:
            said = action.help.split("(default: ")[-1]
            assert "(default" in action.help and str(action.default).removesuffix(".0") in said, action


def test_clone_shows_the_defaults_that_a_config_file_may_replace() -> None:
    text = " ".join(help_of("clone").split())
    assert "(default: 30; 80 on nano before --finish; with --recipe plain 60 on Kokoro-82M" in text
    assert "(default: 0.002 on Kokoro-82M, 0.004 on other bases, 0.001 with --finish or --recipe plain)" in text
    assert "0: on the base alone (default: 0)" in text
    assert "name of the voice (default: my_voice)" in text


def test_titles_stand_in_one_order() -> None:
    for command in COMMANDS:
        titles = [title for title in re.findall(r"^([a-z][^\n:]*):$", help_of(command), re.M) if title != "example"]
        assert titles == [title for title in GROUPS if title in titles] and titles, command


def test_names_keep_their_capitals() -> None:
    assert (
        summary_sentence("write a voice for kokoro-onnx, from Kokoro") == "Write a voice for kokoro-onnx, from Kokoro."
    )
    assert "Fetch the real Kokoro and StyleTTS2 files into the Hub cache." in help_of("download")
    assert "kokoro-format" not in help_of("train-base")


def test_a_wrong_flag_is_said_by_its_own_command(capsys) -> None:
    for arguments in (["say", "hi", "--nonsense"], ["mix", "a", "b", "--out", "c.pt"], ["export"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        line = capsys.readouterr().err
        assert stop.value.code == 2 and line.count("\n") == 1
        assert (
            line.startswith(f"voiceclone {arguments[0]}: error: ") and f"(see voiceclone {arguments[0]} --help)" in line
        )
    with pytest.raises(SystemExit):
        main(["clone", "--nonsense"], program="training_styletts2.py")
    assert capsys.readouterr().err.startswith("training_styletts2.py: error: unrecognized arguments: --nonsense")
