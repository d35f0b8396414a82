"""What cases need beside MaskFormer's networks: losses, an optimizer, a step, preprocessing."""
