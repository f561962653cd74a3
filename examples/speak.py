"""Speak a text of any length with a voice and write it to a sound file.

python examples/speak.py "Hello there." output/my_voice/my_voice.pt hello.wav
"""

import argparse

from voiceclone import load_base
from voiceclone.audio.stream import sound_file
from voiceclone.voice.lookup import VoiceFinder
from voiceclone.voice.speaking import deliver, speak


def main() -> None:
    """Speak, and write the sound."""
    parser = argparse.ArgumentParser(description="Speak a text with a voice.")
    parser.add_argument("text")
    parser.add_argument("voice", help="a voice file, or the name of a stock voice of the base")
    parser.add_argument("out", help="sound file: .wav, .flac, .ogg, .opus or .mp3")
    parser.add_argument("--base", default="auto", help="auto, kokoro, nano, or the folder of a base")
    options = parser.parse_args()
    base = load_base(options.base)
    voice = VoiceFinder(lambda: base.stock_voices).find(options.voice)
    pieces = speak(base.pipeline("a"), options.text, voice.tensor, seed=0)
    with sound_file(options.out) as write:  # the file is renamed into place when it is complete
        delivery = deliver(pieces, write)
    print(f"{options.out}: {delivery.seconds:.1f} s, real-time factor {delivery.real_time_factor:.2f}")


if __name__ == "__main__":
    main()
