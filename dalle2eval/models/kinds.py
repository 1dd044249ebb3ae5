"""What kinds of systems there are, and how each is opened; heavy imports wait until then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dalle2eval.models import diffusers_pipeline, http_api, image_folder
from dalle2eval.models.knobs import Knob
from dalle2eval.models.naming import FORMS, REFERENCE, parse_name
from dalle2eval.models.one_stage import OneStage
from dalle2eval.models.python_class import StagedClass, open_class

if TYPE_CHECKING:
    from reference_model.dalle2 import DALLE2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of system.

    Attributes:
        open: from its place and the device.
        summary: one line.
        identity: what names its pictures in the store.
        knobs: its settings; a reference model's and a class's are their own.
    """

    open: Callable[[str, str], Any]
    summary: str
    identity: str
    knobs: Mapping[str, Knob] = field(default_factory=dict)


def _reference(place: str, device: str) -> DALLE2:
    from dalle2eval.models.reference import open_reference

    return open_reference(place, device)


def _images(place: str, _device: str) -> OneStage:
    return OneStage(image_folder.FolderOfImages(place))


def _diffusers(place: str, device: str) -> OneStage:
    return OneStage(diffusers_pipeline.DiffusersPipeline(place, device=device))


def _http(place: str, _device: str) -> OneStage:
    return OneStage(http_api.ImageApi(place))


def _python(place: str, _device: str) -> OneStage | StagedClass:
    return open_class(place)


KINDS: dict[str, Kind] = {
    REFERENCE: Kind(
        open=_reference,
        summary="a stack of ours, by the name of its weights; the prefix may be left out",
        identity="hashes of the weights",
    ),
    "images": Kind(
        open=_images,
        summary="anyone's samples in a folder, zip or tar, matched by file name or manifest",
        identity="hash of the files' names and bytes",
        knobs=image_folder.KNOBS,
    ),
    "diffusers": Kind(
        open=_diffusers,
        summary="a text-to-image pipeline from a local folder; safetensors only, no download",
        identity="hash of the folder's files, settings, versions of diffusers and transformers",
        knobs=diffusers_pipeline.KNOBS,
    ),
    "http": Kind(
        open=_http,
        summary="an image API with an OpenAI-compatible images endpoint; not reproducible",
        identity="address and parameters",
        knobs=http_api.KNOBS,
    ),
    "python": Kind(
        open=_python,
        summary="a class of your own that follows dalle2eval.protocols.TextToImage",
        identity="the module's file, the class, its weights and declared identity",
    ),
}


def open_system(text: str, device: str = "auto") -> Any:
    """Return the system that a text names, ready to be planned; nothing heavy is loaded.

    Args:
        text: ``reference:NAME`` (or ``NAME``), ``images:DIR``, ``diffusers:PATH``, ``http:URL`` or
            ``python:module.Class``.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ValueError: there is no such system, or it is not as it should be; mostly an `InputError`.
    """
    name = parse_name(text)
    return KINDS[name.kind].open(name.place, device)


def describe_kinds() -> dict[str, dict[str, Any]]:
    """Return what is known of each kind, by its form, as plain data."""
    return {
        FORMS[kind]: {
            "summary": one.summary,
            "identity": one.identity,
            "settings": {name: _facts(knob) for name, knob in one.knobs.items()},
        }
        for kind, one in KINDS.items()
    }


def _facts(knob: Knob) -> dict[str, Any]:
    return {"default": knob.default, "allowed": knob.range_text, "means": knob.means}
