"""Makes askonce-models' embedder: public float32 weights in, an 8-bit ONNX file out."""
