"""`python -m dubarr_watch.settings > config.example.env`."""

import sys

from dubarr_watch.settings import example_env

sys.stdout.write(example_env())
