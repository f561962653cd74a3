"""The results of a batch, with a runner that makes files instead of voices."""

from __future__ import annotations

import io
from collections.abc import Generator, Sequence
from pathlib import Path

from voiceclone.cloning.batch.plan import BatchRow
from voiceclone.cloning.batch.report import FAILED, write_report
from voiceclone.cloning.batch.run import Made, run_batch
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.tracking.progress import Reporter


class WithoutReport:
    """A runner whose voices have a report without figures."""

    def clones(self, rows: Sequence[BatchRow]) -> Generator[Made, None, None]:
        for row in rows:
            folder = RunFolder(row.config.folder)
            folder.path.mkdir(parents=True)
            folder.voice.write_bytes(b"")
            folder.report.write_text("{}")
            yield Made(row=row)


def test_outcomes_and_report_agree_on_a_voice_whose_report_lacks_figures(tmp_path: Path) -> None:
    """The exit code follows the outcomes, the table the report."""
    rows = [BatchRow(line=2, config=CloneConfig(data="d", name="anna", out=str(tmp_path)))]
    told = io.StringIO()
    (outcome,) = run_batch(rows, tmp_path, runner=WithoutReport(), reporter=Reporter(-1, told))
    assert outcome.status == FAILED and "anna failed: " in told.getvalue()
    assert write_report(tmp_path, rows)["failed"] == 1
