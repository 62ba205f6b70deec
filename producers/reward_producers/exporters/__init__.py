"""Further places that measures are written to: TensorBoard, W&B."""
