"""Tables in various formats are read correctly, or rejected with the line number."""

import json
import unicodedata

import pytest

from voiceclone.base_training.synthesis import read_corpus_sentences
from voiceclone.data.metadata import read_dataset, read_metadata
from voiceclone.errors import VoicecloneError
from voiceclone.prepare import transcripts

IDS = ["clip_1", "clip_2", "clip_3", "clip_4"]
TEXTS = ["Come in, dear guest.", "Snow fell, then rain, then snow.", "Who is there?", "Nobody, said the door."]
IPA = ["kˈʌm ˈɪn dˈɪɹ ɡˈɛst", "snˈoʊ fˈɛl ðˈɛn ɹˈeɪn", "hˈuː ɪz ðˈɛɹ", "nˈoʊbɑːdi sˈɛd ðə dˈɔːɹ"]
ARPABET = ["K AH1 M IH1 N", "S N OW1 F EH1 L", "HH UW1 IH1 Z", "N OW1 B AA2 D IY0"]


def dataset(folder, content, name="metadata.csv", files=tuple(f"wavs/{i}.wav" for i in IDS)):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"")
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return folder


def table(form, header="", ends="\n", **columns):
    """One line a clip; ``form`` may name ``id``, ``text`` and the ``columns``."""
    rows = [
        form.format(id=i, text=t, **{k: v[n] for k, v in columns.items()}) for n, (i, t) in enumerate(zip(IDS, TEXTS))
    ]
    return ends.join([header, *rows] if header else rows)


def names(*values):
    return {"other": values}


READ = {
    "bars": table("{id}|{text}"),
    "bars, text twice": table("{id}|{text}|{text}"),
    "bars, empty column": table("{id}|{text}|"),
    "speaker last": table("{id}|{text}|Anna Maria Schneider"),
    "speaker in the middle": table("wavs/{id}.wav|Anna Maria|{text}"),
    "speaker's number in the middle": table("wavs/{id}.wav|{other}|{text}", **names(3, 7, 3, 9)),
    "two speakers": table("{id}|{text}|{other}", **names("Anna X", "Bert Y", "Bert Y", "Anna X")),
    "speakers named once each": table("{id}|{text}|{other}", **names("p1", "p2", "p3", "p4")),
    "speaker, language, style": table("{id}|{text}|anna|en|{other}", **names("sad", "glad", "sad", "cross")),
    "seconds and text": table("{id}|{other}|{text}", **names("1.25", "2.5", "0.9", "3")),
    "IPA last": table("{id}|{text}|{other}", **names(*IPA)),
    "IPA in the middle": table("{id}|{other}|{text}", **names(*IPA)),
    "ARPAbet last": table("{id}|{text}|{other}", **names(*ARPABET)),
    "tabs": table("{id}.wav\t{text}"),
    "commas without header": table("wavs/{id}.wav,{text}"),
    "commas without header, quoted": table('"wavs/{id}.wav","{text}",anna'),
    "commas, unquoted": table("{id}.wav,{text}", "file_name,text"),
    "commas, quoted": table('{id}.wav,"{text}"', "file_name,text"),
    "commas, empty cells at the end": table('{id}.wav,"{text}",,', "file_name,text,,"),
    "semicolons": table("{id}.wav;{text}", "file_name;text"),
    "Excel's first line": table("{id}.wav;{text}", "sep=;\r\nfile_name;text", "\r\n"),
    "header of XTTS": table("{id}.wav|{text}|anna", "audio_file|text|speaker_name"),
    "header in another order": table("anna|{text}|{id}.wav", "speaker|transcription|path"),
    "header in capitals": table("{id},anna,{text}", "Audio File,Speaker,Transcript"),
    "header with phonemes": table("{id}|{other}|{text}", "id|phonemes|text", **names(*IPA)),
    "header of Common Voice": table("x\t{id}\t{text}\t2", "client_id\tpath\tsentence\tup_votes"),
    "tabs with quotes": table('{id}.wav\t"{text}"', "file_name\ttext"),
    "byte order mark, CRLF": table("{id}|{text}", "\ufeffid|text", "\r\n"),
    "CR alone": table("{id}|{text}", ends="\r"),
    "UTF-16": table('{id}.wav\t"{text}"', "file_name\ttext", "\r\n").encode("utf-16"),
    "UTF-16, no mark": table("{id}.wav,{text}", "file_name,text").encode("utf-16-be"),
    "Windows paths": table("wavs\\{id}.wav,{text}", "file_name,text"),
    "paths from here": table(".\\wavs\\{id}.wav|{text}"),
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_tables_of_common_formats_are_read(tmp_path, content):
    entries = read_dataset(dataset(tmp_path, content))["train"]
    assert [entry.text for entry in entries] == TEXTS
    assert [entry.path for entry in entries] == [(tmp_path / f"wavs/{i}.wav").resolve() for i in IDS]


REFUSED = {
    "comma in a text that is not last": (
        table("{id}.wav,{text},anna", "file_name,text,speaker"), 2, "4 cells under 3 columns"),
    "the same, a cell is lacking": ("file_name,text,speaker\na.wav,Hello, you\n", 2, "begins with a space"),
    "two texts": (
        table("{id}|{text}|{other}", **names("Komm herein.", "Es schneit.", "Wer ist da?", "Niemand.")), 1, "column 3"),
    "bar in a text": (table("{id}|{text}") + "\nclip_5|This | is a bar.", 5, "'is a bar.' in column 3"),
    "two columns named text": ("file_name,text,text\na.wav,x,y\n", 1, "occurs twice"),
    "no column for the file": ("speaker|text\nanna|x\n", 1, 'no "file_name"'),
    "no column for the text": ("audio_path|said\na.wav|x\n", 1, 'no "text"'),
    "quote left open": ('file_name,text\na1.wav,"Come in.\na2.wav,Snow fell."\n', 3, "another row"),
    "quote left open, ids": ('id,text\na1,"Come in.\na2,Snow fell."\n', 3, "another row"),
    "Windows drive": ("file_name,text\nC:\\talk\\a.wav,x\n", 2, "absolute"),
    "absolute": ("/data/a.wav|x\n", 1, "absolute and not in"),
    "leaves by backslashes": ("file_name,text\n..\\..\\a.wav,x\n", 2, "leaves the dataset folder"),
    "Latin-1": ("file_name,text\na.wav,caf\xe9".encode("latin-1"), 2, "not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "line", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_told_is_refused_with_its_line(tmp_path, content, line, said):
    root = tmp_path / "ds"
    root.mkdir()
    with pytest.raises(VoicecloneError, match=said) as caught:
        read_dataset(dataset(root, content))
    assert f"metadata.csv line {line}: " in str(caught.value) and "\n" not in str(caught.value)


def test_the_normalised_text_is_preferred_where_it_is_one(tmp_path):
    content = (
        'clip_1|In "1990".|In "nineteen ninety".\nclip_2|Dr. Hay paid $5.|Doctor Hay paid five dollars.\nclip_3|No.|'
    )
    assert [entry.text for entry in read_dataset(dataset(tmp_path, content))["train"]] == [
        'In "nineteen ninety".', "Doctor Hay paid five dollars.", "No."
    ]  # fmt: skip


def test_speakers_come_from_their_column(tmp_path):
    content = table("{id}|{text}|{other}", "file|text|speaker_name", **names("anna", "bert", "cleo", "anna"))
    assert [e.speaker for e in read_dataset(dataset(tmp_path, content))["train"]] == ["anna", "bert", "cleo", "anna"]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.tsv", "metadata.txt"])
def test_a_table_may_have_several_names(tmp_path, name):
    assert [e.text for e in read_dataset(dataset(tmp_path, table("{id}|{text}"), name))["train"]] == TEXTS


@pytest.mark.parametrize(
    ("listed", "file"),
    [
        ("v1.2_clip_7", "wavs/v1.2_clip_7.wav"),
        ("take.5", "wavs/take.5.wav"),
        ("clip_1", "wavs/clip_1.flac"),
        ("clip_1", "clip_1.wav"),
        ("clip_1.wav", "clips/clip_1.wav"),
        ("clip_1.wav", "wavs/Clip_1.WAV"),
        (unicodedata.normalize("NFC", "café_1"), "wavs/" + unicodedata.normalize("NFD", "café_1") + ".wav"),
        (unicodedata.normalize("NFD", "café_1"), "wavs/" + unicodedata.normalize("NFC", "café_1") + ".wav"),
        ("sub\\clip_1.wav", "sub/clip_1.wav"),
        ("sub/clip.1", "wavs/sub/clip.1.wav"),
    ],
)
@pytest.mark.parametrize("form", ["{}|Hello.", '{{"file_name": {}, "text": "Hello."}}'])
def test_a_clip_is_found_however_it_is_spelt(tmp_path, listed, file, form):
    name = "metadata.jsonl" if form.startswith("{{") else "metadata.csv"
    content = form.format(json.dumps(listed) if name.endswith("l") else listed)
    (entry,) = read_dataset(dataset(tmp_path, content, name, [file]))["train"]
    assert entry.path.is_file() and entry.path.samefile(tmp_path / file)
    assert entry.name == file


def test_an_exact_file_name_wins_over_similar_ones(tmp_path):
    files = ["clip.wav", "Clip.wav", "clip", "wavs/clip.wav"]
    rows = "\n".join(json.dumps({"file_name": name, "text": "x"}) for name in ("clip", "Clip.wav", "CLIP.wav"))
    found = read_dataset(dataset(tmp_path, rows, "metadata.jsonl", files))["train"]
    assert [entry.name for entry in found] == ["clip", "Clip.wav", "CLIP.wav"]
    # The last differs from all files in case, and they are named by others.
    assert [entry.path.is_file() for entry in found] == [True, True, False]


def test_an_absolute_path_into_the_folder_is_read(tmp_path):
    dataset(tmp_path, f"{tmp_path}/wavs/clip_1.wav|Hello.\n")
    assert read_dataset(tmp_path)["train"][0].path.samefile(tmp_path / "wavs/clip_1.wav")


def test_names_of_manifests_are_known(tmp_path):
    content = '{"audio_filepath": "wavs/clip_1.wav", "duration": 1.5, "transcript": "Hello."}\n'
    (entry,) = read_dataset(dataset(tmp_path, content, "metadata.jsonl"))["train"]
    assert (entry.text, entry.path.name) == ("Hello.", "clip_1.wav")


@pytest.mark.parametrize("form", ["{}.wav|{}", "{}|{}"])
def test_a_missing_clip_is_not_matched_by_another_case(tmp_path, form):
    content = "\n".join([form.format("B1", "Come in."), form.format("b1", "Go out."), form.format("C1", "Stay.")])
    found = read_dataset(dataset(tmp_path, content, files=["wavs/b1.wav", "wavs/c1.wav"]))["train"]
    assert [(entry.path.name, entry.path.is_file()) for entry in found] == [
        ("B1.wav", False), ("b1.wav", True), ("c1.wav", True)
    ]  # fmt: skip


def test_a_list_apart_from_its_clips_counts_from_their_folder(tmp_path):
    root = tmp_path / "clips_of_ann"
    dataset(root, "")
    (tmp_path / "list.csv").write_text(table("{id}|{text}"))
    assert all(entry.path.is_file() for entry in read_metadata(tmp_path / "list.csv", root, "train"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_running_text_is_decoded_as_tables_are(tmp_path, encoding, end):
    """For ``prepare --text`` and a synthesised corpus; UTF-16 with its mark need not look like a table."""
    lines = [f"The old café is open on day {number}" for number in range(12)]
    (tmp_path / "t.txt").write_bytes(end.join(lines).encode(encoding))
    assert transcripts.read_transcript(tmp_path / "t.txt").split("\n") == lines
    assert read_corpus_sentences(tmp_path / "t.txt", 170) == lines
