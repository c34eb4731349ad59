"""What does a browser say about itself, and in which shape?

Exactly what `browser/collector.mjs` collects; None is what a browser would not or could not tell.
Invariant: anything else is refused as a whole (`components_of` gives None), and nothing raises.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError


def _text(most: int) -> StringConstraints:
    return StringConstraints(strict=True, max_length=most)


_Word = Annotated[str, _text(64)]
_Text = Annotated[str, _text(256)]
_Digest = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_-]{16}$")]
_Detector = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z]{1,40}$")]
_Pixels = Annotated[int, Field(ge=0, le=100_000)]


class Components(BaseModel):
    """The signals of one browser.

    - `agent_platform`, `agent_mobile`: from the user agent's client hints.
    - `offset_minutes`: east of UTC; `screen`: its sides in CSS pixels.
    - `gpu`: vendor and renderer; `canvas`: digests of a drawing and of drawn text.
    - `architecture`: 255 on x86, 127 on others; `bot`: the detectors of BotD that fired.
    - `adds_noise`: the browser is known to change what it draws from site to site.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    agent: Annotated[str, _text(512)] | None
    platform: _Word | None
    agent_platform: _Word | None
    agent_mobile: bool | None
    vendor: _Word | None
    languages: Annotated[tuple[Annotated[str, _text(35)], ...], Field(max_length=16)] | None
    timezone: (
        Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9_+/-]{1,64}$")] | None
    )
    offset_minutes: Annotated[int, Field(ge=-14 * 60, le=14 * 60)] | None
    screen: tuple[_Pixels, _Pixels] | None
    color_depth: Annotated[int, Field(ge=0, le=64)] | None
    touch_points: Annotated[int, Field(ge=0, le=256)] | None
    cores: Annotated[int, Field(ge=0, le=4096)] | None
    memory_gb: Annotated[float, Field(ge=0, le=4096)] | None
    architecture: Annotated[int, Field(ge=0, le=255)] | None
    gpu: tuple[_Text | None, _Text | None] | None
    canvas: tuple[_Digest, _Digest] | None
    audio: _Word | None
    fonts: Annotated[tuple[_Word, ...], Field(max_length=128)] | None
    adds_noise: bool
    bot: Annotated[tuple[_Detector, ...], Field(max_length=64)] | None

    def __repr__(self) -> str:  # a browser's signals in a log line could tell whose it is
        return "Components(...)"

    __str__ = __repr__


_COMPONENTS: TypeAdapter[Components] = TypeAdapter(Components)


def components_of(raw: bytes) -> Components | None:
    """Read the signals from their JSON; None when they are not of the one shape.

    >>> components_of(b"{}") is None
    True
    """
    try:
        return _COMPONENTS.validate_json(raw)
    except ValidationError:
        return None
