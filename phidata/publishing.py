"""Pushing a data set to the hub."""
