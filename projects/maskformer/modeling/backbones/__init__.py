"""Images to features: ResNet and Swin."""
