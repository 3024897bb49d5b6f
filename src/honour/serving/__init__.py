"""Serving: HTTP around the engine. Reads the clock and sockets, calls the core, writes down the result."""
