"""The demonstration: the real daemon on a scratch library, from a drop to a push message."""
