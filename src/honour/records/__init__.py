"""Records: the words of the wire, the log and the core, one type for all three."""
