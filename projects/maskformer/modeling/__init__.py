"""MaskFormer's networks: backbones, pixel decoders, the transformer decoder, heads.

After Cheng et al. 2021 (arXiv 2107.06278), Carion et al. 2020 (2005.12872), Liu et al. 2021
(2103.14030) and He et al. 2016 (1512.03385), channels last.
"""
