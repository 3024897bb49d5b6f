"""Policies to play against: what merchants do without Honour, the open peer's router, bandits, and oracles as upper marks."""
