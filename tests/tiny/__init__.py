"""Checkpoints without any training, small enough to build in a test, for the real libraries."""
