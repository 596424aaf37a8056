"""From files to a data set: pictures of a folder or an archive, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph import Context, FilePath, FolderPath, NodeError, node
from nodegraph_nodes.training.data.beside import (
    ENDINGS,
    METADATA,
    layouts_beside,
    picture_names,
    said_by_folders,
    said_in_columns,
    said_in_files,
)
from nodegraph_nodes.training.data.finding import Said, find_pictures, listed, matched, no_captions, no_such_pictures
from nodegraph_nodes.training.data.parquet import ParquetSource
from nodegraph_nodes.training.data.records import Fields, Record, read_records
from nodegraph_nodes.training.data.sources import OpenSource, open_source, source_at
from nodegraph_nodes.types import Dataset, PictureSource, Skipped

Named = Annotated[str, Field(description="The field's name. Of several the first that a line has counts.")]
Lines = {"format": "multiline"}
CaptionsFrom = Literal["found", "file", "files beside", "folder names", "none"]


@node(category="training/data", output_name="data")
def load_pictures(
    context: Context,
    pictures: Annotated[FolderPath, Field(description="A folder, or a .zip, .tar (webdataset) or .parquet file.")],
    captions: Annotated[
        FilePath | None, Field(description='JSON lines such as {"file_name": "cat.png", "text": "a cat"}.')
    ] = None,
    captions_from: Annotated[
        CaptionsFrom,
        Field(
            description="files beside: cat.txt, cat.json or cat.cls for cat.png. folder names: each folder is a class. "
            "found: whichever of these there is; in a .parquet file, its columns."
        ),
    ] = "found",
    allow_missing: Annotated[
        bool, Field(description="Take pictures without captions, and leave out captions without pictures.")
    ] = False,
    file_field: Named = "file_name, file, image, path",
    caption_field: Named = "text, caption, captions, prompt",
    subject_field: Annotated[
        str, Field(description="What is shown, as a bare noun: augmentations build captions of it.")
    ] = "subject",
    style_field: Named = "style",
    style_words: Annotated[
        str, Field(description="Words for styles in captions, a line each: fluent-3d = 3d", json_schema_extra=Lines)
    ] = "",
    class_field: Named = "label, class",
    layouts: Annotated[str, Field(description="The folder of segmentation maps: layouts/cat.png for cat.jpg.")] = "layouts",
    regions: Annotated[
        str,
        Field(description="What the numbers 0, 1, ... of segmentation maps stand for, a line each.", json_schema_extra=Lines),
    ] = "",
    picture_column: Annotated[str, Field(description="Of a .parquet file; none: image, or one like it.")] = "",
    check: Annotated[
        bool, Field(description="Decode every picture now, so that broken ones are found. Slow for millions.")
    ] = True,
) -> Dataset:
    """Captioned pictures from files. Pictures that cannot be read are left out and listed.

    A captions file says which pictures are taken; without one all are.
    """
    source = source_at(pictures)
    fields = Fields(
        file=_names(file_field),
        captions=_names(caption_field),
        subject=_names(subject_field),
        style=_names(style_field),
        label=_names(class_field),
    )
    opened = open_source(source)
    try:
        source = PictureSource(source.path, opened.digest(), source.kind)
        found = _found(opened, source, layouts, picture_column)
        said = _said(opened, found, captions, captions_from, fields, _styles(style_words), allow_missing)
        maps = layouts_beside(found.names, (name for name, _ in said.pictures), layouts) if layouts else {}
        rows = [
            (name, record if record.layout else record.replaced(layout=maps.get(name, ""))) for name, record in said.pictures
        ]

        def progress(done: int, total: int) -> None:
            context.check_cancelled()
            context.progress(done, total)

        named = tuple(filter(None, map(str.strip, regions.splitlines())))
        data = find_pictures(opened, source, rows, classes=said.classes, regions=named, whole=check, progress=progress)
    finally:
        opened.close()
    return data.with_skipped(Skipped(file, "there is no such picture") for file in said.missing)


class _Found(NamedTuple):
    names: list[str]
    pictures: list[str]

    @property
    def folders(self) -> set[PurePosixPath]:
        return {PurePosixPath(picture).parent for picture in self.pictures}


class _Captioned(NamedTuple):
    pictures: Said
    missing: list[str]  # names of pictures that are not there
    classes: tuple[str, ...] = ()


def _found(opened: OpenSource, source: PictureSource, layouts: str, column: str) -> _Found:
    names = opened.names(column) if isinstance(opened, ParquetSource) else opened.names()
    pictures = names if isinstance(opened, ParquetSource) else picture_names(names, layouts)
    if not pictures:
        raise NodeError(
            f"There are no pictures in {Path(source.path).name}.",
            socket="pictures",
            expected=f"files {', '.join(ENDINGS[:4])} ...",
            got=listed(names[:3]) if names else "nothing at all",
        )
    return _Found(names, pictures)


def _said(
    opened: OpenSource,
    found: _Found,
    captions: Path | None,
    captions_from: CaptionsFrom,
    fields: Fields,
    styles: dict[str, str],
    allow_missing: bool,
) -> _Captioned:
    """What is said of the pictures, from where it is to be taken. Raises NodeError for what is missing and must not be."""
    said: dict[str, Record] = {}
    classes: tuple[str, ...] = ()
    listing = _listing(opened, found, captions) if captions_from in ("found", "file") else None
    if captions_from == "file" and listing is None:
        raise NodeError(
            "There is no captions file.", socket="captions", expected=f"a file, or {' or '.join(METADATA)} in `pictures`"
        )
    if listing is not None:
        records = read_records(*listing, fields, styles)
        rows, missing = matched(found.pictures, records)
        if missing and (not allow_missing or not rows):
            raise no_such_pictures(missing, found.pictures)
        silent = [name for name, record in rows if not record.says_something]
        if silent and not allow_missing:
            raise no_captions(silent, f"fields {', '.join((*fields.captions, *fields.subject, *fields.label))} in each line")
        return _Captioned(rows, missing)
    if captions_from == "found" and isinstance(opened, ParquetSource):
        said, classes = said_in_columns(opened, found.pictures, fields)
    if captions_from in ("found", "files beside") and not isinstance(opened, ParquetSource):
        said = said_in_files(opened, found.names, found.pictures, fields)
    if captions_from == "folder names" or (captions_from == "found" and not said and len(found.folders) > 1):
        said = said_by_folders(found.pictures)
    silent = [name for name in found.pictures if name not in said or not said[name].says_something]
    if silent and not allow_missing and captions_from != "none":
        raise no_captions(silent, _LOOKED[captions_from])
    return _Captioned([(name, said.get(name, Record())) for name in found.pictures], [], classes)


_LOOKED = {
    "found": "a captions file, a .txt file beside each picture, or folders that are named after what they show",
    "files beside": "a .txt, .json or .cls file beside each picture",
    "folder names": "each picture in a folder that is named after its class",
}


def _listing(opened: OpenSource, found: _Found, captions: Path | None) -> tuple[str, str] | None:
    """The text of the captions file and its name."""
    try:
        if captions is not None:
            return captions.read_text("utf-8"), captions.name
        inside = None if isinstance(opened, ParquetSource) else next((name for name in METADATA if name in found.names), None)
        return (opened.read(inside).decode("utf-8"), inside) if inside else None
    except (OSError, UnicodeDecodeError) as error:
        name = captions.name if captions is not None else "The captions file"
        raise NodeError(f"{name} cannot be read: {error}.", socket="captions", expected="JSON lines in UTF-8") from None


def _styles(text: str) -> dict[str, str]:
    words = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, found, word = line.partition("=")
        if not found:
            raise NodeError("A line has no `=`.", socket="style_words", expected="fluent-3d = 3d", got=line)
        words[name.strip()] = word.strip()
    return words


def _names(text: str) -> Sequence[str]:
    return tuple(filter(None, map(str.strip, text.split(","))))
