"""Layers that more than one project needs, exact in float64 as in float32."""
