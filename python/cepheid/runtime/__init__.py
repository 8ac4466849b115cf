"""The app: events come in, are stored, routed, processed, and acted upon."""
