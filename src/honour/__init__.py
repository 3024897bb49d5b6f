"""Honour decides what should happen next to a card payment: attempt it now, wait, or stop."""

__version__ = "0.1.0"
