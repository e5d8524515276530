"""Conformance checks of networks, tasks and readers: what Svertka's own keep, and a plug-in's have to keep as well.

They are plain functions, for any test runner: each returns nothing, or raises an `AssertionError` that says what is
wrong.
"""

from svertka.testing.nets import check_learning, check_net, check_shapes, check_state
from svertka.testing.readers import check_reader
from svertka.testing.tasks import check_task

__all__ = ["check_learning", "check_net", "check_reader", "check_shapes", "check_state", "check_task"]
