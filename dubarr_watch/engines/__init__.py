"""Engines: the models behind the seams, the processes they run in, and where they come from."""
