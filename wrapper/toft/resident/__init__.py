"""A process that has everything imported, and forks for each command: a start costs milliseconds."""
