"""Features to pixel embeddings: the pyramid, with and without a transformer encoder."""
