"""Figures of a training and of a voice, by matplotlib."""
