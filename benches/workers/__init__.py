"""What runs in a Python of its own."""
