"""Kinds of approval models: one contract, one module each. `port` says what a kind promises, `named` finds them."""
