import json
import os

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
        ("file_name,words\na.wav,x\n", 2, 'no "text"'),
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


def read_quietly(path, root):
    """Reads or raises this project's own error in one line; nothing else."""
    try:
        for entry in read_metadata(path, root, "train"):
            assert entry.path.is_relative_to(root.resolve())
            json.dumps(entry.name + entry.text).encode("utf-8")
    except VoicecloneError as error:
        assert "\n" not in str(error)
        str(error).encode("utf-8")


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(content=st.binary(max_size=200), name=st.sampled_from(["metadata.jsonl", "metadata.csv"]))
def test_any_bytes(tmp_path, content, name):
    read_quietly(write(tmp_path, content, name), tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PATHS = st.text(max_size=20) | st.lists(st.sampled_from(["..", ".", "/", "\\", "a", "C:", "~", " "])).map("/".join)


@FUZZ
@given(rows=st.lists(st.fixed_dictionaries({}, optional={"file_name": PATHS | JSON, "text": JSON, "speaker": JSON})))
def test_any_json(tmp_path, rows):
    content = "\n".join(json.dumps(row) for row in rows)
    read_quietly(write(tmp_path, content, "metadata.jsonl"), tmp_path)


@FUZZ
@given(rows=st.lists(st.tuples(PATHS, st.text(max_size=20), st.text(max_size=20))), mark=st.sampled_from("|,"))
def test_any_table(tmp_path, rows, mark):
    content = "\n".join(mark.join(row) for row in rows).encode("utf-8", "surrogatepass")
    header = b"file_name,text,other\n" if mark == "," else b""
    read_quietly(write(tmp_path, header + content, "metadata.csv"), tmp_path)
