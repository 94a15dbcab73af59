"""Commands: one file a group, each parses, calls one function, and prints."""
