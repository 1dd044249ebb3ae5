"""``http:URL``: an image API with an OpenAI-compatible images endpoint.

    POST {URL}/images/generations  {"model"?, "prompt", "n": 1, "size": "1024x1024",
                                    "response_format": "b64_json", "seed"?, "quality"?}

The key comes from ``DALLE2EVAL_HTTP_KEY`` and is sent only to the host in ``DALLE2EVAL_HTTP_HOST``:
a suite is a file that may come from anybody, and must not be able to send a key elsewhere.
Identity: address and parameters. Such pictures are not reproducible: the service may change behind
its name, and takes a seed only where ``send_seed`` says so. The store keeps what was paid for.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.images import BadImage, decode
from dalle2eval.models.faults import REFUSED, WrongAnswer, stand_in
from dalle2eval.models.http_client import (
    LOOPBACK,
    Conduct,
    RequestRefused,
    check_url,
    post_json,
)
from dalle2eval.models.knobs import Knob, deciding, resolve
from dalle2eval.models.one_stage import Wanted
from dalle2eval.records import InputError, fingerprint

KEY, KEY_HOST = "DALLE2EVAL_HTTP_KEY", "DALLE2EVAL_HTTP_HOST"
# Codes by which services say that they will not draw a prompt; it is counted, and the run goes on.
MODERATION = frozenset({"content_policy_violation", "moderation_blocked", "content_filter"})

KNOBS: dict[str, Knob] = {
    "served_model": Knob(kind=str, default=None, means="the service's name of its model"),
    "side": Knob(kind=int, default=1024, low=64, high=4096, means="pixels to ask for"),
    "quality": Knob(kind=str, default=None, means="sent as it is"),
    "response_format": Knob(
        kind=str,
        default="b64_json",
        allowed=("b64_json", "unsaid"),
        means="unsaid for services that know no such field and answer with b64_json all the same",
    ),
    "send_seed": Knob(kind=bool, default=False, means="send a seed, where the service takes one"),
    "timeout_s": Knob(
        kind=float, default=120.0, low=0.01, high=3600, means="for one answer", decides=False
    ),
    "attempts": Knob(
        kind=int, default=6, low=1, high=20, means="at one picture, with pauses", decides=False
    ),
    "per_minute": Knob(
        kind=float, default=None, low=0.1, high=1e5, means="requests at most", decides=False
    ),
    "price_per_image": Knob(
        kind=float, default=None, low=0, high=1e4, means="for the plan's cost", decides=False
    ),
}


class ImageApi:
    """Pictures from an image API; see the top of this module.

    Args:
        url: the address before ``/images/generations``.
        sleep: waits some seconds.
    """

    kind = "http"
    seconds_per_image = 15.0

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._parts = check_url(url)
        self.url = url.rstrip("/")
        self.name = f"http:{self.url}"
        self._sleep = sleep
        self._next = 0.0  # when the next request may go out, on the monotonic clock

    @property
    def weights(self) -> str:
        """SHA-256 of the address: what stands behind it cannot be known."""
        return fingerprint({"http": self.url})

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ValueError names what is allowed."""
        return resolve(KNOBS, changes)

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that are sent."""
        return deciding(KNOBS, settings)

    def check_samples(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> None:
        """Refuse pictures larger than those that the service is asked for, and a homeless key."""
        self._key()
        for sample in samples:
            if sample.size > settings["side"]:
                raise InputError(
                    f"{self.name}: prompt {sample.key[0]!r} is drawn at {sample.size} px and the "
                    f"service is asked for {settings['side']}; set side to {sample.size} or more"
                )

    def draw(
        self, samples: Sequence[Wanted], settings: Mapping[str, Any]
    ) -> list[NDArray[np.uint8]]:
        """Ask for each picture in turn; one that the service refuses to draw is a stand-in.

        Raises:
            InputError: the service cannot be reached, or refuses the request.
            WrongAnswer: it answered with something else than one picture of the side.
        """
        return [self._draw(sample, settings) for sample in samples]

    def _draw(self, sample: Wanted, settings: Mapping[str, Any]) -> NDArray[np.uint8]:
        self._wait(settings["per_minute"])
        try:
            answer = post_json(
                f"{self.url}/images/generations",
                _body(sample, settings),
                key=self._key(),
                conduct=Conduct(timeout_s=settings["timeout_s"], attempts=settings["attempts"]),
                sleep=self._sleep,
            )
        except RequestRefused as error:
            if error.code in MODERATION:
                return stand_in(REFUSED, settings["side"])
            hint = f"; the key comes from {KEY}" if error.status in (401, 403) else ""
            raise InputError(f"{error}{hint}") from None
        return self._picture(answer, settings["side"])

    def _wait(self, per_minute: float | None) -> None:
        if per_minute is None:
            return
        pause = self._next - time.monotonic()
        if pause > 0:
            self._sleep(pause)
        self._next = max(self._next, time.monotonic()) + 60 / per_minute

    def _key(self) -> str | None:
        key, home = os.environ.get(KEY), os.environ.get(KEY_HOST)
        host = self._parts.hostname
        if not key or (home and home != host):
            return None
        if not home:
            raise InputError(f"{KEY} is set; say in {KEY_HOST} for which host it is (here: {host})")
        if self._parts.scheme == "http" and host not in LOOPBACK:
            raise InputError(f"{self.name}: the key would travel unencrypted; use https")
        return key

    def _picture(self, answer: Any, side: int) -> NDArray[np.uint8]:
        rows = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise WrongAnswer(f"{self.name} answered without a list `data` of pictures")
        if len(rows) != 1:
            raise WrongAnswer(f"{self.name} answered 1 prompt with {len(rows)} pictures")
        text = rows[0].get("b64_json") if isinstance(rows[0], dict) else None
        if not isinstance(text, str):
            raise WrongAnswer(f"{self.name} answered without b64_json; addresses are not followed")
        try:
            picture = decode(base64.b64decode(text, validate=True))
        except (BadImage, binascii.Error, ValueError) as error:
            raise WrongAnswer(f"{self.name} answered with what is no picture: {error}") from None
        if picture.shape[:2] != (side, side):
            height, width = picture.shape[:2]
            raise WrongAnswer(
                f"{self.name} gave a picture of {width} x {height} pixels; {side} x {side} "
                "was asked for"
            )
        return picture


def _body(sample: Wanted, settings: Mapping[str, Any]) -> dict[str, Any]:
    side = settings["side"]
    body: dict[str, Any] = {"prompt": sample.text, "n": 1, "size": f"{side}x{side}"}
    named = {"model": settings["served_model"], "quality": settings["quality"]}
    body |= {name: value for name, value in named.items() if value is not None}
    if settings["response_format"] == "b64_json":
        body["response_format"] = "b64_json"
    if settings["send_seed"]:
        body["seed"] = sample.number("http", bits=31)
    return body
