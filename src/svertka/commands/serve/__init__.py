"""``serve``: models behind HTTP, with a page."""
