"""Kafka: the event log as a stream out, and reports as a stream in."""
