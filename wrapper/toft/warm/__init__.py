"""How the warm engine is found and spoken to."""
