"""``export``: a model file becomes an ONNX graph, proven to agree."""
