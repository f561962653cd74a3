"""``from models import SynthesizerTrn``, as the public implementation's README has it."""

from common import run  # noqa: F401  puts the package on the path

from voiceclone.models.vits2 import SynthesizerTrn

__all__ = ["SynthesizerTrn"]
