"""The store: the durable truth, in SQLite; the only room that talks SQL."""
