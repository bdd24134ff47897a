"""One flat module per source; found through the entry-point group `phidata.converters`."""
