"""Outcomes: what came back, matched to what was decided, and the state that is folded from it."""
