"""The command line: reads settings, clocks and files, and calls the loop."""
