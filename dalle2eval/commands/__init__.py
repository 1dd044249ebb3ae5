"""The commands of `dalle2eval.cli`, a room each; whatever is heavy is imported inside them."""
