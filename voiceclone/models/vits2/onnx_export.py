"""Export a VITS2 as an ONNX file with the inputs of piper's voices, and config files for other programs.

Inputs: ``input`` int64 ``(B, N)``, ``input_lengths`` int64 ``(B,)``, ``scales`` float32 ``(3,)`` (noise, length, noise
of durations), and with several speakers ``sid`` int64 ``(B,)``. Output: ``output`` float32 ``(B, 1, T)``.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voiceclone.files import write_bytes, write_text
from voiceclone.models.vits2.config import LENGTH_SCALE, NOISE_SCALE, NOISE_SCALE_W
from voiceclone.models.vits2.durations import expansion, predicted_frames
from voiceclone.models.vits2.encoders import sampled
from voiceclone.models.vits2.layers import length_mask
from voiceclone.models.vits2.synthesizer import Synthesizer

OPSET = 17
METADATA = "voiceclone"  # name of the metadata entry for this program: vocabulary, speakers, blanks
PAD, BOS, EOS = "_", "^", "$"  # piper's names for padding and sentence boundaries; all are token 0 here
# Phonemes for which eSpeak-NG uses two letters and the vocabulary one (misaki's English symbols).
CLUSTERS = {"eɪ": "A", "aɪ": "I", "ɔɪ": "Y", "aʊ": "W", "oʊ": "O", "əʊ": "Q"}
SPELLINGS = {"ɚ": "əɹ", "ɝ": "ɜɹ", "ɐ": "ə", "r": "ɹ", "g": "ɡ", "e": "A", "o": "O"}


class ExportedVits2(nn.Module):
    """A synthesizer with piper's inputs.

    Args:
        model: the synthesizer.
        noise_inputs: also use the noise as an input, for comparisons: ``noise`` ``(B, channels, T)`` with T at least
            the frames of the speech, and ``noise_w`` ``(B, 1 or 2, N)``.
    """

    def __init__(self, model: Synthesizer, *, noise_inputs: bool = False) -> None:
        super().__init__()
        self.model, self.noise_inputs = model, noise_inputs

    def forward(self, tokens: Tensor, lengths: Tensor, scales: Tensor, *rest: Tensor) -> Tensor:
        """Tokens ``(B, N)`` to audio ``(B, 1, T)``; ``rest`` are ``sid`` and the noises, where present."""
        model, others = self.model, list(rest)
        voice = model.voices(others.pop(0)) if model.speakers is not None else None
        noise_scale, length_scale, noise_scale_w = scales.unbind()
        if not self.noise_inputs:
            return model.infer(
                tokens, lengths, voice,
                noise_scale=noise_scale, length_scale=length_scale, noise_scale_w=noise_scale_w,
            )[0]  # fmt: skip
        noise, noise_w = others
        prior = model.read(tokens, lengths, voice)
        logs = model.durations(prior.features, prior.mask, voice, noise_w * noise_scale_w)
        frames = predicted_frames(logs, prior.mask, length_scale)
        totals = frames.sum(1)
        longest = totals.max().long()
        path, mask = expansion(frames, longest), length_mask(totals, longest)
        mean, log_scale = prior.mean @ path, prior.log_scale @ path
        z = sampled(mean, log_scale, mask, noise[:, :, : mean.shape[2]] * noise_scale)
        return model.decoder(model.flow.inverse(z, mask, voice) * mask, voice)


def onnx_bytes(model: Synthesizer, metadata: dict[str, str], *, noise_inputs: bool = False) -> bytes:
    """The model as an ONNX file.

    Args:
        model: in eval mode, weight norm folded.
        metadata: written into the file.
    """
    import onnx

    exported = ExportedVits2(model, noise_inputs=noise_inputs).eval()
    tokens = torch.arange(1, 9)[None]
    arguments: list[Tensor] = [tokens, torch.tensor([8]), torch.tensor([NOISE_SCALE, LENGTH_SCALE, NOISE_SCALE_W])]
    names, axes = (
        ["input", "input_lengths", "scales"],
        {"input": {0: "batch", 1: "tokens"}, "input_lengths": {0: "batch"}},
    )
    if model.speakers is not None:
        names.append("sid")
        arguments.append(torch.tensor([0]))
        axes["sid"] = {0: "batch"}
    if noise_inputs:
        size = 2 if model.config.stochastic_durations else 1
        names += ["noise", "noise_w"]
        arguments += [torch.zeros(1, model.config.channels, 2000), torch.zeros(1, size, 8)]
        axes.update(noise={0: "batch", 2: "frames"}, noise_w={0: "batch", 2: "tokens"})
    buffer = io.BytesIO()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # warnings of tracing, and that the exporter is deprecated: the new one cannot trace durations
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        torch.onnx.export(
            exported, tuple(arguments), buffer, input_names=names, output_names=["output"], opset_version=OPSET,
            dynamic_axes={**axes, "output": {0: "batch", 2: "samples"}}, dynamo=False,
        )  # fmt: skip
    file = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(file)
    onnx.helper.set_model_props(file, metadata)
    return file.SerializeToString()


def export_onnx(model: Synthesizer, vocab: dict[str, int], speakers: list[str], language: str, out: Path) -> list[Path]:
    """Write ``out``, ``tokens.txt`` for sherpa-onnx and ``out.json`` for piper.

    piper's runtime inserts a pad token between all phonemes, so its config is written only for models trained like
    that.

    Returns:
        The files.
    """
    out, config = Path(out), model.config
    own = {"vocab": vocab, "speakers": speakers, "add_blank": config.add_blank, "hop": config.front_end.hop}
    write_bytes(out, onnx_bytes(model, {METADATA: json.dumps(own, ensure_ascii=False), **_sherpa(model, language)}))
    beside = companions(model, vocab, speakers, language, out)
    for path, text in beside.items():
        write_text(path, text)
    return [out, *beside]


def companions(
    model: Synthesizer, vocab: dict[str, int], speakers: list[str], language: str, out: Path
) -> dict[Path, str]:
    """The files that :func:`export_onnx` writes beside ``out``, and their texts."""
    symbols = {PAD: 0, **vocab}
    files = {out.with_name("tokens.txt"): "".join(f"{symbol} {number}\n" for symbol, number in symbols.items())}
    if model.config.add_blank:
        config = json.dumps(piper_config(model, vocab, speakers, language), indent=2, ensure_ascii=False)
        files[out.with_name(out.name + ".json")] = config + "\n"
    return files


def _sherpa(model: Synthesizer, language: str) -> dict[str, str]:
    """Metadata for sherpa-onnx: a model with phonemes as its text, split into characters."""
    front = model.config.front_end
    return {
        "model_type": "vits", "comment": "coqui", "frontend": "characters", "language": language,
        "sample_rate": str(front.sample_rate), "n_speakers": str(max(model.config.speakers, 1)), "speaker_id": "0",
        "add_blank": str(int(model.config.add_blank)), "use_eos_bos": "1", "blank_id": "0", "bos_id": "0",
        "eos_id": "0", "pad_id": "0", "punctuation": "; : , . ! ? — …", "voice": "en-us", "has_espeak": "0",
        "version": "0",
    }  # fmt: skip


def piper_config(model: Synthesizer, vocab: dict[str, int], speakers: list[str], language: str) -> dict[str, Any]:
    """piper's config of a voice. eSpeak-NG's English phonemes are mapped to the vocabulary's."""
    config = model.config
    ids = {symbol: [number] for symbol, number in vocab.items()}
    english = language.split("-")[0] == "en" and all(symbol in vocab for symbol in CLUSTERS.values())
    if english:
        ids.update({two: [vocab[one]] for two, one in CLUSTERS.items()})
        ids.update({one: [vocab[s] for s in more] for one, more in SPELLINGS.items() if set(more) <= set(vocab)})
    return {
        "audio": {"sample_rate": config.front_end.sample_rate, "quality": "nano"},
        "espeak": {"voice": "en-us" if english else language},
        "language": {"code": language},
        "phoneme_type": "espeak",
        "num_symbols": config.symbols,
        "num_speakers": max(config.speakers, 1),
        "speaker_id_map": {name: number for number, name in enumerate(speakers)} if config.speakers else {},
        "phoneme_id_map": {**ids, PAD: [0], BOS: [0], EOS: [0]},
        **({"vowel_clusters": [list(two) for two in CLUSTERS]} if english else {}),
        "inference": {"noise_scale": NOISE_SCALE, "length_scale": LENGTH_SCALE, "noise_w": NOISE_SCALE_W},
        "hop_length": config.front_end.hop,
    }
