"""What is said about the work (floor 1): the keys and formats of log lines, and the definition of every metric."""
