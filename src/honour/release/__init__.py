"""Bundles: what was trained, hashed, with the proof that it still gives the answers it was judged on."""
