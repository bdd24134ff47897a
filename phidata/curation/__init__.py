"""Data sets from data sets: merged, split, without duplicates."""
