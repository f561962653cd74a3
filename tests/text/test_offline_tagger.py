import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.text.offline_tagger import build_offline_nlp, tag_words


@pytest.fixture(scope="module")
def nlp():
    return build_offline_nlp()


@pytest.mark.parametrize(
    ("text", "word", "tag"),
    [
        ("I saw a cat.", "a", "DT"),
        ("A cat slept.", "A", "DT"),
        ("A is for apple.", "A", "NN"),
        ("It is rich in vitamin A and iron.", "A", "NN"),
        ("I saw a cat.", ".", "."),
        ("Is it you?", "?", "."),
        ("Yes, it is.", ",", ","),
        ("Stop; now.", ";", ":"),
        ("It was late - very late.", "-", ":"),
        ("A well-known song.", "-", "HYPH"),
        ("It (the dog) ran.", "(", "-LRB-"),
        ("It (the dog) ran.", ")", "-RRB-"),
        ("She said “go”.", "“", "``"),
        ("She said “go”.", "”", "''"),
        ("It costs $5.", "$", "$"),
        ("It costs $5.", "5", "CD"),
        ("There were 1,234 people.", "1,234", "CD"),
        ("He paid two pounds.", "two", "CD"),
        ("We met on the 3rd of May.", "3rd", "JJ"),
        ("We met in Paris.", "Paris", "NNP"),
        ("They work for NASA now.", "NASA", "NNP"),
        ("STOP THE CAR", "CAR", "NN"),
        ("I want to record it.", "record", "VB"),
        ("They broke the record.", "record", "NN"),
        ("I read it yesterday.", "read", "VBP"),
        ("He read it.", "read", "VBD"),
        ("I will read it.", "read", "VB"),
        ("I used to sing.", "used", "VBD"),
        ("It was used to cut wood.", "used", "VBN"),
        ("Dr. Roe lives on Elm Road.", "lives", "VBZ"),
        ("It saved the lives of many.", "lives", "NNS"),
        ("Close the door.", "Close", "VB"),
        ("It is close to me.", "close", "JJ"),
        ("That book is mine.", "That", "DT"),
        ("He said that he knew.", "that", "IN"),
        ("The book that fell.", "that", "WDT"),
        ("We met at 10am.", "am", "NN"),
        ("I am here.", "am", "VBP"),
    ],
)
def test_tags(nlp, text, word, tag):
    assert {token.text: token.tag_ for token in reversed(nlp(text))}[word] == tag


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.booleans()), max_size=12))
def test_every_token_gets_a_tag(pairs):
    tags = tag_words([word for word, _ in pairs], [space for _, space in pairs])
    assert len(tags) == len(pairs)
    assert all(tags)
