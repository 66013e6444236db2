"""Second order: what one strategy implies of another, and what is not defined in which mode."""
