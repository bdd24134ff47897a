"""One module a command: its options, one SDK call, what it prints."""
