"""What a run tells the people who watch it: progress on the terminal, TensorBoard, Weights & Biases."""
