"""Reliability as data and small functions (floor 2): who lives, and what is tried again when."""
