"""The flags of ``voiceclone train-base``."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.base_training.config import TrainConfig
from voiceclone.cli.clone import add_verbosity
from voiceclone.system.settings import add_flags, default_of, words_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    _add_data(parser)
    _add_training(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; the base is packed into OUT/base")
    parser.add_argument("--resume", action="store_true", help="continue from OUT/checkpoint.pt")
    parser.add_argument("--overwrite", action="store_true", help="delete the run in OUT and start again")
    parser.add_argument("--pack-only", action="store_true", help="train nothing: pack the checkpoint in OUT")
    parser.add_argument("--voices", type=int, help="stock voices to pack (default: 30)")
    parser.add_argument("--voice-first", nargs="*", default=[], metavar="SPEAKER", help="speakers always packed")
    parser.add_argument("--facts", type=Path, help="JSON with name, version, licence, data... for the card")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard events to OUT/tensorboard")
    parser.add_argument("--wandb", action="store_true", help="log to Weights & Biases (WANDB_MODE is respected)")
    parser.add_argument("--wandb-project", default="voiceclone", help="Weights & Biases project (default: voiceclone)")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    """Flags of the data."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--teacher",
        type=Path,
        metavar="DIR",
        help="train a student model on a base's speech, written by scripts/speak_with_teacher.py",
    )
    source.add_argument(
        "--data",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="datasets: metadata.jsonl or a table with file_name, text and a speaker column, or one "
        "folder a speaker; phonemes and durations columns are used where they are there",
    )
    parser.add_argument("--lang", default="a", help="Kokoro's language code, for texts without phonemes (default: a)")
    parser.add_argument(
        "--alignment",
        default="auto",
        choices=("auto", "given", "warp", "learned"),
        help="where durations come from if the data has none: warp (eSpeak-NG's reading of the text, English), "
        "learned (an aligner trained on the data first, any language), given (refuse data without); "
        "auto: warp for English, learned for other languages; with --finetune the base's own speech of the text is "
        "warped (default: auto)",
    )
    parser.add_argument(
        "--boost",
        nargs="*",
        default=[],
        metavar="SPEAKER=WEIGHT",
        help="speakers drawn more often than others, for example lj=3",
    )
    parser.add_argument(
        "--kept-out",
        nargs="*",
        default=[],
        type=Path,
        metavar="DIR",
        help="datasets of held-out speakers, measured with voices from the base's own style encoders",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Flags of the training."""
    parser.add_argument(
        "--system",
        default="styletts2",
        metavar="NAME",
        help="what is trained: styletts2 (a Kokoro-format base), vits2, mamba-conv, or codec, the codec of "
        "a mamba-conv (default: styletts2)",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="settings specific to the system, as system_settings in train_config.json",
    )
    add_flags(parser, TrainConfig, preset={}, steps={"type": int}, minutes={"type": float})
    parser.add_argument(
        "--surrogate-share",
        type=float,
        help="length of the surrogate encoders' training as a share of the run (default: 0.3)",
    )
    add_flags(parser, TrainConfig, seed={"type": int})
    parser.add_argument(
        "--init", type=Path, metavar="BASE", help="start from a trained base of the same preset instead of at random"
    )
    parser.add_argument(
        "--from-teacher",
        metavar="BASE",
        help="with --teacher: initialise from the strongest channels of the teacher (kokoro) instead of at random",
    )
    parser.add_argument(
        "--finetune",
        metavar="BASE",
        help="fine-tune nano, kokoro or the base in a folder on one speaker's recordings (--data)",
    )
    parser.add_argument(
        "--voice",
        type=Path,
        metavar="FILE",
        help="with --finetune: start from this voice of the speaker, such as a clone's .pt file (default: the mean "
        "style of the recordings)",
    )
    parser.add_argument(
        "--strength",
        type=float,
        metavar="S",
        help="with --finetune: weights between the base (0) and the trained model (1); also with --pack-only "
        "(default: 0.35)",
    )
    parser.add_argument("--diffusion", action="store_true", help="train a style sampler for `say --beta`")
    parser.add_argument("--decoder", help="istftnet, or hifigan at twice the time (default: istftnet)")
    parser.add_argument(
        "--slm",
        metavar="MODEL",
        help="speech model for the SLM discriminator: whisper, wavlm, auto or none (default: none)",
    )
    switch, rate = {"action": "store_true"}, words_of(TrainConfig, "learning_rate")
    add_flags(parser, TrainConfig, compile=switch, bfloat16=switch)
    # None: --settings may give it.
    parser.add_argument(
        "--learning-rate", type=float, help=f"{rate} (default: {default_of(TrainConfig, 'learning_rate')})"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--settings", type=Path, help="JSON with any other settings of a run, as in train_config.json")
    parser.add_argument("--threads", type=int, help="CPU threads")
