"""Shared helpers for training corpora: sentences, and a fast stand-in for G2P."""

SENTENCES = (
    "The boat left early.", "A dog ran over the hill.", "She read the letter twice.", "We walked to the old mill.",
    "Rain fell all day long.", "He sold his father's house.", "The lamp went out at nine.", "They found a silver ring.",
    "Nobody opened the gate.", "The garden was very still.", "Birds sang in the tall trees.", "I lost my way at night.",
)  # fmt: skip


def crude_phonemes(text):
    """Letters instead of phonemes: fast, and sufficient where only the data flow is tested."""
    return text.lower().replace("c", "k").replace("g", "ɡ")
