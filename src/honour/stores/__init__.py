"""Stores: the event log, snapshots of state, and files of past attempts. The only places where Honour keeps anything."""
