"""From raw events to a registered challenger that every gate has passed: `honour pipeline run`."""
