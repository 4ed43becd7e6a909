"""Generated requests against a running server, for as long as one likes: ``make fuzz``."""
