"""GPUs: which there are, what is free on them, and who may use how much of it."""
