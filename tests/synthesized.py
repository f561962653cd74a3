"""Shared helpers for training corpora: sentences, and fast stand-ins for G2P and F0 tracking."""

import numpy as np

SENTENCES = (
    "The boat left early.", "A dog ran over the hill.", "She read the letter twice.", "We walked to the old mill.",
    "Rain fell all day long.", "He sold his father's house.", "The lamp went out at nine.", "They found a silver ring.",
    "Nobody opened the gate.", "The garden was very still.", "Birds sang in the tall trees.", "I lost my way at night.",
)  # fmt: skip


def crude_phonemes(text):
    """Letters instead of phonemes: fast, and sufficient where only the data flow is tested."""
    return text.lower().replace("c", "k").replace("g", "ɡ")


def crude_f0(audio):
    """Autocorrelation peak where the frame is loud: a tracker takes longer than all of training here."""
    frames = 1 + len(audio) // 300
    padded = np.pad(np.asarray(audio, dtype=np.float64), (600, 900))
    f0 = np.zeros(frames, dtype=np.float32)
    for index in range(frames):
        frame = padded[index * 300 : index * 300 + 1200]
        if np.sqrt(np.mean(frame**2)) > 0.02:
            correlation = np.correlate(frame, frame, "full")[1199:]
            f0[index] = 24000 / (60 + int(np.argmax(correlation[60:400])))
    return f0
