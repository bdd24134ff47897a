"""Repairs of what validation finds, where a repair is certain."""
