"""Text to phonemes through ``kokoro.KPipeline``'s G2P, also on machines without the spaCy English model.

misaki's English G2P installs ``en_core_web_sm`` on construction and exits the process if that fails. Here nothing is
installed: without the model, a blank spaCy pipeline with rule-based tags (:mod:`voiceclone.text.offline_tagger`)
replaces it, and a notice says how to install it. Only the ``spacy`` that misaki sees is replaced, under a lock and
during the construction.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from voiceclone.errors import MissingPackageError, UsageError, VoicecloneError
from voiceclone.text.normalization import ENGLISH, normalize
from voiceclone.text.scripts import readable

if TYPE_CHECKING:
    from kokoro import KModel, KPipeline

logger = logging.getLogger(__name__)

LANGUAGES = {
    "a": "American English",
    "b": "British English",
    "e": "Spanish",
    "f": "French",
    "h": "Hindi",
    "i": "Italian",
    "p": "Brazilian Portuguese",
    "j": "Japanese",
    "z": "Mandarin Chinese",
}
ALIASES = {
    "en-us": "a", "en-gb": "b", "es": "e", "fr-fr": "f", "hi": "h", "it": "i", "pt-br": "p", "ja": "j", "zh": "z",
}  # fmt: skip
INSTALLS = {"j": "pip install 'misaki[ja]' && python -m unidic download", "z": "pip install 'misaki[zh]'"}
SPACY_MODEL = "en_core_web_sm"
REPO_ID = "hexgrad/Kokoro-82M"
# eSpeak-NG drops the end of a clause of more than some 900 phonemes, which only occurs with numbers and signs.
CLAUSE_WEIGHT = 600
CLAUSE_MARKS = frozenset(';:,.!?¡¿—…"«»“”(){}[]')
NOTICE = (
    f"The spaCy model {SPACY_MODEL} is not installed, so a rule-based tagger stands in: a few words with two"
    f" pronunciations (read, record) may come out wrong; to mend: python -m spacy download {SPACY_MODEL}"
)

_lock = threading.RLock()
_lexicons: dict[bool, Any] = {}  # misaki's, by whether they are British; nothing writes to them


class Phonemizer:
    """Phonemes of one language.

    Args:
        lang: one of :data:`LANGUAGES`, or an alias that KPipeline takes (``en-us``).

    Raises:
        UsageError: the language is not known.
        MissingPackageError: what it needs is not installed.
    """

    def __init__(self, lang: str) -> None:
        self.lang = language_code(lang)
        self._pipeline = build_pipeline(self.lang, False)
        self.notice = notice_of(self._pipeline)
        """One line to show the user once, or None."""

    def phonemes(self, text: str) -> str:
        """The phonemes that ``say`` speaks for ``text``, line breaks read as spaces, of any length; may be empty.

        Raises:
            VoicecloneError: a part is in a script that the language cannot read, or the G2P fails on the text.
        """
        text = " ".join(text.split())
        if unread := readable(text, self.lang).unread:
            raise VoicecloneError(
                f"{LANGUAGES[self.lang]} (language {self.lang}) cannot read the script of {unread[0][:20]!r}:"
                " write it in the letters of the language, or choose another language"
            )
        text = normalize(text, self.lang)
        if not text:
            return ""
        try:
            if self.lang not in ENGLISH:
                return phonemes_beyond_english(self._pipeline, text)
            tokens = self._pipeline.g2p(text)[1]
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
            raise VoicecloneError(f"no phonemes for the text {text[:40]!r} ({reason}): reword it") from error
        for token in tokens:
            token.phonemes = token.phonemes or ""
        return str(self._pipeline.tokens_to_ps(tokens))


def phonemes_beyond_english(pipeline: KPipeline, text: str) -> str:
    """Phonemes of one line of a language other than English, of any length; may be empty."""
    parts = [text] if pipeline.lang_code in INSTALLS else _clauses(text)
    return " ".join(found for part in parts if (found := (pipeline.g2p(part)[0] or "").strip()))


def _clauses(text: str) -> Iterator[str]:
    """``text`` cut between words where a clause would grow too long for eSpeak-NG; a digit or sign counts as a word."""
    start = space = weight = 0
    for place, character in enumerate(text):
        if character.isspace():
            space = place
        weight = 0 if character in CLAUSE_MARKS else weight + (1 if character.isalpha() or character == " " else 10)
        if weight > CLAUSE_WEIGHT and space > start:
            yield text[start:space]
            start, weight = space, 0
    yield text[start:]


def language_code(lang: str) -> str:
    """Kokoro's one-letter code for ``lang``.

    Raises:
        UsageError: Kokoro has no such language.
    """
    code = ALIASES.get(lang.lower(), lang.lower())
    if code not in LANGUAGES:
        known = ", ".join(f"{code} ({name})" for code, name in LANGUAGES.items())
        raise UsageError(f"unknown language {lang!r}: choose one of {known}")
    return code


def build_pipeline(lang: str, model: KModel | bool, *, repo_id: str = REPO_ID) -> KPipeline:
    """A ``kokoro.KPipeline`` on ``model`` (False for phonemes only) that needs no internet and no spaCy model.

    Args:
        repo_id: where KPipeline looks for voices named without ``.pt``; given so that it prints no warning.

    Raises:
        UsageError: the language is not known.
        MissingPackageError: what it needs is not installed.
    """
    code = language_code(lang)
    from kokoro import KPipeline

    context = _spacy_for_misaki() if code in "ab" else contextlib.nullcontext()
    with context:
        try:
            return KPipeline(lang_code=code, repo_id=repo_id, model=model)
        except Exception as error:
            if code not in INSTALLS:
                raise
            reason = " ".join(str(error).split())[:120]
            raise MissingPackageError(
                f"{LANGUAGES[code]} (language {code}) needs more packages ({reason}): {INSTALLS[code]}"
            ) from error


def notice_of(pipeline: KPipeline) -> str | None:
    """The warning for a pipeline whose English is tagged by rules; None for others."""
    from voiceclone.text.offline_tagger import COMPONENT

    nlp = getattr(pipeline.g2p, "nlp", None)
    return NOTICE if nlp is not None and COMPONENT in nlp.pipe_names else None


class _SpacyStandIn:
    """spaCy for misaki during the construction of its G2P: the model is reported as installed and is ours."""

    def __init__(self, spacy: Any, nlp: Any) -> None:
        self._spacy = spacy
        self._nlp = nlp
        self.util = self

    def is_package(self, name: str) -> bool:
        return True

    def load(self, name: str, **settings: Any) -> Any:
        return self._nlp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spacy, name)


@contextlib.contextmanager
def _shared_lexicons(en: Any) -> Iterator[None]:
    """Within the block, G2Ps of one variety of English share one lexicon, which is read once per process (0.5 s)."""
    kind = en.Lexicon

    class SharedLexicon(kind):  # type: ignore[valid-type, misc]
        def __new__(cls, british: bool) -> Any:
            return _lexicons.get(british) or super().__new__(cls)

        def __init__(self, british: bool) -> None:
            if british not in _lexicons:
                super().__init__(british)
                _lexicons[british] = self

    en.Lexicon = SharedLexicon  # a class, like misaki's own: another thread may be using it meanwhile
    try:
        yield
    finally:
        en.Lexicon = kind


@contextlib.contextmanager
def _spacy_for_misaki() -> Iterator[None]:
    """Within the block, ``misaki.en.G2P`` can be built; the spaCy model is used if it is installed."""
    import spacy
    from misaki import en

    with _lock, _shared_lexicons(en):
        nlp = None
        if not _model_loads():
            from voiceclone.text.offline_tagger import build_offline_nlp

            nlp = build_offline_nlp()
        if nlp is None:
            yield
            return
        en.spacy = _SpacyStandIn(spacy, nlp)
        try:
            yield
        finally:
            en.spacy = spacy


def _model_loads() -> bool:
    """Whether the spaCy model is installed and fits the installed spaCy."""
    import spacy

    if not spacy.util.is_package(SPACY_MODEL):
        return False
    try:
        spacy.load(SPACY_MODEL, enable=["tok2vec", "tagger"])
    except (OSError, ValueError, ImportError, AttributeError, KeyError) as error:  # made for another spaCy
        logger.warning("the installed %s does not load (%s)", SPACY_MODEL, error)
        return False
    return True
