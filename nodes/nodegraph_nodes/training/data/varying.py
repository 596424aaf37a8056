"""How a picture is varied as it is read, and what its caption then says.

The order is the same however the augmentations were added: two pictures are put together (pairs, halves), each in a colour of
its own (recolour), cut and mirrored (crop, flip), laid on a ground (background), its light changed (jitter); the
caption follows.
Of several of one kind, at most one is applied; pairs and halves exclude each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from nodegraph_nodes.types import Augmentation, Dataset, Entry

from .captions import STYLE_PHRASES, coloured, in_style, on_ground, shortened, with_article
from .colours import GROUNDS, HUES, NEUTRALS, lay_over, recoloured, relit
from .decoding import Pixels
from .drawing import Canvas, box_within, cut_out, halved, mirrored, side_by_side

Random = np.random.Generator


class Look(Protocol):
    """Gives pictures that are not varied."""

    def __call__(self, index: int, width: int, height: int, zoom: float = 0) -> Canvas:
        """Entry `index` at width x height; with a zoom of 1 or more the whole of it, at the size `covering` gives."""


_WHITE = (255.0, 255.0, 255.0)


@dataclass(slots=True)
class _Drawn:
    """A picture that takes shape, and the parts of its caption."""

    canvas: Canvas
    what: str
    tail: str = ""
    colour: str = ""
    built: bool = False  # whether captions that came with the picture no longer fit


class Variations:
    """A data set's augmentations, ready to be applied; knows which pictures may be put together."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._by_kind: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        self._apart: dict[str, set[frozenset[str]]] = {}
        for augmentation in dataset.augmentations:
            found = self._by_kind.setdefault(augmentation.kind, [])
            found.append((augmentation.chance, dict(augmentation.settings)))
            lines = (line.partition("+") for line in dict(augmentation.settings).get("apart", ()))  # type: ignore[union-attr]
            self._apart.setdefault(augmentation.kind, set()).update(
                frozenset((one.strip(), other.strip())) for one, _, other in lines
            )
        self._alike: dict[str, list[int]] = {}
        if "pairs" in self._by_kind or "halves" in self._by_kind:
            for index, entry in enumerate(dataset.entries):
                self._alike.setdefault(entry.style, []).append(index)

    def apply(self, index: int, width: int, height: int, look: Look, random: Random) -> tuple[Pixels, Pixels | None, str]:
        """Entry `index` varied: pixels [height, width, 3], its layout and its caption."""
        entry = self._dataset.entries[index]
        drawn = self._compose(index, width, height, look, random)
        pixels = self._on_ground(drawn, random)
        if settings := self._hit("jitter", random):
            pixels = relit(
                pixels, *(_around(settings.get(name, 0.0), random) for name in ("brightness", "contrast", "saturation"))
            )
        caption = self._caption(drawn, entry, random)
        return pixels, drawn.canvas.layout, caption

    def _hit(self, kind: str, random: Random) -> dict[str, Any] | None:
        """The settings of the augmentation of a kind that is applied, if any."""
        for chance, settings in self._by_kind.get(kind, ()):
            if random.random() < chance:
                return settings
        return None

    def _compose(self, index: int, width: int, height: int, look: Look, random: Random) -> _Drawn:
        kind, other = self._together(index, random)
        if kind == "pairs":
            left = self._one(index, width // 2, height // 2, look, random)
            right = self._one(other, width // 2, height // 2, look, random)
            canvas = side_by_side(left.canvas, right.canvas, width, height)
            return _Drawn(canvas, f"{left.what} and {right.what}", built=True)
        if kind == "halves":
            canvas = halved(look(index, width, height), look(other, width, height))
            first, second = (self._name(self._dataset.entries[which], random) for which in (index, other))
            return _Drawn(canvas, f"half {first} half {second}", built=True)
        return self._one(index, width, height, look, random)

    def _together(self, index: int, random: Random) -> tuple[str, int]:
        """Whether the picture is put together with another, and with which: of its style, with another subject."""
        dice, entry = random.random(), self._dataset.entries[index]
        for kind in ("pairs", "halves"):
            for chance, _ in self._by_kind.get(kind, ()):
                if 0 <= dice < chance and (name := _plain_name(entry)):
                    alike = self._alike[entry.style]
                    for _ in range(4):  # another subject is found at once, or there is hardly any
                        other = alike[int(random.integers(len(alike)))]
                        found = self._dataset.entries[other]
                        if _plain_name(found) not in ("", name) and self._may(kind, _names(entry), _names(found)):
                            return kind, other
                    return "", index
                dice -= chance
        return "", index

    def _may(self, kind: str, names: Iterable[str], others: Iterable[str]) -> bool:
        """Whether an augmentation may put them together."""
        apart = self._apart.get(kind)
        return not apart or not any(frozenset((one, other)) in apart for one in names for other in others)

    def _one(self, index: int, width: int, height: int, look: Look, random: Random) -> _Drawn:
        entry, canvas = self._dataset.entries[index], self._framed(index, width, height, look, random)
        name = self._name(entry, random)
        settings = self._hit("recolour", random) if entry.subject else None
        if settings is None:
            return _Drawn(canvas, with_article(name) if entry.subject else name)
        colours = settings.get("colours") or (*HUES, *NEUTRALS)
        colours = [colour for colour in colours if self._may("recolour", (colour,), _names(entry))]
        if not colours:
            return _Drawn(canvas, with_article(name))
        colour = _one_of(colours, random)
        canvas = canvas._replace(pixels=recoloured(canvas.pixels, colour))
        return _Drawn(canvas, with_article(coloured(name, colour)), colour=colour, built=True)

    def _framed(self, index: int, width: int, height: int, look: Look, random: Random) -> Canvas:
        """The picture, or a part of it, perhaps mirrored."""
        settings = self._hit("crop", random)
        if settings is None:
            canvas = look(index, width, height)
        else:
            smallest = min(1.0, max(0.05, settings.get("smallest", 1.0)))
            whole = look(index, width, height, 1 / smallest)
            size = (whole.pixels.shape[1], whole.pixels.shape[0])
            share, right, down = smallest + (1 - smallest) * random.random(), random.random(), random.random()
            canvas = cut_out(whole, box_within(size, width, height, share, right, down), width, height)
        return canvas if self._hit("flip", random) is None else mirrored(canvas)

    def _name(self, entry: Entry, random: Random) -> str:
        """A bare noun for what an entry shows, else one of its captions."""
        if not entry.subject:
            return _one_of(entry.captions, random) if entry.captions else ""
        settings = self._hit("aliases", random)
        if settings is None:
            return entry.subject
        groups = settings.get("groups")
        endings = settings.get("endings", ()) if not groups or entry.group in groups else ()
        short = shortened(entry.subject, endings)
        names = (*entry.aliases, *((short,) if short != entry.subject else ()))
        return _one_of(names, random) if names else entry.subject

    def _on_ground(self, drawn: _Drawn, random: Random) -> Pixels:
        """Lay the picture on a ground, which the caption then names. Pictures without transparency stay as they are."""
        pixels = drawn.canvas.pixels
        if pixels.shape[-1] == 3:
            return pixels
        settings = self._hit("background", random)
        if settings is None and drawn.colour == "white" and "background" in self._by_kind:
            settings = self._by_kind["background"][0][1]  # white on white cannot be seen
        if settings is None:
            named = next((known for _, known in self._by_kind.get("background", ())), {}).get("white_named", 0.0)
            drawn.tail = on_ground("white") if random.random() < named else ""
            return lay_over(pixels, _WHITE)
        names = [name for name in settings.get("colours") or GROUNDS if name != "white" and name != drawn.colour]
        if not names:
            return lay_over(pixels, _WHITE)
        name = _one_of(names, random)
        ground = np.clip(np.array(GROUNDS[name]) + random.normal(0, 1, 3) * settings.get("spread", 0.0), 0, 255)
        drawn.tail = on_ground(name)
        return lay_over(pixels, (float(ground[0]), float(ground[1]), float(ground[2])))

    def _caption(self, drawn: _Drawn, entry: Entry, random: Random) -> str:
        what = drawn.what
        if not drawn.built and entry.captions:
            what = _one_of(entry.captions, random)
        settings = self._hit("tags", random)
        if settings is not None and entry.tags and not drawn.built:
            count = min(len(entry.tags), int(settings.get("most", 2)))
            what += ", " + ", ".join(entry.tags[place] for place in random.permutation(len(entry.tags))[:count])
        what += drawn.tail
        settings = self._hit("style", random)
        if settings is None or not entry.style:
            return what
        return in_style(what, entry.style, _one_of(settings.get("phrases") or STYLE_PHRASES, random))


def plain(entry: Entry, canvas: Canvas) -> tuple[Pixels, Pixels | None, str]:
    """An entry that is not varied: on white, with its first caption, else its subject."""
    pixels = canvas.pixels if canvas.pixels.shape[-1] == 3 else lay_over(canvas.pixels, _WHITE)
    return pixels, canvas.layout, entry.captions[0] if entry.captions else with_article(entry.subject)


def _around(spread: float, random: Random) -> float:
    """A factor of up to 1 +- spread."""
    return 1 + spread * (2 * random.random() - 1)


def together(augmentations: tuple[Augmentation, ...]) -> float:
    """The share of pictures that are put together with others."""
    return sum(item.chance for item in augmentations if item.kind in ("pairs", "halves"))


def subjects(data: Dataset) -> frozenset[str]:
    """What the pictures of a data set show, by all their names."""
    return frozenset(name for entry in data.entries for name in _names(entry))


def _plain_name(entry: Entry) -> str:
    return entry.subject or (entry.captions[0] if entry.captions else "")


def _names(entry: Entry) -> tuple[str, ...]:
    return (_plain_name(entry), *entry.aliases)


def _one_of(options: Any, random: Random) -> str:
    options = tuple(options)
    return str(options[int(random.integers(len(options)))])
