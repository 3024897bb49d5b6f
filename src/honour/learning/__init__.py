"""Learning: from a training set to a calibrated model with its card, and judging it on later data."""

import os

# Threads of the training libraries sleep while they wait for each other. By default they spin, and where anything else runs on the machine
# the one that is waited for has no core: two threads for two cores then took 20 to 100 times as long as one. Read when a library loads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
