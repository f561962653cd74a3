"""Logic of the steps: drafts, clip verdicts, consent, progress, runs, library, security middleware."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import write_dataset

from voiceclone.audio.io import write_wav
from voiceclone.bases.base import load_stock_voices
from voiceclone.bases.stock_names import KOKORO, NANO
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.data.quality import Measurement
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.recording.sentences import SENTENCES
from voiceclone.ui import draft as drafts_module
from voiceclone.ui import intake, shelf, whisper
from voiceclone.ui.clip_words import FAIR, GOOD, UNFIT, in_words, judge_clip
from voiceclone.ui.consent import SENTENCE, consent_text
from voiceclone.ui.draft import MAX_DAYS, Draft, DraftClip, Drafts
from voiceclone.ui.job import Job, _planned_epochs, _stopped_line, digest_of
from voiceclone.ui.jobs import Jobs, check_draft_name
from voiceclone.ui.listed import ROWS, ListedClips, keep_texts
from voiceclone.ui.names import claim
from voiceclone.ui.player import player
from voiceclone.ui.progress import COMPARE, FIRST, Gauge, left_in_words
from voiceclone.ui.shield import Shield, without_outside
from voiceclone.ui.sounds import Sounds
from voiceclone.ui.step_clone import _again
from voiceclone.ui.studio import Studio
from voiceclone.voice.formats import read_voices


def speech(seconds: float = 2.0, *, level: float = 0.2) -> np.ndarray:
    """Bursts of noise with pauses, which the measurements accept as clear speech."""
    rng, time = np.random.default_rng(0), np.arange(int(24_000 * seconds)) / 24_000
    return (level * rng.normal(size=len(time)).clip(-3, 3) * (np.sin(2 * np.pi * 1.5 * time) > 0)).astype(np.float32)


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Drafts(tmp_path / "out").of(None)


def test_each_fault_is_named_with_its_cost() -> None:
    known = {"seconds": 2.0, "clipped": 0.0, "bandwidth_hz": 12_000.0}
    assert in_words(Measurement(**known), 45.0).grade == GOOD
    for measured, snr, grade, words in (
        (Measurement(**known), 10.0, FAIR, "Noisy: the noise would be cloned"),
        (Measurement(**known | {"clipped": 0.005}), 45.0, FAIR, "a little harsh"),
        (Measurement(**known | {"bandwidth_hz": 7_800.0}), 45.0, FAIR, "up to 8 kHz only, as a 16 kHz recording"),
        (Measurement(**known | {"bandwidth_hz": 3_400.0}), None, FAIR, "as over a telephone"),
        (Measurement(problem="too quiet: loud frames at -60 dBFS"), None, UNFIT, "Too quiet: the hiss"),
        (Measurement(problem="clipped: 3 % of the samples"), None, UNFIT, "Distorted"),
        (Measurement(problem="strange: new"), None, UNFIT, "Strange: new."),
    ):
        verdict = in_words(measured, snr)
        assert verdict.grade == grade and words in verdict.words, measured


def test_a_file_that_is_no_sound_is_unfit(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    assert judge_clip(tmp_path / "a.wav").grade == UNFIT


def test_a_draft_is_found_again_by_its_token_alone(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path)
    first = drafts.of("")
    assert not first.folder.exists()  # a visitor without input leaves no files
    write_wav(tmp_path / "a.wav", speech())
    first.add(tmp_path / "a.wav", "a.wav", " Good  morning. ")
    first.state.name = "anna"
    first.save()
    again = Drafts(tmp_path).of(first.token)
    assert again.token == first.token and again.state.name == "anna"
    assert [(clip.text, clip.usable) for clip in again.clips] == [("Good morning.", True)]
    for guess in ("../anna", "A" * 24, None, 7, first.token + "x"):
        other = Drafts(tmp_path).of(guess)
        assert other.token != first.token and not other.clips and not other.folder.exists()
    restarted = Drafts(tmp_path)  # a page that was opened before has the token of a visitor who had stored nothing
    assert restarted.of("A" * 24) is restarted.of("A" * 24)
    again.clear()
    assert not first.folder.exists()


def test_a_damaged_draft_is_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / ".drafts" / ("A" * 24)
    folder.mkdir(parents=True)
    for content in ("{", "[]", '{"clips": [{"nonsense": 1}]}', '{"clips": 7}'):
        (folder / "draft.json").write_text(content)
        assert Drafts(tmp_path).of("A" * 24).clips == []


def test_uploads_are_bounded(draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(tmp_path / "a.wav", speech())
    monkeypatch.setattr(drafts_module, "MAX_TOTAL_BYTES", 150_000)
    draft.add(tmp_path / "a.wav", "a", "x")
    with pytest.raises(UsageError, match="the clips have more than"):
        draft.add(tmp_path / "a.wav", "b", "x")
    monkeypatch.setattr(drafts_module, "MAX_CLIPS", 1)
    with pytest.raises(UsageError, match="1 clips are the most"):
        draft.add(tmp_path / "a.wav", "c", "x")
    assert len(draft.clips) == 1


def test_old_drafts_are_removed(draft: Draft, tmp_path: Path) -> None:
    draft.save()
    drafts = Drafts(tmp_path / "out")
    written = (draft.folder / "draft.json").stat().st_mtime
    stopped = draft.folder.with_name("B" * 24)  # while its first clip was copied
    (stopped / "clips").mkdir(parents=True)
    drafts.sweep(written + (MAX_DAYS - 1) * 86_400)
    assert draft.folder.is_dir() and stopped.is_dir()
    drafts.sweep(written + (MAX_DAYS + 1) * 86_400)
    assert not draft.folder.exists() and not stopped.exists()


def test_a_sentence_is_recorded_again_until_it_passes(draft: Draft, tmp_path: Path) -> None:
    write_wav(tmp_path / "quiet.wav", speech(level=0.0005))
    assert intake.add_reading(draft, 3, tmp_path / "quiet.wav").grade == UNFIT and not draft.clips
    for seconds in (2.0, 3.0):
        write_wav(tmp_path / "good.wav", speech(seconds))
        intake.add_reading(draft, 3, tmp_path / "good.wav")
    assert [clip.text for clip in draft.clips] == [SENTENCES[3]] and draft.clips[0].seconds > 2.2
    assert intake.readings_done(draft) == {3}
    assert [intake.next_sentence(draft, after) for after in (-1, 2, 19)] == [0, 4, 0]
    assert len(list((draft.folder / "clips").iterdir())) == 1


def test_files_come_with_their_texts(draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wav(tmp_path / "b.wav", speech())
    (tmp_path / "b.txt").write_text("From a file.")
    intake.add_files(draft, [tmp_path / "b.wav", tmp_path / "b.txt"])
    assert [(clip.label, clip.text) for clip in draft.clips] == [("b.wav", "From a file.")]
    with pytest.raises(UsageError, match="no sound among the files"):
        intake.add_files(draft, [tmp_path / "b.txt"])
    folder = write_dataset(tmp_path / "ds", clips=3)
    with monkeypatch.context() as patch:
        patch.setattr(intake, "MAX_CLIPS", 2)
        with pytest.raises(UsageError, match="2 are the most that the page takes"):
            intake.add_folder(draft, folder)
    assert len(draft.clips) == 1
    clips = intake.add_folder(draft, folder)
    assert len(clips) == 3 and all(clip.text for clip in clips)


def test_a_long_recording_without_text_needs_whisper(draft: Draft, tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", speech(5.0))
    with pytest.raises(UsageError, match="what is said in the recording is missing"):
        intake.add_long(draft, tmp_path / "talk.wav", " ", model=None, lang="a", say=print)


def test_a_long_recording_becomes_clips(draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from talks import SENTENCES as SPOKEN
    from talks import speak_talk

    talk = speak_talk(tmp_path / "talk.flac", SPOKEN[:6])
    intake.add_long(draft, tmp_path / "talk.flac", talk.text, model=None, lang="a", say=pytest.fail)
    assert len(draft.clips) >= 2 and all(clip.usable for clip in draft.clips)
    found, said = len(draft.clips), []
    monkeypatch.setattr(intake, "MAX_CLIPS", found + 1)
    intake.add_long(draft, tmp_path / "talk.flac", talk.text, model=None, lang="a", say=said.append)
    assert len(draft.clips) == found + 1 and f"first 1 of {found} clips" in said[0]


def test_why_a_long_recording_gives_no_clip_is_said_without_files_that_are_gone(
    draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(sources: list[Path], out: Path, config: Any) -> None:
        raise VoicecloneError(f"no usable clip (first: recording.wav: silent): {out / 'report.json'} lists every clip")

    monkeypatch.setattr("voiceclone.prepare.run.prepare_dataset", nothing)
    write_wav(tmp_path / "talk.wav", speech())
    with pytest.raises(VoicecloneError, match=r"^no usable clip \(first: recording.wav: silent\)$"):
        intake.add_long(draft, tmp_path / "talk.wav", "Hello.", model=None, lang="a", say=print)


def test_without_whisper_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "is_installed", lambda extra: False)
    found = whisper.find_whisper("a", offline=True)
    assert found.model is None and "pip install '.[transcribe]'" in found.line


def test_whisper_fills_in_what_has_no_text(draft: Draft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voiceclone.prepare.subtitles import Cue

    for name, text in (("a", "Mine."), ("b", "")):
        write_wav(tmp_path / f"{name}.wav", speech())
        draft.add(tmp_path / f"{name}.wav", name, text)
    monkeypatch.setattr(whisper, "_loaded", lambda model: model)
    heard = [Cue(start=0.0, end=1.0, text="Heard"), Cue(start=1.0, end=2.0, text="it.")]
    monkeypatch.setattr("voiceclone.prepare.recognition.recognise", lambda *arguments: heard)
    assert whisper.fill_in(draft, "tiny", "a") == 1
    assert [clip.text for clip in draft.clips] == ["Mine.", "Heard it."]


def test_consent_is_a_ticked_sentence_and_a_name() -> None:
    line = consent_text(" Anna  Example ", True, date(2026, 3, 1))
    assert line == f'Anna Example: "{SENTENCE}" (confirmed on the voiceclone page, 2026-03-01)'
    for person, agreed, says in (("Anna", False, "without consent"), (" ", True, "name is missing")):
        with pytest.raises(UsageError, match=says):
            consent_text(person, agreed, date(2026, 3, 1))


def test_the_bar_only_goes_forward_and_the_time_follows_the_pace() -> None:
    now = [0.0]
    gauge = Gauge(clips=10, epochs=10, clock=lambda: now[0])
    lines = ["Checking clips: 10 clips in 2.0 s", "Style extraction: 8/8 clips in 0.3 s (1 clips/s)"]
    seen = [gauge.read(FIRST, [], 0), gauge.read("", lines[:1], 0), gauge.read("", lines, 0)]
    now[0] = 20.0
    seen.append(gauge.read("", [*lines, "Initialization and alignment: 35/70 steps, 3.4 steps/s, 13 s left"], 0))
    seen.append(gauge.read("", lines, 1))
    now[0] = 60.0  # ten seconds for each of four rounds
    seen.append(gauge.read("", lines, 5))
    training = seen[-1]
    seen.append(gauge.read("", [*lines, "Projection: 10/10 epochs in 90 s (9 s/epoch)"], 10))
    seen.append(gauge.read(COMPARE, [], 10))
    shares = [position.share for position in seen]
    assert shares == sorted(shares) and 0.0 <= shares[0] < shares[-1] < 1.0
    assert "round 5 of at most 10" in training.doing
    # Half of the rounds are left at ten seconds each; what follows takes as many times its cost as a round does.
    assert training.seconds_left == pytest.approx(50.0 + 34.0 * 10.0 / 3.0)
    assert seen[-1].seconds_left == pytest.approx(30.0 * 10.0 / 3.0)


def test_no_time_is_told_before_a_round_of_training_was_timed() -> None:
    now = [0.0]
    gauge = Gauge(clips=10, epochs=10, clock=lambda: now[0])
    for line in ("Checking clips: 3/10 clips, 1 s left", "Initialization and alignment: 35/70 steps, 13 s left"):
        now[0] += 100.0
        assert gauge.read("", [line], 0).seconds_left is None
    lines = ["Initialization and alignment: 70/70 steps in 100 s (1 s/step)"]
    assert gauge.read("", lines, 6).seconds_left is None  # a resumed run: these rounds were not watched
    now[0] += 10.0
    assert gauge.read("", lines, 6).seconds_left is None
    now[0] += 10.0
    first = gauge.read("", lines, 7).seconds_left
    assert first is not None and first > 60.0
    now[0] += 15.0  # between two rounds the time goes down
    assert gauge.read("", lines, 7).seconds_left == pytest.approx(first - 15.0)


def test_the_number_of_rounds_is_that_of_the_base_unless_it_is_given() -> None:
    for base, rounds in ((KOKORO, 30), (NANO, 30)):
        assert _planned_epochs(CloneConfig(data="", base=base)) == rounds
        assert _planned_epochs(CloneConfig(data="", base=base, epochs_projection=7)) == 7


def test_the_time_left_is_told_in_words() -> None:
    assert [left_in_words(s) for s in (None, 20, 61, 200, 4000)] == [
        "time left not known yet",
        "less than a minute left",
        "about 1 minute left",
        "about 3 minutes left",
        "about 1 h 07 min left",
    ]


def _checkpoint(folder: RunFolder, *, learnt: bool) -> None:
    """Empty files in place of the checkpoints of a run that was stopped, before or after its first epoch."""
    folder.initial_checkpoint.parent.mkdir(parents=True, exist_ok=True)
    folder.initial_checkpoint.touch()
    if learnt:
        folder.last_checkpoint.touch()


def test_a_stopped_run_reports_the_finished_rounds(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "anna")
    _checkpoint(folder, learnt=False)
    assert "no training is kept" in _stopped_line(0, folder)
    _checkpoint(folder, learnt=True)
    assert "Stopped after round 3." in _stopped_line(3, folder)


@pytest.fixture
def stopped(studio: Studio, draft: Draft, tmp_path: Path) -> Draft:
    """The draft of a run that was made with three clips, and stopped."""
    for number in range(3):
        write_wav(tmp_path / "a.wav", speech(2.0 + number))
        draft.add(tmp_path / "a.wav", "a", "Hello there.")
    draft.state.agreed, draft.state.person, draft.state.name = True, "Anna", "anna"
    draft.state.run = {"name": "anna", "clips": digest_of(draft), "ended": "stopped", "token": "t"}
    claim(studio.out, "anna", "t")
    return draft


@pytest.mark.parametrize(("learnt", "label", "says"), [(True, "Go on", "continue"), (False, "Start again", "anew")])
def test_only_a_run_with_a_finished_round_can_go_on(
    studio: Studio, stopped: Draft, learnt: bool, label: str, says: str
) -> None:
    _checkpoint(RunFolder(studio.out / "anna"), learnt=learnt)
    state = Jobs(studio).state(stopped)
    assert state.outcome == "stopped" and says in state.line and _again(state) == label


def test_a_run_with_other_clips_is_not_offered_to_be_continued(studio: Studio, stopped: Draft) -> None:
    jobs = Jobs(studio)
    _checkpoint(RunFolder(studio.out / "anna"), learnt=True)
    stopped.clips[0].text = "Hello, you."
    assert jobs.state(stopped) is None


def test_a_run_begun_anew_drops_the_checkpoints_and_a_continued_one_keeps_them(
    studio: Studio, stopped: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "_run", lambda job: job._end("stopped", ""))
    folder, first = RunFolder(studio.out / "anna"), stopped.folder / "first.wav"
    _checkpoint(folder, learnt=False)
    first.touch()
    assert Jobs(studio).start(stopped, resume=True).resume  # the alignment is kept, and the first sound is still that
    assert folder.initial_checkpoint.is_file() and first.is_file()
    _checkpoint(folder, learnt=True)
    assert not Jobs(studio).start(stopped).resume
    assert not folder.checkpoint.exists() and not first.exists()


@pytest.fixture
def studio(tmp_path: Path, base_folder: Path) -> Studio:
    return Studio(tmp_path / "out", base=str(base_folder), offline=True)


def test_a_run_begins_only_with_clips_consent_and_a_free_name(studio: Studio, draft: Draft, tmp_path: Path) -> None:
    jobs, state = Jobs(studio), draft.state
    assert jobs.state(draft) is None
    with pytest.raises(UsageError, match="0 clips can be used"):
        jobs.start(draft)
    for number in range(3):
        write_wav(tmp_path / "a.wav", speech(2.0 + number))
        draft.add(tmp_path / "a.wav", "a", "Hello there.")
    with pytest.raises(UsageError, match="without consent"):
        jobs.start(draft)
    state.agreed, state.person = True, "Anna"
    claim(studio.out, "bob", "t")
    for name, says in (
        ("", "no name yet"),
        ("../evil", "name="),
        ("datasets", "cannot be called"),
        ("bob", "already"),
    ):
        state.name = name
        with pytest.raises(UsageError, match=says):
            jobs.start(draft)
    state.run = {"name": "bob", "token": "t"}
    check_draft_name(studio, draft, "bob")  # one's own run may be made again


def test_a_run_is_found_again_after_the_page_was_started_anew(studio: Studio, draft: Draft) -> None:
    jobs = Jobs(studio)
    draft.state.name = "anna"
    draft.state.run = {"name": "anna", "clips": digest_of(draft), "ended": "", "token": "t"}
    assert jobs.state(draft) is None  # deleted in the library
    claim(studio.out, "anna", "t")
    _checkpoint(RunFolder(studio.out / "anna"), learnt=True)
    assert jobs.state(draft).outcome == "stopped" and "continue from there" in jobs.state(draft).line
    (studio.out / "anna" / "anna.pt").touch()
    (studio.out / "anna" / "report.json").write_text("{}")
    assert jobs.state(draft).outcome == "done"


def test_the_digest_changes_with_what_changes_the_voice(draft: Draft, tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", speech())
    clip = draft.add(tmp_path / "a.wav", "a", "Hello.")
    before = digest_of(draft)
    draft.state.person = "Anna"
    assert digest_of(draft) == before
    clip.text = "Hallo."
    assert digest_of(draft) != before


@pytest.fixture
def anna(studio: Studio) -> str:
    """A voice of the library with what lies beside one, and recordings that the page copied."""
    folder, data = studio.out / "anna", studio.out / "datasets" / "anna"
    write_dataset(data)
    load_stock_voices(studio.base)["stock_1"].save(folder / "anna.pt")
    (folder / "anna_test_1.wav").touch()
    base = {"kind": "custom", "name": "tiny", "sha256": "x"}
    (folder / "report.json").write_text(json.dumps({"name": "anna", "base": base}))
    (folder / "config.json").write_text(json.dumps({"name": "anna", "data": str(data), "base": studio.base}))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# anna\nA voice.\n")
    return str(folder / "anna.pt")


def test_a_voice_is_renamed_with_all_that_bears_its_name(studio: Studio, anna: str) -> None:
    new = shelf.rename(studio, anna, "berta")
    assert new == studio.out / "berta" / "berta.pt" and not (studio.out / "anna").exists()
    assert sorted(path.name for path in new.parent.iterdir()) == [
        "README.md", "berta.pt", "berta_test_1.wav", "config.json", "report.json",
    ]  # fmt: skip
    assert shelf.own_voice(studio.out, str(new)).kind == "clone"  # the report bears the new name
    assert shelf.card_of(shelf.own_voice(studio.out, str(new))) == "# anna\nA voice."
    for name, says in (("berta", "already"), ("a/b", "name="), ("datasets", "cannot be called")):
        with pytest.raises(UsageError, match=says):
            shelf.rename(studio, str(new), name)
    with pytest.raises(UsageError, match="not in the library any more"):
        shelf.rename(studio, anna, "carla")


@pytest.mark.parametrize("recordings", [True, False])
def test_a_voice_is_deleted_with_its_recordings_if_asked(studio: Studio, anna: str, recordings: bool) -> None:
    assert shelf.has_recordings(studio, anna)
    shelf.delete(studio, anna, recordings=recordings)
    assert not (studio.out / "anna").exists()
    assert (studio.out / "datasets" / "anna").exists() is not recordings
    with pytest.raises(UsageError, match="not in the library any more"):
        shelf.delete(studio, anna, recordings=False)


def test_recordings_elsewhere_are_never_deleted(studio: Studio, anna: str, dataset_folder: Path) -> None:
    (Path(anna).parent / "config.json").write_text(json.dumps({"data": str(dataset_folder)}))
    shelf.delete(studio, anna, recordings=True)
    assert dataset_folder.is_dir()


def test_every_download_is_the_same_voice(studio: Studio, anna: str, tmp_path: Path) -> None:
    voice = load_stock_voices(studio.base)["stock_1"]
    for form, ending in shelf.DOWNLOADS.values():
        path = shelf.export(studio, anna, form, tmp_path)
        assert path.name == f"anna{ending}"
        assert bool((next(iter(read_voices(path).values())).tensor == voice.tensor).all())


def test_the_lines_of_python_compile_and_name_the_base(studio: Studio, anna: str) -> None:
    lines = shelf.python_lines(studio, shelf.own_voice(studio.out, anna))
    compile(lines, "lines", "exec")
    assert "load_base" in lines and studio.base in lines


def test_a_player_says_what_is_heard_and_escapes_it(tmp_path: Path) -> None:
    (tmp_path / "a b.wav").touch()
    html = player(tmp_path / "a b.wav", '<b>"x"</b>')
    assert "<b>" not in html and 'aria-label="&lt;b&gt;&quot;x&quot;&lt;/b&gt;"' in html and "a%20b.wav?" in html


def test_the_oldest_sounds_are_removed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceclone.ui.sounds.MAX_KEPT", 2)
    sounds = Sounds()
    sounds.uploads.mkdir()
    made = []
    for number in range(4):
        made.append(sounds.of_audio(np.zeros(2400, np.float32)))
        os.utime(made[-1].parent, (number, number))
    assert [path.is_file() for path in made] == [False, True, True, True] and sounds.uploads.is_dir()
    sounds.close()
    assert not sounds.folder.exists()


PAGE = (
    '<head><script src="https://cdnjs.cloudflare.com/x.js" async></script><script>ours</script>'
    '<link rel="preconnect" href="https://fonts.gstatic.com"><link rel="stylesheet" href="./own.css">'
    "<meta property='og:image' content='https://raw.githubusercontent.com/a.jpg' />"
    "<script src='./own.js'></script></head>"
)


def test_other_sites_are_stripped_from_the_page() -> None:
    html = without_outside(PAGE, "N")
    assert "https://" not in html and html.count('<script nonce="N"') == 2
    assert "own.css" in html and "own.js" in html and "ours" in html


def test_only_boxes_that_the_visitor_changed_are_stored(tmp_path: Path) -> None:
    draft = Drafts(tmp_path).of(None)
    draft.clips.extend(DraftClip(file=f"{number}.wav", label=str(number)) for number in range(8))
    shown = ListedClips.of(draft, 3)
    assert shown.start == 0 and len(shown.rows) == ROWS
    draft.clips[1].text = "Whisper wrote this since."
    shown = keep_texts(draft, shown, (" Mine  now. ", *[""] * 5))
    assert [clip.text for clip in draft.clips[:3]] == ["Mine now.", "Whisper wrote this since.", ""]
    draft.clips.pop(0)  # in another tab
    shown = keep_texts(draft, shown, ("Of no clip.", "", "Third.", "", "", ""))
    assert [clip.text for clip in draft.clips[:3]] == ["Whisper wrote this since.", "Third.", ""]
    keep_texts(draft, shown, ("", "", "", "", "", ""))
    assert draft.clips[1].text == "" and ListedClips.of(draft, 99).start == 6


def ask(path: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> tuple[int, dict[bytes, bytes], bytes]:
    """What the shield makes of a request to an application that answers every one with the page above."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        content = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": content})
        await send({"type": "http.response.body", "body": PAGE[:50].encode(), "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[50:].encode()})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": list(headers)}
    asyncio.run(Shield(application)(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def test_the_shield_rewrites_the_page_and_says_what_the_browser_may_load() -> None:
    status, headers, body = ask("/")
    assert status == 200 and int(headers[b"content-length"]) == len(body) and b"https://" not in body
    policy = headers[b"content-security-policy"].decode()
    nonce = body.split(b'nonce="')[1].split(b'"')[0].decode()
    assert "default-src 'self'" in policy and f"'nonce-{nonce}'" in policy and "http" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert ask("/")[1][b"content-security-policy"] != headers[b"content-security-policy"]


def test_the_shield_fetches_nothing_for_anybody_and_bounds_requests() -> None:
    for path in ("/gradio_api/file=http://10.0.0.1/x", "/gradio_api/file=https://a.b", "/proxy=http://a"):
        assert ask(path)[0] == 403, path
    assert ask("/gradio_api/file=/tmp/a.wav")[0] == 200
    assert ask("/gradio_api/upload", headers=((b"Content-Length", b"9" * 12),))[0] == 413


def test_only_loopback_is_quiet(tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """The warning comes before anything is served."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    from voiceclone.cli.main import main

    around: list[set[str]] = []

    def launch(self: Any, **settings: Any) -> Any:
        around.append({middleware.cls.__name__ for middleware in settings["app_kwargs"]["middleware"]})
        raise KeyboardInterrupt

    monkeypatch.setattr("gradio.Blocks.launch", launch)
    monkeypatch.setitem(os.environ, "GRADIO_TEMP_DIR", str(tmp_path))
    call = ["ui", "--base", str(base_folder), "--out", str(tmp_path / "out"), "--port", "0", "--offline"]
    for flags, warned in (([], False), (["--host", "0.0.0.0"], True)):
        main([*call, *flags])
        assert ("whoever reaches it can clone" in capsys.readouterr().err) is warned
        assert ("OnlyHosts" in around.pop()) is not warned
    assert main([*call, "--share"]) == 2
    assert "leave --offline or --share out" in capsys.readouterr().err
    # Without an answer from gradio's server: one line, none of gradio's own ten.
    monkeypatch.setattr("gradio.Blocks.launch", lambda self, **settings: (print("1. Download"), None, None))
    assert main([*call[:-1], "--share"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and "whoever reaches it can clone" in told.err
    assert told.err.splitlines()[-1].startswith("error: --share: gradio could not open a public address")
