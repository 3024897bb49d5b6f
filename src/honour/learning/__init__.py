"""Learning: from a training set to a calibrated model with its card, and judging it on later data."""
