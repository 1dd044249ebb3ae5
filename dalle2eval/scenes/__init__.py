"""A procedural world with known truth: captions, renderer and a reader of pixels.

It is training data, prompt suite and exact judge in one, and needs no download.
"""
