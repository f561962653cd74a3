"""Clone a voice from a folder of clips and print how similar it is.

    python examples/clone_a_folder.py my_dataset my_voice

The folder holds clips of one speaker and metadata.jsonl (or metadata.csv) with their texts; see datasets/README.md.
"""

import argparse

from voiceclone import Reporter, VoicecloneError, clone


def main() -> None:
    """Clone, and print the result."""
    parser = argparse.ArgumentParser(description="Clone a voice from a folder of clips.")
    parser.add_argument("data", help="folder with the clips and their metadata")
    parser.add_argument("name", help="name of the voice")
    parser.add_argument("--base", default="auto", help="auto, kokoro, nano, or the folder of a base")
    parser.add_argument("--epochs", type=int, help="number of training epochs (default: by base)")
    parser.add_argument("--out", default="output")
    options = parser.parse_args()
    try:
        result = clone(
            options.data,
            options.name,
            base=options.base,
            out=options.out,
            epochs_projection=options.epochs,
            seed=0,
            reporter=Reporter(),
        )
    except VoicecloneError as error:
        raise SystemExit(f"error: {error}") from error
    print(result.report["verdict"])
    print(f"voice: {result.folder / options.name}.pt")


if __name__ == "__main__":
    main()
