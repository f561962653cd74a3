"""Config files: JSON and YAML, numbers and characters as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voiceclone.cloning.batch.local import settings_of
from voiceclone.cloning.config import CloneConfig, dump, merge, read_config_file
from voiceclone.files import write_json


@pytest.mark.parametrize("data", ["clips", "clips/Anna \U0001f600", "clips/\udcff"], ids=["plain", "emoji", "bytes"])
def test_a_clone_of_a_batch_reads_the_settings_it_was_given(data: str, tmp_path: Path) -> None:
    config = CloneConfig(data=data, lr_projection=5e-5, consent="ja, \U0001f44d")
    write_json(tmp_path / "config.json", settings_of(config))
    assert merge({"resume": ""}, read_config_file(tmp_path / "config.json")) == CloneConfig(
        **{**config.as_dict(), "resume": ""}
    )


def test_a_dumped_config_is_read_again(tmp_path: Path) -> None:
    config = CloneConfig(data="clips", lr_projection=5e-5, consent="\U0001f44d")
    (tmp_path / "config.json").write_text(dump(config))
    assert merge({}, read_config_file(tmp_path / "config.json")) == config


@pytest.mark.parametrize(
    ("written", "value"),
    [("2e-3", 2e-3), ("5E-05", 5e-5), ("1.5e3", 1500.0), ("+2.e0", 2.0), (".5e-2", 5e-3), ("0.002", 2e-3), ("3", 3)],
)
def test_numbers_of_yaml_are_numbers(written: str, value: float, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"\ufefflr-projection: {written}  # a comment\n", encoding="utf-8")
    assert read_config_file(path) == {"lr-projection": value}


@pytest.mark.parametrize("text", ["e5", "2e", "v2e-3", "1e2x", "2e-3-b", "'2e-3'"])
def test_text_of_yaml_is_text(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"name: {text}\n")
    assert read_config_file(path) == {"name": text.strip("'")}


def test_the_escapes_of_json_are_read_as_one_character(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"consent": "\U0001f600", "lr_projection": 5e-5}))
    assert read_config_file(path) == {"consent": "\U0001f600", "lr_projection": 5e-5}
