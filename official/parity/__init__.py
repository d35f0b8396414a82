"""Proves that a TensorFlow model is the PyTorch original, and says where and why it is not.

record → transfer → pair → compare → localize → diagnose → report. A project states its case in
`case.ParityCase`; nothing here knows a project.
"""
