"""``voiceclone train-base`` as a command."""

from pathlib import Path

import pytest

from voiceclone.cli.main import main
from voiceclone.files import held


@pytest.mark.parametrize("further", [[], ["--resume"], ["--overwrite"]])
def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path, capsys, further: list[str]) -> None:
    out = tmp_path / "run"
    with held(out, instead="--out"):
        call = ["train-base", "--data", str(tmp_path), "--out", str(out), "--steps", "1", "--preset", "tiny"]
        assert main([*call, *further]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "another run is writing to" in last and str(out) in last
    assert not out.exists()


@pytest.mark.parametrize("share", ["0", "-1"])
def test_a_surrogate_share_that_is_not_positive_is_refused_before_training(tmp_path: Path, capsys, share: str) -> None:
    call = ["train-base", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--steps", "1", "--preset", "tiny"]
    assert main([*call, f"--surrogate-share={share}"]) == 2
    assert f"--surrogate-share {share}: use a number greater than 0" in capsys.readouterr().err
