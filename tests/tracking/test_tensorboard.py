"""TensorBoard events, read back with TensorBoard's own reader."""

import io
import subprocess

import numpy as np
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from voiceclone.tracking.tensorboard import TensorBoardTracker
from voiceclone.tracking.trackers import open_trackers


def read(folder) -> EventAccumulator:
    sizes = {"scalars": 0, "audio": 0, "images": 0, "histograms": 0, "tensors": 0}
    return EventAccumulator(str(folder / "tensorboard"), size_guidance=sizes).Reload()


def steps(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_everything_can_be_read_back(tmp_path):
    tone = (0.5 * np.sin(np.arange(2400) * 0.1)).astype(np.float32)
    picture = np.zeros((6, 8, 3), dtype=np.uint8)
    picture[2, 3] = (255, 128, 0)
    tracker = TensorBoardTracker(tmp_path)
    tracker.config({"seed": 7, "out": tmp_path})
    tracker.scalars({"train/loss": 1.5, "train/mel_mse": 0.25}, 1)
    tracker.scalars({"train/loss": float("nan")}, 2)
    tracker.audio("audio/target", tone, 1)
    tracker.image("mel/clone", picture, 1)
    tracker.histogram("projection/base_vector", np.arange(256.0), 1)
    tracker.close()
    events = read(tmp_path)
    assert steps(events, "train/mel_mse") == [(1, 0.25)]
    assert steps(events, "train/loss")[0] == (1, 1.5) and np.isnan(steps(events, "train/loss")[1][1])
    sound = events.Audio("audio/target")[0]
    samples, rate = soundfile.read(io.BytesIO(sound.encoded_audio_string))
    assert (rate, sound.sample_rate, len(samples)) == (24_000, 24_000, 2400)
    assert np.abs(samples - tone).max() < 1e-3
    image = events.Images("mel/clone")[0]
    assert (image.height, image.width) == (6, 8)
    from PIL import Image

    assert (np.asarray(Image.open(io.BytesIO(image.encoded_image_string))) == picture).all()
    histogram = events.Histograms("projection/base_vector")[0].histogram_value
    assert (histogram.num, histogram.min, histogram.max) == (256, 0, 255)
    text = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert '"seed": 7' in text


def test_events_are_flushed_before_close(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.scalars({"train/loss": 1.0}, 1)
    assert steps(read(tmp_path), "train/loss") == [(1, 1.0)]
    tracker.close()


def test_resume_purges_what_lies_beyond_the_checkpoint(tmp_path):
    first = TensorBoardTracker(tmp_path)
    for step in range(1, 6):
        first.scalars({"train/loss": float(step)}, step)
    first.close()
    second = TensorBoardTracker(tmp_path, resume_step=3)
    for step in range(4, 7):
        second.scalars({"train/loss": 10.0 * step}, step)
    second.close()
    assert steps(read(tmp_path), "train/loss") == [(1, 1), (2, 2), (3, 3), (4, 40), (5, 50), (6, 60)]


def test_a_fresh_run_hides_an_older_one(tmp_path):
    for value in (1.0, 2.0):
        tracker = TensorBoardTracker(tmp_path)
        tracker.scalars({"train/loss": value}, 0)
        tracker.scalars({"train/loss": value}, 1)
        tracker.close()
    assert steps(read(tmp_path), "train/loss") == [(0, 2.0), (1, 2.0)]


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path):
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    lines: list[str] = []
    trackers = open_trackers(
        tensorboard=True,
        wandb=False,
        wandb_project="p",
        run_name="v",
        folder=tmp_path,
        config={},
        offline=True,
        warn=lines.append,
    )
    trackers.scalars({"train/loss": 1.0}, 1)
    trackers.close()
    assert len(lines) == 1
    assert lines[0].startswith("TensorBoard is off, the work goes on: ")
    assert len(trackers) == 0


@pytest.fixture
def tiny_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mount.returncode:
        pytest.skip("this needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_costs_one_warning(tiny_disk, capfd):
    lines: list[str] = []
    with open_trackers(
        tensorboard=True,
        wandb=False,
        wandb_project="p",
        run_name="v",
        folder=tiny_disk,
        config={},
        offline=True,
        warn=lines.append,
    ) as trackers:
        for step in range(1000):
            trackers.histogram("h", np.arange(1000.0), step)
        assert len(trackers) == 0
    assert lines == ["TensorBoard stopped, the work goes on: [Errno 28] No space left on device"]
    assert capfd.readouterr().err == ""
