"""The commands, a package each: what one does, what comes of it, and its page. They do not import one another."""
