"""What reaches browsers by itself: server-sent events, and lines of the log over a web socket."""
