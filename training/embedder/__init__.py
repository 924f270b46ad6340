"""Builds the embedder of askonce-models: public float32 weights in, an 8-bit ONNX file out.

Nothing imports this package; start in `__main__`.
"""
