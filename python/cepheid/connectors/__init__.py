"""Where events come from: sources that an app follows, each with how far it has been read."""
