"""A name is claimed by one voice: no recordings, no mix and no run of another visitor are overwritten or taken over."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import write_dataset

from voiceclone.bases.base import load_stock_voices
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import TEMPORARY_PREFIX
from voiceclone.ui import comparison, shelf
from voiceclone.ui import jobs as jobs_module
from voiceclone.ui.draft import Draft, DraftClip, Drafts
from voiceclone.ui.job import DONE, FAILED, STOPPED, Job
from voiceclone.ui.jobs import Jobs
from voiceclone.ui.names import CLAIM, claim, new_folder
from voiceclone.ui.studio import Studio
from voiceclone.voice.card import CardInfo, render_card
from voiceclone.voice.library import own_voices


@pytest.fixture
def studio(tmp_path: Path, base_folder: Path) -> Studio:
    return Studio(tmp_path / "out", base=str(base_folder), offline=True)


def add_voice(studio: Studio, name: str, *, data: Path | None = None) -> str:
    """A voice of the library; its recordings are those the page copied, unless ``data`` names others."""
    folder = studio.out / name
    if data is None:
        data = write_dataset(studio.out / "datasets" / name)
    load_stock_voices(studio.base)["stock_1"].save(folder / f"{name}.pt")
    (folder / "report.json").write_text(json.dumps({"name": name}))
    (folder / "config.json").write_text(json.dumps({"name": name, "data": str(data)}))
    return str(folder / f"{name}.pt")


def visitor(studio: Studio, name: str) -> Draft:
    """A visitor with three clips, who is ready to make a voice."""
    draft = Drafts(studio.out).of(None)
    for number in range(3):
        clip = DraftClip(file=f"clip_{number}.wav", label="a", text="Hello there.")
        draft.path_of(clip).parent.mkdir(parents=True, exist_ok=True)
        draft.path_of(clip).write_bytes(draft.token.encode())
        draft.clips.append(clip)
    draft.state.agreed, draft.state.person, draft.state.name = True, "Anna", name
    return draft


def recordings(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.glob("*/*.wav")}


def leftovers(out: Path) -> list[Path]:
    return list(out.glob(f"{TEMPORARY_PREFIX}*"))


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How the next run ends, instead of training: before its process has written anything, or with a voice."""
    outcome = [STOPPED]

    def run(job: Job) -> None:
        if outcome[0] == DONE:
            job.folder.voice.touch()
            job.folder.report.write_text("{}")
        job._end(outcome[0], "")

    monkeypatch.setattr(Job, "_run", run)
    return outcome


def finish(jobs: Jobs, draft: Draft, *, resume: bool = False) -> None:
    jobs.start(draft, resume=resume)._thread.join(30)


def test_the_recordings_follow_a_renamed_voice(studio: Studio) -> None:
    me = add_voice(studio, "me")
    before = recordings(studio.out / "datasets" / "me")
    renamed = str(shelf.rename(studio, me, "me_old"))
    assert json.loads((studio.out / "me_old" / "config.json").read_text()) == {
        "name": "me_old", "data": str(studio.out / "datasets" / "me_old"),
    }  # fmt: skip
    jobs_module.check_draft_name(studio, visitor(studio, "me"), "me")  # nothing of the renamed voice bears the name
    assert len(studio.clips_of(renamed)) == 4 and recordings(studio.out / "datasets" / "me_old") == before
    me = add_voice(studio, "me")
    shelf.delete(studio, renamed, recordings=True)
    assert len(studio.clips_of(me)) == 4 and not (studio.out / "datasets" / "me_old").exists()
    assert not leftovers(studio.out)


def test_a_renamed_voice_keeps_its_recordings_where_the_page_is_started_elsewhere(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    studio = Studio(Path("out"), base=str(base_folder), offline=True)
    renamed = shelf.rename(studio, add_voice(studio, "anna"), "berta")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    elsewhere = Studio(tmp_path / "out", base=str(base_folder), offline=True)
    assert len(elsewhere.clips_of(str(renamed))) == 4 and shelf.has_recordings(elsewhere, str(renamed))
    shelf.delete(elsewhere, str(renamed), recordings=True)
    assert not (tmp_path / "out" / "datasets" / "berta").exists()


def test_a_comparison_does_not_bring_back_a_voice_that_was_renamed_meanwhile(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = add_voice(studio, "anna")

    def measured(*_: Any, **__: Any) -> comparison.Findings:
        if (studio.out / "anna").exists():
            shelf.rename(studio, anna, "berta")
        return comparison.Findings(clone=0.8, stranger=0.4, recordings=0.9)

    monkeypatch.setattr(Studio, "audio", lambda *_, **__: np.zeros(2400, np.float32))
    monkeypatch.setattr(comparison, "_others", lambda *_: {})
    monkeypatch.setattr(comparison, "measure_clone", measured)
    comparison.compare(studio, anna)
    assert not (studio.out / "anna").exists() and not (studio.out / "berta" / "comparison.json").exists()
    comparison.compare(studio, str(studio.out / "berta" / "berta.pt"))
    assert (studio.out / "berta" / "comparison.json").exists()


def test_voices_that_are_gone_are_left_out_of_the_library(studio: Studio) -> None:
    anna = add_voice(studio, "anna")
    (studio.out / "lost").mkdir()
    (studio.out / "lost" / "lost.pt").symlink_to(studio.out / "unmounted" / "lost.pt")
    assert studio.own_voices() == [anna] and [voice.file for voice in own_voices(studio.out)] == [anna]


def test_the_card_has_the_new_name(studio: Studio) -> None:
    me = add_voice(studio, "anna_1")
    info = CardInfo(name="anna_1", base_name="Kokoro-82M", base_kind="kokoro", clips=3, minutes=1.0, seed=0)
    (studio.out / "anna_1" / "README.md").write_text(render_card(info) + "\nRead by anna_1.\n")
    renamed = shelf.rename(studio, me, "berta")
    assert (renamed.parent / "README.md").read_text() == (
        render_card(dataclasses.replace(info, name="berta")) + "\nRead by anna_1.\n"
    )
    shelf.rename(studio, str(renamed), "carla")
    (studio.out / "carla" / "README.md").write_text("# berta\n\nMy own notes.\n")
    renamed = shelf.rename(studio, str(studio.out / "carla" / "carla.pt"), "dora")
    assert (renamed.parent / "README.md").read_text() == "# berta\n\nMy own notes.\n"


def test_kept_recordings_keep_their_name(studio: Studio, ends: list[str]) -> None:
    anna, berta = add_voice(studio, "anna"), add_voice(studio, "berta")
    before = recordings(studio.out / "datasets" / "anna")
    shelf.delete(studio, anna, recordings=False)
    with pytest.raises(UsageError, match="recordings of an earlier voice anna"):
        Jobs(studio).start(visitor(studio, "anna"))
    with pytest.raises(UsageError, match="recordings of an earlier voice anna"):
        shelf.rename(studio, berta, "anna")
    assert recordings(studio.out / "datasets" / "anna") == before and Path(berta).is_file()


def test_the_visitor_who_deleted_a_voice_does_not_overwrite_its_recordings_either(
    studio: Studio, ends: list[str]
) -> None:
    jobs, draft = Jobs(studio), visitor(studio, "anna")
    ends[0] = DONE
    finish(jobs, draft)
    finish(jobs, draft)  # one's own voice can be made again
    (studio.out / "anna" / "config.json").write_text(json.dumps({"data": str(studio.out / "datasets" / "anna")}))
    shelf.delete(studio, str(studio.out / "anna" / "anna.pt"), recordings=False)
    with pytest.raises(UsageError, match="recordings of an earlier voice anna"):
        jobs.start(draft)


def test_recordings_of_two_voices_are_neither_moved_nor_deleted(studio: Studio) -> None:
    """Earlier versions left a renamed voice's recordings where the next voice of that name put its own."""
    me = add_voice(studio, "me")
    old = add_voice(studio, "me_old", data=studio.out / "datasets" / "me")
    old = str(shelf.rename(studio, old, "older"))
    assert len(studio.clips_of(old)) == len(studio.clips_of(me)) == 4
    shelf.delete(studio, old, recordings=True)
    assert len(studio.clips_of(me)) == 4
    shelf.delete(studio, me, recordings=True)
    assert not (studio.out / "datasets" / "me").exists()


def test_a_voice_whose_recordings_cannot_be_moved_keeps_its_name(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, rename = add_voice(studio, "me"), Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.parent.name == "datasets":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(VoicecloneError, match="Permission denied"):
        shelf.rename(studio, me, "you")
    assert len(studio.clips_of(me)) == 4 and not (studio.out / "you").exists() and not leftovers(studio.out)


def test_an_interrupted_renaming_leaves_voice_and_recordings(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the recordings are moved: the new name can be deleted, and the voice renamed again."""
    me = add_voice(studio, "me")

    def killed(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "_move_recordings", killed)
        with pytest.raises(KeyboardInterrupt):
            shelf.rename(studio, me, "you")
    assert len(studio.clips_of(me)) == 4
    shelf.delete(studio, str(studio.out / "you" / "you.pt"), recordings=True)
    assert len(studio.clips_of(str(shelf.rename(studio, me, "you")))) == 4


@pytest.mark.parametrize("name", ["datasets", "Datasets", "unfinished", "kept"])
def test_a_mix_does_not_get_a_name_that_is_taken(studio: Studio, name: str) -> None:
    write_dataset(studio.out / "datasets" / "kept")
    claim(studio.out, "unfinished", "t")
    with pytest.raises(UsageError, match="choose another name"):
        studio.save_mix(name, ("stock_0", "stock_1"), 0.5, 0.5)
    assert not list(studio.out.glob("*/*.pt"))


def test_a_voice_in_the_folder_of_the_recordings_is_not_deleted_with_them(studio: Studio) -> None:
    """Earlier versions saved a mix called like that folder."""
    add_voice(studio, "anna")
    load_stock_voices(studio.base)["stock_1"].save(studio.out / "datasets" / "datasets.pt")
    mix = str(studio.out / "datasets" / "datasets.pt")
    for change in (lambda: shelf.delete(studio, mix, recordings=True), lambda: shelf.rename(studio, mix, "half")):
        with pytest.raises(UsageError, match="recordings of all voices"):
            change()
    assert len(studio.clips_of(str(studio.out / "anna" / "anna.pt"))) == 4


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(studio: Studio) -> None:
    with pytest.raises(UsageError, match="already"), new_folder(studio.out, "anna") as folder:
        (folder / "anna.pt").touch()
        claim(studio.out, "anna", "t")
    assert [path.name for path in (studio.out / "anna").iterdir()] == [CLAIM] and not leftovers(studio.out)


def test_a_run_keeps_its_name_before_it_has_written_anything(studio: Studio, ends: list[str]) -> None:
    jobs, first, second = Jobs(studio), visitor(studio, "anna"), visitor(studio, "anna")
    finish(jobs, first)
    with pytest.raises(UsageError, match="already"):
        jobs.start(second)
    assert jobs.state(first).outcome == STOPPED and Jobs(studio).state(first).outcome == STOPPED
    ends[0] = DONE
    finish(jobs, first, resume=True)
    assert Jobs(studio).state(first).outcome == DONE
    assert recordings(studio.out / "datasets" / "anna") == {first.token.encode()}


def test_the_voice_of_another_visitor_is_neither_replaced_nor_shown_as_ones_own(
    studio: Studio, ends: list[str]
) -> None:
    """The first visitor's voice is renamed in the library; a second one then makes another under its first name."""
    jobs, first, second = Jobs(studio), visitor(studio, "anna"), visitor(studio, "anna")
    ends[0] = DONE
    finish(jobs, first)
    shelf.rename(studio, str(studio.out / "anna" / "anna.pt"), "berta")
    (studio.out / "datasets" / "anna").rename(studio.out / "datasets" / "berta")  # this run has written no config
    finish(jobs, second)
    assert jobs.state(second).outcome == DONE
    assert "renamed or deleted" in jobs.state(first).line and Jobs(studio).state(first) is None
    for name in ("anna", "berta"):
        first.state.name = name
        with pytest.raises(UsageError, match="already"):
            jobs.start(first, resume=True)
    assert recordings(studio.out / "datasets" / "anna") == {second.token.encode()}


def test_a_run_whose_clips_cannot_be_copied_has_failed(
    studio: Studio, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, draft = Jobs(studio), visitor(studio, "anna")

    def full(*arguments: object) -> None:
        raise VoicecloneError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("voiceclone.ui.job.make_dataset", full)
        with pytest.raises(VoicecloneError, match="full"):
            jobs.start(draft)
    assert (jobs.state(draft).outcome, jobs.state(draft).line) == (FAILED, "the disk is full")
    finish(jobs, draft)
    assert jobs.state(draft).outcome == STOPPED
