"""Karlo, the only open weights of DALL·E 2's kind, on this project's own networks.

Karlo (kakaobrain, 2022) is unCLIP with these differences: it reads the states of CLIP's text tower
where the paper's decoder has a text encoder of its own; its embeddings are CLIP's raw ones, not of
unit length; its null condition is the empty caption; it samples by DDPM on strided steps; and its
upsampler is two networks, of which the second makes the last step. Weights come in by
`importing.import_folder`.
"""
