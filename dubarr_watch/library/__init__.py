"""What is on disk and what is asked for: watching, settling, markers, the way into the queue."""
