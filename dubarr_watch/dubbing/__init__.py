"""Dubbing: the pipeline and its stages, one file a stage, named for what it makes."""
