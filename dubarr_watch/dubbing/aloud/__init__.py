"""Texts as they are spoken: numbers, units, times, money and abbreviations in full words."""

from dubarr_watch.dubbing.aloud.form import spoken_form as spoken_form
