"""The torch modules that become the ONNX graphs: summary, scaler, memory, heads."""
