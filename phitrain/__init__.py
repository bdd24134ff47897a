"""phitrain: a compact DeepSpeed trainer for the Phi vision models."""

import logging

# Whoever imports it first: it tells of kernels that it could have besides.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
