"""What a project tells the tools about itself."""
