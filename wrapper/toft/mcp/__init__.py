"""The face for agents: a Model Context Protocol server over stdio."""
