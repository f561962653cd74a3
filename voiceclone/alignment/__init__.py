"""Which frames of a recording belong to which phone or word: of clips, of long recordings, of a training corpus."""
