"""ONNX Runtime as a process has it: imported here and nowhere else, so that it reports to nobody.

``svertka/__init__.py`` sets the variable that it looks at when it is imported, be it by a library that we use.
"""

from __future__ import annotations

from typing import Any

from svertka.runtime.cores import available_cores

_QUIET = 4  # severity from which on it logs: what goes wrong is raised, not printed


def cpu_session(graph: str | bytes, *, threads: int | None = None, literal: bool = False, spin: bool = True) -> Any:
    """An ``onnxruntime.InferenceSession`` on the processor.

    Args:
        graph: Path of a file, or the content of one.
        threads: How many to use; all that the process may use if not given.
        literal: Run every operation as the graph says it.
        spin: Let threads that have nothing to do go round and round.

    Raises:
        Exception: The graph cannot be read; ONNX Runtime's errors have no common class.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for programs that imported it before Svertka
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or available_cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.log_severity_level = _QUIET
    if literal:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Without its fallback, which prints.
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"], enable_fallback=0)
