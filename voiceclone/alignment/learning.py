"""Train phone models of a speaker on part of the recordings, before all words are aligned."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from voiceclone.alignment.coarse import POOL, RANGE_DB, CepstralCost, CostModel, Section, pace, settled
from voiceclone.alignment.features import Scale, scale_of
from voiceclone.alignment.fine import RANGE_DB as FINE_RANGE_DB
from voiceclone.alignment.fine import PhoneModelCost, align_section, rough_labels
from voiceclone.alignment.phones import PhoneSums, PhoneTable, Third
from voiceclone.alignment.reading import READERS, Reading
from voiceclone.alignment.recording_features import FRAME
from voiceclone.alignment.rough_aligner import RoughAligner

LEARN_SECONDS = 900.0  # seconds of the recordings used for training
REFINEMENTS = 2
HELD_OUT_SECONDS = 600.0  # seconds; with less training material, each segment is scored by models trained on the others
_SCALE_RECORDINGS = 20
_SAMPLE_CHARACTERS = 2500  # characters of the text from which the synthesis' feature scale is computed
_SAMPLE_PARTS = 6  # parts of the text used to select the eSpeak-NG voice
Found = tuple[int, Reading, Section]
"""Index of the recording, synthesised text, and its rough position."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Trained models and settings of a speaker."""

    variant: str
    """The variant of eSpeak-NG's voice nearest to the speaker."""
    stretch: float
    """Duration ratio of the recordings to the synthesis."""
    table: PhoneTable = field(repr=False)
    scale: Scale = field(repr=False)
    """Feature scale for recordings that are too short for their own."""
    labels: Mapping[int, np.ndarray] = field(default_factory=dict, repr=False)
    """For training recordings, where there are few: the row of the table for each frame, or -1."""

    def voice(self, aligner: RoughAligner, index: int) -> PhoneModelCost:
        """The cost model for recording ``index``. Models that score training frames were trained without them."""
        scale, models = aligner.scale(index, self.scale), self.table.models()
        if index not in self.labels:
            return PhoneModelCost(models, scale)
        features = scale.apply(aligner.features(index).mel)
        return PhoneModelCost(models, scale, self.table.held_out_gaps(features, self.labels[index]))

    def to_bytes(self) -> bytes:
        """Serialise as a NumPy archive."""
        buffer = io.BytesIO()
        labels: dict[str, Any] = {f"labels_{index}": found for index, found in self.labels.items()}
        np.savez(
            buffer,
            variant=np.array(self.variant),
            numbers=np.array([self.stretch, self.scale.pool, self.scale.range_db, self.scale.top]),
            phones=np.array([phone for phone, _ in self.table.thirds]),
            thirds=np.array([third for _, third in self.table.thirds]),
            count=self.table.count,
            first=self.table.first,
            second=self.table.second,
            scale_mean=self.scale.mean,
            scale_spread=self.scale.spread,
            **labels,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Learned:
        """Inverse of :meth:`to_bytes`, bit-exact."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            stretch, pool, range_db, top = archive["numbers"].tolist()
            thirds = tuple(zip(archive["phones"].tolist(), archive["thirds"].tolist(), strict=True))
            names = [name for name in archive.files if name.startswith("labels_")]
            return cls(
                variant=str(archive["variant"]),
                stretch=stretch,
                table=PhoneTable(
                    thirds=thirds, count=archive["count"], first=archive["first"], second=archive["second"]
                ),
                scale=Scale(
                    pool=int(pool),
                    range_db=range_db,
                    top=top,
                    mean=archive["scale_mean"],
                    spread=archive["scale_spread"],
                ),
                labels={int(name.removeprefix("labels_")): archive[name] for name in names},
            )


def learn(aligner: RoughAligner) -> Learned:
    """Select the eSpeak-NG voice and train the phone models.

    Raises:
        VoicecloneError: the text cannot be synthesised, or a recording cannot be read.
    """
    lessons = _lessons(aligner)
    heard = [aligner.features(index) for index in lessons[:_SCALE_RECORDINGS]]
    parts = [(sound.mel, sound.speech) for sound in heard]
    rough_scale = scale_of(parts, pool=POOL, range_db=RANGE_DB)
    scale = scale_of(parts, pool=1, range_db=FINE_RANGE_DB)
    variant, stretch, reading_scale = _choose_reader(aligner, lessons, rough_scale)

    def likeness(index: int) -> CostModel:
        return CepstralCost(aligner.scale(index, rough_scale), reading_scale)

    def learned(found: Iterable[Found], before: Learned | None) -> Learned:
        table, labels = _fit(aligner, found, scale, before)
        return Learned(variant=variant, stretch=stretch, table=table, scale=scale, labels=labels)

    known = learned(_all_rough(aligner, lessons, variant, likeness, stretch), None)
    first = known
    found = list(_all_rough(aligner, lessons, variant, lambda index: first.voice(aligner, index), stretch))
    known = learned(found, None)
    for _ in range(REFINEMENTS):
        known = learned(found, known)
    return known


def _lessons(aligner: RoughAligner) -> list[int]:
    """Indices of the training recordings: the first ones of a running text, otherwise a spread-out selection."""
    order = list(range(len(aligner.recordings)))
    if aligner.script.running is None:
        order = sorted(aligner.parts)
        total = sum(aligner.recordings[index].seconds for index in order)
        order = order[:: max(1, int(total // LEARN_SECONDS))]
    chosen, seconds = [], 0.0
    for index in order:
        if seconds >= LEARN_SECONDS:
            break
        chosen.append(index)
        seconds += aligner.recordings[index].seconds
    return chosen


def _choose_reader(aligner: RoughAligner, lessons: list[int], rough_scale: Scale) -> tuple[str, float, Scale]:
    """The variant nearest to the speaker, the duration ratio, and the synthesis' feature scale."""
    sample = aligner.script.running
    if sample is None:
        sample = "\n".join(part.text for index in lessons for part in aligner.parts.get(index, []))
    found = []
    for variant in READERS:
        reading = aligner.reader(variant).read(sample, 0, min(_SAMPLE_CHARACTERS, len(sample)))
        spoken = np.ones(reading.mel.shape[1], dtype=bool)
        scale = scale_of([(reading.mel, spoken)], pool=POOL, range_db=RANGE_DB)
        if aligner.script.running is not None:
            cost_model = CepstralCost(aligner.scale(lessons[0], rough_scale), scale)
            stretch, cost = pace(aligner.features(lessons[0]), reading, 0, cost_model)
        else:
            stretch, cost = 1.0, _cost_of_parts(aligner, lessons, variant, rough_scale, scale)
        found.append((cost, variant, stretch, scale))
    _, variant, stretch, scale = min(found, key=lambda item: item[0])
    return variant, stretch, scale


def _cost_of_parts(aligner: RoughAligner, lessons: list[int], variant: str, rough_scale: Scale, scale: Scale) -> float:
    costs: list[float] = []
    seconds: list[float] = []
    for index in lessons:
        cost_model = CepstralCost(aligner.scale(index, rough_scale), scale)
        for _, _, section in islice(aligner.rough(index, variant, cost_model, 1.0, 0), _SAMPLE_PARTS - len(costs)):
            costs.append(section.cost)
            seconds.append(section.end - section.start)
    return float(np.average(costs, weights=seconds)) if costs else float("inf")


def _all_rough(
    aligner: RoughAligner, lessons: list[int], variant: str, cost_model: Callable[[int], CostModel], stretch: float
) -> Iterator[Found]:
    """Rough alignments of the training recordings, up to :data:`LEARN_SECONDS`."""
    seconds, next_word = 0.0, 0
    for index in lessons:
        for part, reading, section in aligner.rough(index, variant, cost_model(index), stretch, next_word):
            yield index, reading, section
            seconds += section.end - section.start
            if part is None and section.words:
                next_word = section.words[-1].word + 1
            if seconds >= LEARN_SECONDS:
                return


def _fit(
    aligner: RoughAligner, found: Iterable[Found], scale: Scale, before: Learned | None
) -> tuple[PhoneTable, dict[int, np.ndarray]]:
    """Train phone models on rough alignments, or on exact ones by earlier models; labels only where there are few."""
    sums = PhoneSums()
    labelled: dict[int, list[tuple[int, list[Third | None]]]] = {}
    voices: dict[int, PhoneModelCost] = {}
    for index, reading, whole in found:
        own = aligner.scale(index, scale)
        if before is not None and index not in voices:
            voices = {index: before.voice(aligner, index)}  # only the last one is kept, because they are large
        for section in settled(whole, reading):
            local = aligner.features(index).part(section.start, section.end)
            if before is None:
                labels = rough_labels(section.words, reading, section.start, local.mel.shape[1])
            else:
                labels = align_section(section, local, reading, voices[index])[1]
            sums.add(own.apply(local.mel), labels)
            labelled.setdefault(index, []).append((local.first, labels))
    table = sums.table()
    seconds = FRAME * sum(len(labels) for parts in labelled.values() for _, labels in parts)
    if seconds > HELD_OUT_SECONDS:
        return table, {}
    rows: dict[Third | None, int] = {None: 0, **{third: 1 + row for row, third in enumerate(table.thirds)}}
    known = {}
    for index, parts in labelled.items():
        known[index] = np.full(aligner.features(index).mel.shape[1], -1, dtype=np.int16)
        for first, labels in parts:
            known[index][first : first + len(labels)] = [rows[label] for label in labels]
    return table, known
