"""A data set as one page to look at."""
