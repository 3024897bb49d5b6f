"""Features: declared once, folded online and compiled to SQL offline, and proved to be the same numbers."""
