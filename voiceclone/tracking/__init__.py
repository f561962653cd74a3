"""Progress on the terminal, TensorBoard, and Weights & Biases."""
