"""Recipes of stage 2 and the parts of the default one, by name. Imports no torch, for the command line."""

from __future__ import annotations

from voiceclone.errors import UsageError

BEST, PLAIN = RECIPES = ("best", "plain")
PARTS = {
    "alignment": "phone durations of the clips by dynamic time warping (else the base's own, stretched)",
    "initialization": "the initialization among stock voices (else their mean)",
    "student": "alignment and initialization on nano, the base's student (else on the base itself, which is slow)",
    "blend": "the convex blend of stock voices as an initialization",
    "mel": "the mel errors",
    "speaker": "the speaker encoder's term",
    "phones": "the phone classifier's term: each frame is to be classified as its phone",
    "free-running": "the crops spoken with the voice's own durations, F0 and energy (else all follow the recording)",
    "prosody": "the duration, F0 and energy terms",
}
# Parts of earlier versions. The first ones were disabled by default and have been removed, so that disabling them is
# accepted. The others can no longer be disabled.
_GONE = frozenset({"average", "drift", "prior"})
_FIXED = frozenset({"rows", "stop"})


def parse_parts(text: str) -> frozenset[str]:
    """Parse ``"phones,speaker"`` to a set of names.

    Raises:
        UsageError: a name is not a part.
    """
    names = frozenset(name.strip() for name in text.split(",") if name.strip()) - _GONE
    if fixed := sorted(names & _FIXED):
        raise UsageError(f"--without {fixed[0]!r}: this part cannot be left out any more: remove it from the list")
    if unknown := sorted(names - set(PARTS)):
        raise UsageError(f"--without {unknown[0]!r}: use a comma-separated list of {', '.join(PARTS)}")
    return names
