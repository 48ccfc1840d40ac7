"""Benchmarks: one command each, results with machine and date in results/."""

import dubarr_watch.cli  # noqa: F401 - numpy is to be loaded as the daemon loads it
