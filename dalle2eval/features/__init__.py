"""Images to features through any extractor, checked at the border; metrics only ever see tables."""

from dalle2eval.features.extract import embed_aligned, embed_images, embed_texts, extractor_label

__all__ = ["embed_aligned", "embed_images", "embed_texts", "extractor_label"]
