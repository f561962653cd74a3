"""Alignment of recordings to their text.

There are four aligners for different inputs:

- :mod:`.base_warp`: a clip to the base's own synthesis of its phonemes, for cloning. The phone boundaries of the
  synthesis are known exactly, and no training is needed.
- :mod:`.espeak_warp`: a clip to eSpeak-NG's synthesis, for training a base, when there is no base yet. English only.
- :mod:`.learned`: a clip by Gaussians estimated from the same recordings, for training in any language.
- :mod:`.rough_aligner`, :mod:`.coarse`, :mod:`.fine`, :mod:`.learning`: recordings of up to hours with missing words or
  sound that is not in the text.

They share the rounding of durations (:func:`.durations.whole_frames`), the warping of clips (:mod:`.warping`) and the
cepstra (:mod:`.features`). There are three shortest-path searches. :mod:`.warping` uses librosa's dynamic time warping
for two utterances of the same words. :mod:`.paths` adds pauses, foreign sound and skipped text, which librosa does not
support. :mod:`.fine` searches a band around a known path through HMM states of phones, in time linear in the length.
The best monotonic alignment of :mod:`.forward_sum` is that of the package ``monotonic-alignment-search``.
"""
