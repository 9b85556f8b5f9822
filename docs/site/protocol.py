"""The pages of the API, from the comments of ``proto/``."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)  # fmt: skip
from grpc_tools import protoc

from docs.site.gathering import ROOT

__all__ = ["write"]

Comments = dict[tuple[int, ...], str]

# numbers of fields in descriptor.proto, of which paths in source_code_info are made
_MESSAGES, _ENUMS, _SERVICES, _SYNTAX = 4, 5, 6, 12
_FIELD, _NESTED, _INNER_ENUM, _VALUE, _METHOD = 2, 3, 4, 2, 2


def write(folder: Path) -> None:
    """Write a page for each file of ``proto/cuvee/v1``: services, messages, fields and enums.

    Raises:
        RuntimeError: protoc does not compile them; it has said why on stderr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted((ROOT / "proto" / "cuvee" / "v1").glob("*.proto"))
    with tempfile.TemporaryDirectory() as place:
        compiled = Path(place) / "all.binpb"
        google = Path(protoc.__file__).with_name("_proto")
        arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{google}", "--include_source_info", f"-o{compiled}"]
        if protoc.main([*arguments, *map(str, files)]):
            raise RuntimeError("protoc did not compile proto/: see above")
        described = FileDescriptorSet.FromString(compiled.read_bytes())
    where = {name: Path(file.name).stem for file in described.file for name in _names(file)}
    for file in described.file:
        (folder / f"{Path(file.name).stem}.md").write_text("\n".join(_page(file, where)), encoding="utf-8")


def _names(file: FileDescriptorProto) -> Iterator[str]:
    """Full names of its messages and enums."""
    for message in file.message_type:
        yield f".{file.package}.{message.name}"
        yield from (f".{file.package}.{message.name}.{inner.name}" for inner in message.nested_type)
        yield from (f".{file.package}.{message.name}.{inner.name}" for inner in message.enum_type)
    for enum in file.enum_type:
        yield f".{file.package}.{enum.name}"


def _page(file: FileDescriptorProto, where: dict[str, str]) -> Iterator[str]:
    comments = {tuple(one.path): one.leading_comments for one in file.source_code_info.location}
    yield from (f"# {file.name}", "", _prose(comments.get((_SYNTAX,), "")), "")
    for at, service in enumerate(file.service):
        yield from _service(service, (_SERVICES, at), comments, where)
    for at, message in enumerate(file.message_type):
        yield from _message(message.name, message, (_MESSAGES, at), comments, where)
    for at, enum in enumerate(file.enum_type):
        yield from _enum(enum.name, enum, (_ENUMS, at), comments)


def _service(
    service: ServiceDescriptorProto, path: tuple[int, ...], comments: Comments, where: dict[str, str]
) -> Iterator[str]:
    yield from (f"## {service.name}", "", _prose(comments.get(path, "")), "")
    for at, rpc in enumerate(service.method):
        asked = "stream of " * rpc.client_streaming + _link(rpc.input_type, where)
        answered = "stream of " * rpc.server_streaming + _link(rpc.output_type, where)
        yield from (f"### {rpc.name}", "", f"{asked} → {answered}", "")
        yield from (_prose(comments.get((*path, _METHOD, at), "")), "")


def _message(
    name: str, message: DescriptorProto, path: tuple[int, ...], comments: Comments, where: dict[str, str]
) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield from (f"## {name}", "", _prose(comments.get(path, "")), "")
    maps = {inner.name: inner for inner in message.nested_type if inner.options.map_entry}
    if message.field:
        yield from ("| field | type | what it says |", "|---|---|---|")
        for at, field in enumerate(message.field):
            said = _cell(comments.get((*path, _FIELD, at), ""))
            choice = ""
            if field.HasField("oneof_index") and not field.proto3_optional:
                choice = f"One of `{message.oneof_decl[field.oneof_index].name}`. "
            yield f"| `{field.name}` = {field.number} | {_type(field, maps, where)} | {choice}{said} |"
        yield ""
    for at, inner in enumerate(message.nested_type):
        yield from _message(f"{name}.{inner.name}", inner, (*path, _NESTED, at), comments, where)
    for at, enum in enumerate(message.enum_type):
        yield from _enum(f"{name}.{enum.name}", enum, (*path, _INNER_ENUM, at), comments)


def _enum(name: str, enum: EnumDescriptorProto, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    yield from (f"## {name}", "", _prose(comments.get(path, "")), "", "| value | what it says |", "|---|---|")
    for at, value in enumerate(enum.value):
        yield f"| `{value.name}` = {value.number} | {_cell(comments.get((*path, _VALUE, at), ''))} |"
    yield ""


def _type(field: FieldDescriptorProto, maps: dict[str, DescriptorProto], where: dict[str, str]) -> str:
    entry = maps.get(field.type_name.rsplit(".", 1)[-1])
    if entry is not None:
        return f"map of {_type(entry.field[0], {}, where)} to {_type(entry.field[1], {}, where)}"
    kind = _link(field.type_name, where) if field.type_name else _scalar(field)
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {kind}"
    return f"optional {kind}" if field.proto3_optional else kind


def _scalar(field: FieldDescriptorProto) -> str:
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _link(full: str, where: dict[str, str]) -> str:
    """A link to the page of a message, for those of this package."""
    if full not in where:
        return f"`{full.lstrip('.')}`"
    short: Sequence[str] = full.removeprefix(".cuvee.v1.").split(".")
    return f"[{'.'.join(short)}]({where[full]}.md#{''.join(short).lower()})"


def _prose(text: str) -> str:
    """Comments are Markdown but for what looks like tags and emphasis in it."""
    return re.sub(r"(?<!`)<(?=\w)", r"\\<", "\n".join(line.removeprefix(" ") for line in text.strip("\n").splitlines()))


def _cell(text: str) -> str:
    return " ".join(_prose(text).split()).replace("|", r"\|")
