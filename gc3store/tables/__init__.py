"""Records, and what is in their objects, as tables."""
