"""The listener: a small net that hears which phone a frame of speech is, so that a clone stays intelligible."""
