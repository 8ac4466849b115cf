"""The app: events come in, are stored, matched, routed, processed, and acted upon."""
