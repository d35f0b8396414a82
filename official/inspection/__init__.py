"""What a model is made of: parameters, operations, shapes."""
