"""Mix two voices: the weighted mean of their vectors, timbre and prosody halves alike.

python examples/mix_two_voices.py af_heart am_michael 0.5 mixed.pt
"""

import argparse

from voiceclone import VoicePack
from voiceclone.bases.base import load_stock_voices
from voiceclone.voice.health import HealthRange, examine
from voiceclone.voice.lookup import VoiceFinder


def main() -> None:
    """Mix, and write the voice."""
    parser = argparse.ArgumentParser(description="Mix two voices.")
    parser.add_argument("first", help="a voice file, or the name of a stock voice of the base")
    parser.add_argument("second")
    parser.add_argument("share", type=float, help="of the first voice, 0 to 1")
    parser.add_argument("out", help="file of the new voice, .pt")
    parser.add_argument("--base", default="auto", help="auto, kokoro, nano, or the folder of a base")
    options = parser.parse_args()
    stock = load_stock_voices(options.base)  # no model is loaded
    finder = VoiceFinder(lambda: stock)
    first, second = finder.find(options.first), finder.find(options.second)
    mixed = VoicePack(options.share * first.tensor + (1 - options.share) * second.tensor, "mixed")
    mixed.save(options.out)
    health = examine(mixed, HealthRange.of(stock.values()))
    print(f"{options.out}: {'; '.join(health.reasons) or 'within the range of real voices'}")


if __name__ == "__main__":
    main()
