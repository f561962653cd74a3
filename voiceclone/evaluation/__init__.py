"""Evaluation of a voice: metrics, comparison with other voices, report."""
