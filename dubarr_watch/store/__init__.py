"""The store: the durable truth, in SQLite; the only room that talks SQL."""

from dubarr_watch.store.store import Store

__all__ = ["Store"]
