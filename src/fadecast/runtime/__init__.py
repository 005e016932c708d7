"""A bundle at work: numpy and onnxruntime only, on a vehicle and in a batch job alike."""
