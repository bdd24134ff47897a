"""Whether a data folder is what its manifest says."""
