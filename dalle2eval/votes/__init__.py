"""Human judgement: blind pairs of pictures shown to people, and what their answers say.

A study is a folder (`votes.study`): the pairs, their pictures, and the votes in SQLite. It is shown
by a small server (`votes.server`) or as one HTML file (`votes.page`), and counted by `votes.tally`.
The protocol is that of Ramesh et al. 2022 (arXiv 2204.06125 §5): photorealism, caption similarity
and diversity, each by forced or tied choice between two pictures (or grids) of one prompt.
"""
