import csv
import io
import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceclone.data.metadata import read_dataset, read_metadata
from voiceclone.errors import UsageError, VoicecloneError

ROW = '{"file_name": "a.wav", "text": "Hello."}'


def write(root, content, name="train/metadata.jsonl"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_train_and_validation(tmp_path):
    write(tmp_path, ROW + '\n{"file_name": "sub/b.flac", "text": " Bye. ", "speaker": "x", "other": 1}\n')
    write(tmp_path, ROW, "validation/metadata.jsonl")
    entries = read_dataset(tmp_path)
    assert [(e.name, e.text, e.split, e.speaker) for e in entries["train"]] == [
        ("a.wav", "Hello.", "train", None),
        ("sub/b.flac", "Bye.", "train", "x"),
    ]
    assert entries["train"][1].path == (tmp_path / "train/sub/b.flac").resolve()
    assert [(e.name, e.split) for e in entries["validation"]] == [("a.wav", "validation")]


def test_bare_metadata_is_train(tmp_path):
    write(tmp_path, '{"file_name": "wavs/a.wav", "text": "Hello."}', "metadata.jsonl")
    entries = read_dataset(tmp_path)
    assert [(e.name, e.path) for e in entries["train"]] == [("wavs/a.wav", (tmp_path / "wavs/a.wav").resolve())]
    assert entries["validation"] == []


def test_bom_blank_lines_crlf_and_unicode(tmp_path):
    content = "\ufeff\r\n" + ROW + "\r\n   \r\n" + '{"file_name": "é.wav", "text": "a\u2028b"}'
    write(tmp_path, content)
    assert [(e.name, e.text) for e in read_dataset(tmp_path)["train"]] == [("a.wav", "Hello."), ("é.wav", "a\u2028b")]


def test_csv_with_header(tmp_path):
    write(tmp_path, 'file_name,text,speaker\na.wav,"Hello, you.",s1\nb.wav,Bye.,s2\n', "metadata.csv")
    assert [(e.name, e.text, e.speaker) for e in read_dataset(tmp_path)["train"]] == [
        ("a.wav", "Hello, you.", "s1"),
        ("b.wav", "Bye.", "s2"),
    ]


def test_only_newlines_end_a_csv_row(tmp_path):
    write(tmp_path, "file_name,text\r\na.wav,one\u2028two\x85three\r\nb.wav,Bye.\r\n", "metadata.csv")
    assert [(e.name, e.text) for e in read_dataset(tmp_path)["train"]] == [
        ("a.wav", "one\u2028two\x85three"),
        ("b.wav", "Bye."),
    ]


def test_ljspeech(tmp_path):
    write(tmp_path, 'LJ001-0001|In "1990"|In "nineteen ninety"\nLJ001-0002|Only raw\nLJ001-0003|Raw|\n', "metadata.csv")
    assert [(e.name, e.text) for e in read_dataset(tmp_path)["train"]] == [
        ("wavs/LJ001-0001.wav", 'In "nineteen ninety"'),
        ("wavs/LJ001-0002.wav", "Only raw"),
        ("wavs/LJ001-0003.wav", "Raw"),
    ]


@pytest.mark.parametrize(
    ("second_line", "said"),
    [
        (b'{"file_name": "a.wav", "text": ', "not JSON"),
        (b"{'file_name': 'a.wav'}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"file_name": "a.wav", "text": "\xff\xfe"}', "not UTF-8"),
        (b"[1, 2]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"text": "Hello."}', 'no "file_name"'),
        (b'{"file_name": "a.wav"}', 'no "text"'),
        (b'{"file_name": 1, "text": "x"}', '"file_name" is not a string'),
        (b'{"file_name": "a.wav", "text": null}', '"text" is not a string'),
        (b'{"file_name": "a.wav", "text": "\\ud800"}', "surrogate"),
        (b'{"file_name": "", "text": "x"}', "names no file"),
        (b'{"file_name": "a\\u0000.wav", "text": "x"}', "names no file"),
        (b'{"file_name": "../../a.wav", "text": "x"}', "leaves the dataset folder"),
        (b'{"file_name": "b/../../../a.wav", "text": "x"}', "leaves the dataset folder"),
        (b'{"file_name": "/etc/passwd", "text": "x"}', "absolute"),
        (b'{"file_name": "C:\\\\a.wav", "text": "x"}', "absolute"),
        (b'{"file_name": "\\\\\\\\host\\\\a.wav", "text": "x"}', "absolute"),
    ],
)
def test_a_bad_line_is_named(tmp_path, second_line, said):
    path = write(tmp_path, ROW.encode() + b"\n" + second_line + b"\n")
    with pytest.raises(VoicecloneError, match=said) as caught:
        read_dataset(tmp_path)
    message = str(caught.value)
    assert f"{path} line 2" in message and "\n" not in message


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ('file_name,text\na.wav,x\n"b.wav,y', 3, "not CSV"),
        ("file_name,words\na.wav,x\n", 1, 'no "text"'),
        ("file_name,text\na.wav,x\nb.wav\n", 3, 'no "text"'),
        ("id1|text\nno separator\n", 2, "neither"),
        ("../../x|text\n", 1, "leaves"),
    ],
)
def test_a_bad_csv_line_is_named(tmp_path, content, line, said):
    path = write(tmp_path, content, "metadata.csv")
    with pytest.raises(VoicecloneError, match=said) as caught:
        read_dataset(tmp_path)
    assert f"{path} line {line}" in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links here")
def test_a_link_out_of_the_folder_is_refused_and_one_within_is_not(tmp_path):
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"")
    root = tmp_path / "ds"
    write(root, ROW)
    (root / "inside.wav").write_bytes(b"")
    (root / "train/a.wav").symlink_to(root / "inside.wav")
    assert read_dataset(root)["train"][0].path == (root / "inside.wav").resolve()
    (root / "train/a.wav").unlink()
    (root / "train/a.wav").symlink_to(outside)
    with pytest.raises(VoicecloneError, match="leaves the dataset folder"):
        read_dataset(root)
    (root / "train/a.wav").unlink()
    (root / "train/a.wav").symlink_to(root / "train/a.wav")
    with pytest.raises(VoicecloneError):
        read_dataset(root)


def test_wrong_folders_are_usage_errors(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "none", tmp_path / "file", tmp_path / "empty", "nul\0"):
        with pytest.raises(UsageError) as caught:
            read_dataset(root)
        assert "\n" not in str(caught.value)


def test_empty_metadata_lists_no_clips(tmp_path):
    write(tmp_path, "\n\n")
    with pytest.raises(VoicecloneError, match="lists no clips"):
        read_dataset(tmp_path)


def outcome(path, root):
    """The entries, or the error line."""
    try:
        return read_metadata(path, root, "train")
    except VoicecloneError as error:
        message = str(error)
        assert message.startswith(str(path)) and "\n" not in message
        message.encode("utf-8")
        return message


def line_in(message):
    return int(re.search(r" line (\d+): ", message)[1])


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(content=st.binary(max_size=200), name=st.sampled_from(["metadata.jsonl", "metadata.csv"]))
def test_any_bytes_are_refused_by_line_or_read_as_clips_inside_the_folder(tmp_path, content, name):
    found = outcome(write(tmp_path, content, name), tmp_path)
    lines = content.decode("latin-1").splitlines()
    if isinstance(found, str):
        assert 1 <= line_in(found) <= len(lines) + 1
        return
    assert len(found) <= len(lines) and all(entry.path.is_relative_to(tmp_path.resolve()) for entry in found)
    rows = "\n".join(json.dumps({"file_name": entry.name, "text": entry.text}) for entry in found)
    again = read_metadata(write(tmp_path, rows, "again/metadata.jsonl"), tmp_path, "train") if found else []
    assert [(entry.name, entry.text) for entry in again] == [(entry.name, entry.text) for entry in found]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.lists(st.text("abcé1", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join)
TEXTS = st.text(max_size=20)
ROWS = st.fixed_dictionaries({"file_name": NAMES, "text": TEXTS}, optional={"speaker": st.text(), "other": JSON})
NO_STRING = JSON.filter(lambda value: not isinstance(value, str))
NO_PLACE = st.sampled_from(["../../x", "a/../../../x", "/x", "C:\\x", "\\x", " ", "a\0"])
BAD_ROWS = (
    JSON.filter(lambda value: not isinstance(value, dict))
    | st.fixed_dictionaries({"text": TEXTS, "other": JSON})
    | st.fixed_dictionaries({"file_name": NAMES, "other": JSON})
    | st.fixed_dictionaries({"file_name": NO_STRING, "text": TEXTS})
    | st.fixed_dictionaries({"file_name": NAMES, "text": NO_STRING})
    | st.fixed_dictionaries({"file_name": NO_PLACE, "text": TEXTS})
)


@FUZZ
@given(rows=st.lists(ROWS), plain=st.booleans())
def test_any_good_json_is_read_as_it_is(tmp_path, rows, plain):
    content = "\n".join(json.dumps(row, ensure_ascii=not plain) for row in rows)
    found = outcome(write(tmp_path, content, "metadata.jsonl"), tmp_path)
    assert [(entry.name, entry.text, entry.speaker) for entry in found] == [
        (row["file_name"], row["text"].strip(), row.get("speaker")) for row in rows
    ]


@FUZZ
@given(rows=st.lists(ROWS, max_size=4), bad=BAD_ROWS, at=st.integers(0, 4))
def test_any_bad_json_is_refused_with_its_line(tmp_path, rows, bad, at):
    at = min(at, len(rows))
    content = "\n".join(json.dumps(row) for row in [*rows[:at], bad, *rows[at:]])
    found = outcome(write(tmp_path, content, "metadata.jsonl"), tmp_path)
    assert isinstance(found, str) and line_in(found) == at + 1


CELLS = TEXTS.filter(lambda text: "\0" not in text)


@FUZZ
@given(rows=st.lists(st.tuples(NAMES, CELLS, CELLS)))
def test_any_quoted_table_is_read_as_it_is(tmp_path, rows):
    table = io.StringIO()
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows([("file_name", "text", "speaker"), *rows])
    found = outcome(write(tmp_path, table.getvalue(), "metadata.csv"), tmp_path)
    assert [(entry.name, entry.text, entry.speaker) for entry in found] == [
        (name, text.strip(), speaker) for name, text, speaker in rows
    ]


IN_A_LINE = TEXTS.filter(lambda text: not set(text) & set("|\n"))
WRITTEN_OUT = st.sampled_from(["", "{}", "{} too"])


@FUZZ
@given(rows=st.lists(st.tuples(st.text("abcé1", min_size=1, max_size=5), IN_A_LINE, WRITTEN_OUT)))
def test_any_ljspeech_table_is_read_as_it_is(tmp_path, rows):
    rows = [(name, f"said {raw}", form.format(f"said {raw}")) for name, raw, form in rows]
    # A line feed in each row: without any, a carriage return in a text would end a line, as on old Macs.
    found = outcome(write(tmp_path, "".join("|".join(row) + "\n" for row in rows), "metadata.csv"), tmp_path)
    assert [(entry.name, entry.text) for entry in found] == [
        (f"wavs/{name}.wav", normalised.strip() or raw.strip()) for name, raw, normalised in rows
    ]
