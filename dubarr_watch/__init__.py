"""dubarr-watch: drop a video into a folder and find a dubbed audio track beside it."""

__version__ = "0.1.0"
