"""The voting page: one HTML file, with a server behind it or with everything inside it.

Both are the same template, style and script. With a server, the page asks for a voter's sequence
and sends each vote. Without, the pictures lie in it as data and the answers are saved as JSON; the
sequences of several unknown voters are baked in, and each opening picks one. What a page holds
tells neither arms nor right answers.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from dalle2eval.records import InputError
from dalle2eval.store import write_atomic
from dalle2eval.votes.pairs import SLOTS
from dalle2eval.votes.sequence import sequence
from dalle2eval.votes.study import Study

TEMPLATES = Path(__file__).parent / "templates"
SEQUENCES = 32  # of a page without a server
ANSWERS_FORMAT = "dalle2eval-votes"


def served_page(study: Study, *, token: str) -> tuple[bytes, str]:
    """Return the page of a server and its content security policy."""
    return _render(
        study, {"mode": "server", "token": token}, pictures="'self' data:", connect="'self'"
    )


def write_static_page(study: Study) -> Path:
    """Write ``vote.html`` into the study's folder: it works from a disk, without a server.

    Raises:
        InputError: a picture of the study is missing.
    """
    data = {
        "mode": "static",
        "format": ANSWERS_FORMAT,
        "sequences": [_positions(study, static_voter(i)) for i in range(SEQUENCES)],
        "pairs": [
            {"pair": p.id, "prompt": shown_prompt(study, p.id), "pictures": _uris(study, p.id)}
            for p in study.pairs
        ],
    }
    page, _ = _render(study, data, pictures="data:", connect="'none'")
    place = study.folder / "vote.html"
    write_atomic(place, page)
    return place


def static_voter(index: int) -> str:
    """Return the name by which a static page's sequence is drawn."""
    return f"page-{index}"


def shown_prompt(study: Study, pair_id: str) -> str | None:
    """Return the text that a voter reads above a pair; None where the question shows none."""
    return study.by_id[pair_id].prompt if study.question.shows_prompt else None


def _positions(study: Study, voter: str) -> list[list[int]]:
    """Return a sequence as [position of the pair, 0 or 1 for the slot on the left]."""
    place = {pair.id: i for i, pair in enumerate(study.pairs)}
    return [[place[s.pair.id], SLOTS.index(s.left)] for s in sequence(study, voter)]


def _uris(study: Study, pair_id: str) -> list[str]:
    uris = []
    for slot in SLOTS:
        try:
            content = study.picture(pair_id, slot).read_bytes()
        except OSError as error:
            raise InputError(f"{study.picture(pair_id, slot)}: {error.strerror}") from None
        uris.append("data:image/webp;base64," + base64.b64encode(content).decode())
    return uris


def _render(
    study: Study, data: Mapping[str, Any], *, pictures: str, connect: str
) -> tuple[bytes, str]:
    style, script = ((TEMPLATES / name).read_text("utf-8") for name in ("vote.css", "vote.js"))
    policy = (
        f"default-src 'none'; img-src {pictures}; connect-src {connect}; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = engine.get_template("vote.html.j2").render(
        question=study.question,
        group=study.question.grid > 1,
        data={"study": study.id, "group": study.question.grid > 1, **data},
        policy=policy,
        style=Markup(style),
        script=Markup(script),
    )
    return page.encode("utf-8", "replace"), policy + "; frame-ancestors 'none'"


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
