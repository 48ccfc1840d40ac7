"""`python -m dubarr_watch` is `dubarr-watch`."""

from dubarr_watch.cli import main

main()
