"""Progress: plain lines, bars on a terminal, no output when quiet, and a closed terminal."""

import io
import logging
import subprocess
import sys
import threading

import pytest

from voiceclone.errors import speaking_of_flags
from voiceclone.tracking.progress import SHOWN, Reporter, format_rate, format_seconds, log_goes_to


class Clock:
    """A clock that advances only when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def reporter(verbosity: int = 0, **changes) -> tuple[Reporter, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return Reporter(verbosity, stream, clock=clock, interval=10.0, **changes), stream, clock


def test_plain_lines_come_no_more_often_than_the_interval():
    report, stream, clock = reporter()
    with report.task("Style extraction", total=12, unit="clip") as task:
        for _ in range(12):
            clock.now += 4
            task.advance(1, note="loss 0.43")
    assert stream.getvalue().splitlines() == [
        "Style extraction: 3/12 clips, 4.0 s/clip, 36 s left, loss 0.43",
        "Style extraction: 6/12 clips, 4.0 s/clip, 24 s left, loss 0.43",
        "Style extraction: 9/12 clips, 4.0 s/clip, 12 s left, loss 0.43",
        "Style extraction: 12/12 clips, 4.0 s/clip, loss 0.43",
        "Style extraction: 12/12 clips in 48 s (4.0 s/clip)",
    ]


def test_the_time_left_includes_what_follows():
    report, stream, clock = reporter()
    with report.task("Training", total=8, following=lambda step_seconds: 60.0 + step_seconds) as task:
        for _ in range(4):
            clock.now += 4
            task.advance()
    with report.task("Training", following=lambda step_seconds: 60.0) as task:
        clock.now += 20
        task.advance(10, seconds_left=0.0)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Training: 3/8 steps, 4.0 s/step, about 1 min 24 s left in all"
    assert lines[2] == "Training: 10 steps, 2.0 s/step, about 1 min 00 s left in all"


def test_a_bar_shows_the_time_left_with_what_follows():
    terminal = Terminal()
    report = Reporter(0, terminal, clock=Clock())
    with report.task("Training", total=8, following=lambda step_seconds: 60.0) as task:
        report.clock.now += 4
        task.advance(4)
    assert "about 1 min 04 s left in all" in terminal.getvalue()


def test_short_work_gives_one_line():
    report, stream, clock = reporter()
    with report.task("Speaking", total=1, unit="sentence") as task:
        clock.now += 0.25
        task.advance()
    assert stream.getvalue() == "Speaking: 1/1 sentence in 0.2 s (4.0 sentences/s)\n"


def test_resumed_units_do_not_count_for_the_rate():
    report, stream, clock = reporter()
    with report.task("Projection", total=100, unit="epoch", done=90) as task:
        clock.now += 10
        task.advance(5)
    first = stream.getvalue().splitlines()[0]
    assert first == "Projection: 95/100 epochs, 2.0 s/epoch, 10 s left"


def test_unknown_total_has_no_eta():
    report, stream, clock = reporter()
    with report.task("Checking clips", unit="clip") as task:
        clock.now += 10
        task.advance(20)
    assert stream.getvalue().splitlines()[0] == "Checking clips: 20 clips, 2.0 clips/s"


def test_an_interrupted_task_says_where_it_stopped():
    report, stream, clock = reporter()
    with pytest.raises(KeyboardInterrupt), report.task("Projection", total=9, unit="epoch") as task:
        clock.now += 2
        task.advance(4)
        raise KeyboardInterrupt
    assert stream.getvalue() == "Projection: stopped at 4/9 epochs in 2.0 s (2.0 epochs/s)\n"


@pytest.mark.parametrize("verbosity", [-1, 0])
def test_the_seconds_of_each_task_are_kept_and_added_up(verbosity):
    report, _, clock = reporter(verbosity)
    for label, seconds in (("Checking clips", 1.0), ("Projection", 5.0), ("Projection", 2.0)):
        with report.task(label):
            clock.now += seconds
    assert report.elapsed == {"Checking clips": 1.0, "Projection": 7.0}


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [(-1, ["warning: w"]), (0, ["i", "warning: w", "T: 0/2 steps in 0.0 s"]), (1, None)],
)
def test_verbosity(verbosity, expected):
    report, stream, _ = reporter(verbosity)
    report.info("i")
    report.warn("w")
    report.detail("d")
    with report.task("T", total=2):
        pass
    expected = ["i", "warning: w", "d", "T: 0/2 steps in 0.0 s"] if expected is None else expected
    assert stream.getvalue().splitlines() == expected


def test_quiet_is_silent_on_a_terminal_too():
    stream = Terminal()
    with Reporter(-1, stream).task("T", total=2) as task:
        task.advance()
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_with_rate_eta_and_note(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    report = Reporter(0, stream)
    threads = threading.active_count()
    with report.task("Style extraction", total=4, unit="clip") as task:
        report.info("a line between")
        for _ in range(4):
            task.advance(1, note="loss 0.43")
        assert threading.active_count() == threads
    shown = stream.getvalue()
    assert "\r" in shown and "4/4" in shown and "clip/s" in shown and "loss 0.43" in shown and "00:00<00:00" in shown
    assert "a line between\n" in shown


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Reporter(0, stream).task("T", total=1) as task:
        task.advance()
    assert "\r" not in stream.getvalue()


def test_what_the_stream_cannot_encode_is_escaped():
    raw = io.BytesIO()
    report = Reporter(0, io.TextIOWrapper(raw, encoding="ascii"))
    report.info("é: 声")
    assert raw.getvalue() == b"\\xe9: \\u58f0\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_closed_stream_is_ignored(terminal):
    stream = Terminal() if terminal else io.StringIO()
    report = Reporter(0, stream)
    with report.task("T", total=3) as task:
        task.advance()
        stream.close()
        report.warn("nobody reads this")
        task.advance()
    assert task.done == 2


def test_no_stream_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    report = Reporter(0)
    report.info("x")
    with report.task("T", total=1) as task:
        task.advance()
    assert task.done == 1


def test_a_broken_pipe_leaves_exit_code_and_work_alone(tmp_path):
    code = """
import sys, time
from voiceclone.tracking.progress import Reporter
report = Reporter()
report.info("ready")
sys.stdin.read()
with report.task("T", total=2, unit="clip") as task:
    for _ in range(2):
        report.info("x" * 100_000)
        task.advance()
print("worked", flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "ready\n"
    process.stderr.close()
    process.stdin.close()
    assert process.stdout.read() == "worked\n"
    assert process.wait(20) == 0


def test_formats():
    assert [format_seconds(s) for s in (0, 9.94, 9.96, 59.6, 185, 3599.7, 7620)] == [
        "0.0 s", "9.9 s", "10 s", "1 min 00 s", "3 min 05 s", "1 h 00 min", "2 h 07 min",
    ]  # fmt: skip
    assert format_rate(2.14, "clip") == "2.1 clips/s"
    assert format_rate(0.25, "clip") == "4.0 s/clip"


def test_work_that_ends_at_a_time_says_what_is_left():
    report, stream, clock = reporter()
    with report.task("Training", unit="step") as task:
        clock.now += 20
        task.advance(10, note="mel 0.5", seconds_left=90.0)
    assert stream.getvalue().splitlines()[0] == "Training: 10 steps, 2.0 s/step, 1 min 30 s left, mel 0.5"
    terminal = Terminal()
    with Reporter(0, terminal).task("Training", unit="step") as task:
        task.advance(10, note="mel 0.5", seconds_left=90.0)
    assert "1 min 30 s left, mel 0.5" in terminal.getvalue()


def test_what_the_package_logs_goes_to_the_reporter_within_the_block():
    report, stream, _ = reporter()
    quiet, silent, _ = reporter(-1)
    logger = logging.getLogger("voiceclone.somewhere")
    for one in (report, quiet):
        with log_goes_to(one):
            logger.info("%d of %d", 1, 2)
            logger.warning("a.wav\x1b[2J skipped")
            logger.info("step 1: mel 0.5", extra=SHOWN)  # the note of the progress line
            logger.debug("a detail")
    logger.warning("after it")
    assert stream.getvalue().splitlines() == ["1 of 2", "warning: a.wav\\x1b[2J skipped"]
    assert silent.getvalue() == "warning: a.wav\\x1b[2J skipped\n"
    assert not logging.getLogger("voiceclone").handlers


def test_a_file_gets_what_the_reporter_shows_and_a_terminal_nothing_twice(tmp_path):
    report, stream, _ = reporter()
    logger, terminal = logging.getLogger("voiceclone"), io.StringIO()
    handlers = [logging.FileHandler(tmp_path / "log"), logging.StreamHandler(terminal)]
    level = logger.level
    logger.setLevel(logging.DEBUG)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        with log_goes_to(report):
            logger.info("encoding")
            logger.info("step 1: mel 0.5", extra=SHOWN)
            logger.debug("a detail")
        logger.info("after it")
        assert stream.getvalue() == "encoding\n" and terminal.getvalue() == "after it\n"
        assert (tmp_path / "log").read_text().splitlines() == ["encoding", "step 1: mel 0.5", "a detail", "after it"]
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)


def test_lines_name_flags_on_the_command_line_and_arguments_in_python():
    line = "consent: not stated; --consent TEXT records it (`pip install --no-deps resemblyzer`, a/--b.wav)"
    report, stream, _ = reporter()
    report.info(line)
    with speaking_of_flags():
        report.warn(line)
    in_python = line.replace("--consent TEXT", "consent=TEXT")
    assert stream.getvalue() == f"{in_python}\nwarning: {line}\n"
