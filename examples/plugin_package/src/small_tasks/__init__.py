"""Three small tasks for Svertka, each in a file of its own."""


def register() -> None:
    """Register what this package has; the entry point calls it."""
    import svertka
    from small_tasks import records

    svertka.register(*records.WAVES, *records.DRAWING, *records.EMBEDDING)
