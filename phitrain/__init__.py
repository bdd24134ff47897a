"""phitrain: a compact DeepSpeed trainer for the Phi vision models."""
