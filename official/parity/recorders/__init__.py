"""How a network of either framework is recorded."""
