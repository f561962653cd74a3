"""Which sound of a recording belongs to which symbol of its text.

Four aligners, each for what the others cannot do:

- :mod:`.base_warp`: a clip against the base's own synthesis of its phonemes, for cloning. It knows the base's phone
  boundaries exactly and needs no training.
- :mod:`.espeak_warp`: a clip against eSpeak-NG's reading, for training a base, where there is none yet. English.
- :mod:`.learned`: a clip by Gaussians learned from the same recordings, for training in every language.
- :mod:`.rough_aligner`, :mod:`.coarse`, :mod:`.fine`, :mod:`.learning`: recordings of hours, in which words may be
  missing or sound may lie between them.

They share the rounding of durations (:func:`.durations.whole_frames`), the warping of clips (:mod:`.warping`) and the
cepstra (:mod:`.features`). Three searches for the cheapest way remain: :mod:`.warping` is librosa's, for two utterances
of the same words; :mod:`.paths` adds pauses, foreign sound and skipped text, which librosa's does not know;
:mod:`.fine` looks within a band about a known way, through states of phones, in time linear in the length. The best
monotonic alignment of :mod:`.forward_sum` is that of the package ``monotonic-alignment-search``.
"""
