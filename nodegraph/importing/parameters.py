"""The parameters text that AUTOMATIC1111's web UI writes into pictures, and many programs after it: read into typed fields.

It is a prompt, then `Negative prompt: ...`, then one line of `Name: value` pairs that begins with `Steps:`. Each of the first
two may have several lines, and may hold commas, colons, even a `Steps:` of its own: the last line that is such a list counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

LONGEST = 1_000_000
"""Characters of a parameters text that is read."""
MOST_FIELDS = 1000
"""Fields of one that are read."""

_NEGATIVE = "Negative prompt:"
_NAME = re.compile(r"\s*([A-Za-z][^:,\"{}\[\]\n]{0,79}):[ \t]*")
_NEXT = re.compile(r",\s{0,8}(?=[A-Za-z][^:,\"{}\[\]\n]{0,79}:)")
_AFTER = re.compile(r"[ \t]*(?:,|\Z)")
_SEPARATOR = re.compile(r"[ \t]*,?[ \t]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a parameters text says; None where it says nothing.

    `hires` are the fields of a second pass at a larger size without their `Hires`, `lora_hashes` is by name, `extra` has every
    other field as text. `unread` lists, in words, what could not be understood.
    """

    prompt: str = ""
    negative_prompt: str = ""
    steps: int | None = None
    sampler: str | None = None
    schedule: str | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    model: str | None = None
    model_hash: str | None = None
    denoising_strength: float | None = None
    clip_skip: int | None = None
    ensd: int | None = None
    hires: dict[str, str] = field(default_factory=dict)
    lora_hashes: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        """Everything that was read as names and values, in the web UI's own words: what people are shown."""
        size = None if self.width is None else f"{self.width}x{self.height}"
        known = {
            "Prompt": self.prompt,
            "Negative prompt": self.negative_prompt,
            "Steps": self.steps,
            "Sampler": self.sampler,
            "Schedule type": self.schedule,
            "CFG scale": self.guidance_scale,
            "Seed": self.seed,
            "Size": size,
            "Model": self.model,
            "Model hash": self.model_hash,
            "Denoising strength": self.denoising_strength,
            "Clip skip": self.clip_skip,
            "ENSD": self.ensd,
        }
        rows = [(name, _plain(value)) for name, value in known.items() if value not in (None, "")]
        rows += [(f"Hires {name}", value) for name, value in self.hires.items()]
        rows += [(f"Lora {name}", value) for name, value in self.lora_hashes.items()]
        return [*rows, *self.extra.items()]

    def to_json(self) -> dict[str, Any]:
        """What was said, as JSON."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value not in (None, (), {})
        }


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_parameters(text: str) -> Parameters | None:
    """Read a parameters text, or None where it is none: it has no line of parameters, or is too long to be one."""
    if len(text) > LONGEST:
        return None
    lines = text.replace("\r\n", "\n").split("\n")
    at = next((i for i in range(len(lines) - 1, -1, -1) if _is_list(lines[i])), None)
    if at is None:
        return None
    negative = next((i for i in range(at) if lines[i].lstrip().startswith(_NEGATIVE)), at)
    found = Parameters(
        prompt="\n".join(lines[:negative]).strip(),
        negative_prompt="\n".join(lines[negative:at]).strip().removeprefix(_NEGATIVE).strip(),
    )
    after = "\n".join(lines[at + 1 :]).strip()
    if after:
        found = replace(found, unread=(f"After the parameters stands: {_short(after)}",))
    seen: set[str] = set()
    for number, (name, value) in enumerate(_pairs(lines[at])):
        if number == MOST_FIELDS:
            return replace(
                found, unread=(*found.unread, f"There are more than {MOST_FIELDS:,} fields; the others were not read.")
            )
        if not name:
            found = replace(found, unread=(*found.unread, f"This is no field: {_short(value)}"))
        elif name in seen:
            found = replace(found, unread=(*found.unread, f"{name} is said twice; the second time {_short(value)}"))
        else:
            found = _with_field(found, name, value)
        seen.add(name)
    return found


def _is_list(line: str) -> bool:
    """Whether a line is a list of parameters: it begins with the steps, and three pairs are the least."""
    return bool(re.match(r"\s*Steps:\s*\d", line)) and len(re.findall(r"(?:\A|,)\s*[A-Za-z][^:,\n]{0,79}:", line)) >= 3


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    """Names and values. A value is JSON (a text in quotes, a list, an object) or goes to the comma before the next name.

    What has no name comes with an empty one.
    """
    line, at = line.strip(" \t,"), 0
    while at < len(line):
        match = _NAME.match(line, at)
        begin = match.end() if match else at
        value, end = _json_value(line, begin) if match else (None, at)
        if value is None:
            comma = _NEXT.search(line, begin)
            end = comma.start() if comma else len(line)
            value = line[begin:end].strip(" \t,")
        if match or value:
            yield match[1].strip() if match else "", value
        at = _SEPARATOR.match(line, end).end()  # type: ignore[union-attr]


def _json_value(line: str, at: int) -> tuple[str | None, int]:
    """A value that is written as JSON, and where it ends: a text without its quotes, else as it stands."""
    if line[at : at + 1] not in ('"', "{", "["):
        return None, at
    try:
        value, end = _DECODER.raw_decode(line, at)
    except (ValueError, RecursionError):
        return None, at
    if not _AFTER.match(line, end):
        return None, at
    return value if isinstance(value, str) else line[at:end], end


def _with_field(found: Parameters, name: str, value: str) -> Parameters:
    reader = _FIELDS.get(name.lower())
    if reader is not None:
        try:
            return replace(found, **reader(value))
        except (ValueError, OverflowError):
            return replace(found, unread=(*found.unread, f"{name} is no number: {_short(value)}"))
    if name.lower().startswith("hires "):
        return replace(found, hires=found.hires | {name[6:].strip(): value})
    if name.lower() == "lora hashes":
        return _with_loras(found, value)
    return replace(found, extra=found.extra | {name: value})


def _with_loras(found: Parameters, value: str) -> Parameters:
    """`name: hash, other: hash`."""
    loras, unread = {}, []
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, colon, digest = part.rpartition(":")
        if colon and name.strip():
            loras[name.strip()] = digest.strip()
        else:
            unread.append(f"Lora hashes has {_short(part)}, which is no name with a hash")
    return replace(found, lora_hashes=found.lora_hashes | loras, unread=(*found.unread, *unread))


def _whole(name: str) -> Callable[[str], dict[str, Any]]:
    return lambda value: {name: int(_short_number(value))}


def _number(name: str) -> Callable[[str], dict[str, Any]]:
    def read(value: str) -> dict[str, Any]:
        number = float(_short_number(value))
        if number != number or number in (float("inf"), float("-inf")):
            raise ValueError(value)
        return {name: number}

    return read


def _text(name: str) -> Callable[[str], dict[str, Any]]:
    return lambda value: {name: value}


def _short_number(value: str) -> str:
    if len(value) > 40:
        raise ValueError(value)
    return value


def _size(value: str) -> dict[str, Any]:
    match = re.fullmatch(r"(\d{1,6})\s*[xX×]\s*(\d{1,6})", value)
    if match is None:
        raise ValueError(value)
    return {"width": int(match[1]), "height": int(match[2])}


_FIELDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "steps": _whole("steps"),
    "sampler": _text("sampler"),
    "schedule type": _text("schedule"),
    "cfg scale": _number("guidance_scale"),
    "seed": _whole("seed"),
    "size": _size,
    "model": _text("model"),
    "model hash": _text("model_hash"),
    "denoising strength": _number("denoising_strength"),
    "clip skip": _whole("clip_skip"),
    "ensd": _whole("ensd"),
}


def _short(text: str) -> str:
    text = " ".join(text[:400].split())
    return repr(text if len(text) <= 80 else text[:77] + "...")
