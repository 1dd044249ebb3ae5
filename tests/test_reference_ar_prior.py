"""The autoregressive prior: codes, order, what it may see, and that it learns."""

import pytest
import torch
from torch.nn import functional

from reference_model.ar_prior import AutoregressivePrior
from reference_model.pca import fit_pca, reconstruct
from reference_model.variant_config import AutoregressivePriorConfig
from reference_model.variants import paper

CONFIG = AutoregressivePriorConfig(
    z_dim=8, text_width=6, context_length=5, num_components=4, width=16, depth=1, heads=2,
    num_buckets=32, num_products=8,
)  # fmt: skip


def embeddings(n=400, seed=0):
    """Unit-length z_i in a few dimensions of falling size, and z_t near them."""
    source = torch.Generator().manual_seed(seed)
    scales = torch.tensor([1.0, 0.6, 0.4, 0.3, 0.01, 0.01, 0.01, 0.01])
    z_i = functional.normalize(torch.randn(n, 8, generator=source) * scales + 0.5, dim=-1)
    z_t = functional.normalize(z_i + 0.2 * torch.randn(n, 8, generator=source), dim=-1)
    return z_i, z_t


def text_of(z_t, seed=1):
    source = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[True, True, True, False, False]]).expand(len(z_t), -1)
    return z_t, torch.randn(len(z_t), 5, 6, generator=source), mask


@pytest.fixture
def prior():
    torch.manual_seed(0)
    made = AutoregressivePrior(CONFIG)
    made.fit_codes(*embeddings())
    return made.eval()


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99, 1.0])
def test_components_keep_the_stated_energy_and_not_one_more(energy):
    z_i, _ = embeddings()
    pca = fit_pca(z_i, energy=energy)
    total = z_i.var(dim=0).sum()
    assert pca.variances.sum() / total >= energy - 1e-5
    assert pca.variances[:-1].sum() / total < energy
    assert (pca.variances[:-1] >= pca.variances[1:]).all()
    assert torch.allclose(pca.project(z_i).var(dim=0), pca.variances, rtol=1e-3)


def test_all_components_rebuild_an_embedding_and_fewer_rebuild_it_less():
    z_i, _ = embeddings()
    pca = fit_pca(z_i)
    errors = [(reconstruct(pca, z_i, k) - z_i).norm(dim=-1).mean().item() for k in (1, 3, 8)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-5


def test_codes_lose_at_most_half_a_bucket(prior):
    z_i, _ = embeddings()
    kept = (z_i - prior.mean) @ prior.components.T
    share = (prior.encode(z_i) + 0.5) / CONFIG.num_buckets
    coded = prior.low + share * (prior.high - prior.low)
    width = (prior.high - prior.low) / CONFIG.num_buckets
    assert ((coded - kept).abs() <= 0.5 * width + 1e-6).all()
    assert prior.encode(10 * z_i).max() <= CONFIG.num_buckets - 1
    assert torch.allclose(prior.decode(prior.encode(z_i)).norm(dim=-1), torch.ones(len(z_i)))


def test_a_code_sees_only_the_codes_before_it(prior):
    z_i, z_t = embeddings(3)
    text, known, codes = text_of(z_t), torch.ones(3, dtype=torch.bool), prior.encode(z_i)
    product = prior.product_token(z_i, z_t)
    changed = codes.clone()
    changed[:, 1] = (changed[:, 1] + 7) % CONFIG.num_buckets
    with torch.no_grad():
        before, after = (prior(text, known, product, c[:, :-1]) for c in (codes, changed))
    assert before.shape == (3, CONFIG.num_components, CONFIG.num_buckets)
    assert torch.allclose(before[:, :2], after[:, :2], atol=1e-6)
    assert not torch.allclose(before[:, 2:], after[:, 2:], atol=1e-4)


def test_padding_and_a_dropped_text_are_not_seen(prior):
    z_i, z_t = embeddings(2)
    product, codes = prior.product_token(z_i, z_t), prior.encode(z_i)[:, :-1]
    z, states, mask = text_of(z_t)
    padded = torch.where(mask[..., None], states, states + 9)
    with torch.no_grad():
        known = torch.ones(2, dtype=torch.bool)
        here, there = (prior((z, s, mask), known, product, codes) for s in (states, padded))
        null, other = (
            prior(text, ~known, product, codes)
            for text in ((z, states, mask), text_of(-z_t, seed=5))
        )
    assert torch.allclose(here, there, atol=1e-6)
    assert torch.allclose(null, other, atol=1e-6)
    assert not torch.allclose(here, null, atol=1e-3)


def test_product_tokens_have_equal_shares_and_sampling_asks_for_the_better_half(prior):
    z_i, z_t = embeddings()
    counts = torch.bincount(prior.product_token(z_i, z_t), minlength=CONFIG.num_products)
    assert counts.min() >= 45
    asked = prior.draw_product(torch.linspace(0, 1, 101), 0.5)
    assert asked.min() == CONFIG.num_products // 2
    assert asked.max() == CONFIG.num_products - 1
    assert prior.draw_product(torch.zeros(1), 1.0) == 0


def test_a_sample_does_not_depend_on_its_batch_and_candidates_help(prior):
    _, z_t = embeddings(3)
    z, states, mask = text_of(z_t)
    keys = [("a", 0), ("b", 0), ("c", 1)]
    with torch.inference_mode():
        together = prior.sample((z, states, mask), keys, guidance_scale=2.0)
        alone = prior.sample((z[1:2], states[1:2], mask[1:2]), keys[1:2], guidance_scale=2.0)
        one, four = (prior.sample((z, states, mask), keys, candidates=k) for k in (1, 4))
    assert torch.allclose(together[1:2], alone, atol=1e-6)
    assert ((four * z).sum(-1) >= (one * z).sum(-1) - 1e-6).all()


def test_it_learns_which_image_belongs_to_which_text():
    """Two captions, two clusters of z_i: after a short training each text finds its own."""
    torch.manual_seed(0)
    centres = functional.normalize(
        torch.tensor([[1.0] * 4 + [0.0] * 4, [0.0] * 4 + [1.0] * 4]), dim=-1
    )
    label = torch.arange(200) % 2
    z_i = functional.normalize(centres[label] + 0.1 * torch.randn(200, 8), dim=-1)
    texts = torch.randn(2, 5, 6)
    mask, known = torch.ones(200, 5, dtype=torch.bool), torch.ones(200, dtype=torch.bool)
    text = (centres[label], texts[label], mask)
    prior = AutoregressivePrior(CONFIG)
    prior.fit_codes(z_i, text[0])
    optimizer = torch.optim.AdamW(prior.parameters(), lr=1e-2)
    first = prior.loss(z_i, text, known).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = prior.loss(z_i, text, known)
        loss.backward()
        optimizer.step()
    assert loss.item() < first - 0.5
    keys = [("p", k) for k in range(20)]
    with torch.inference_mode():
        made = prior.sample(tuple(part[:20] for part in text), keys)
    assert ((made @ centres.T).argmax(dim=-1) == label[:20]).all()


def test_the_papers_size_rounds_to_one_billion():
    with torch.device("meta"):
        built = AutoregressivePrior(paper().prior_ar)
    size = sum(p.numel() for p in built.parameters())
    assert round(size / 1e9) == 1
    assert size == pytest.approx(24 * 12 * 1664**2, rel=0.02)
