"""The contract keeps to its own rules: linted, documented, and one vocabulary with the engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cuvee import errors
from cuvee.v1 import admin_pb2, catalog_pb2, events_pb2, recommendation_pb2, recommender_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).parent / "buf"
MODULES = (recommendation_pb2, events_pb2, catalog_pb2, admin_pb2, recommender_pb2)
FILES: list[FileDescriptor] = [module.DESCRIPTOR for module in MODULES]
MESSAGES: list[Descriptor] = [message for file in FILES for message in file.message_types_by_name.values()]


@pytest.mark.parametrize("command", [("lint", "proto"), ("format", "--diff", "--exit-code", "proto")])
def test_buf_is_content(command: tuple[str, ...]) -> None:
    done = subprocess.run([BUF, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# The numbers by which SourceCodeInfo addresses the parts of a file: descriptor.proto's own field numbers.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_FIELD, _NESTED_MESSAGE, _NESTED_ENUM, _ONEOF = 2, 3, 4, 8
_ENUM_VALUE = _RPC = 2


Element = tuple[tuple[int, ...], str]


def _elements(file: FileDescriptorProto) -> Iterator[Element]:
    """The path and the name of everything in a FileDescriptorProto that must have a comment."""

    def of_enum(enum: EnumDescriptorProto, path: tuple[int, ...], scope: str) -> Iterator[Element]:
        yield path, f"{scope}{enum.name}"
        for i, value in enumerate(enum.value):
            yield (*path, _ENUM_VALUE, i), f"{scope}{enum.name}.{value.name}"

    def of_message(message: DescriptorProto, path: tuple[int, ...], scope: str) -> Iterator[Element]:
        if message.options.map_entry:
            return
        name = f"{scope}{message.name}"
        yield path, name
        for i, field in enumerate(message.field):
            yield (*path, _FIELD, i), f"{name}.{field.name}"
        # `optional` makes a oneof of its own, which nobody wrote and nobody can comment.
        synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
        for i, oneof in enumerate(message.oneof_decl):
            if i not in synthetic:
                yield (*path, _ONEOF, i), f"{name}.{oneof.name}"
        for i, nested in enumerate(message.nested_type):
            yield from of_message(nested, (*path, _NESTED_MESSAGE, i), f"{name}.")
        for i, enum in enumerate(message.enum_type):
            yield from of_enum(enum, (*path, _NESTED_ENUM, i), f"{name}.")

    for i, message in enumerate(file.message_type):
        yield from of_message(message, (_MESSAGE, i), "")
    for i, enum in enumerate(file.enum_type):
        yield from of_enum(enum, (_ENUM, i), "")
    for i, service in enumerate(file.service):
        yield (_SERVICE, i), service.name
        for j, rpc in enumerate(service.method):
            yield (_SERVICE, i, _RPC, j), f"{service.name}.{rpc.name}"


def test_everything_has_a_comment(tmp_path: Path) -> None:
    out = tmp_path / "cuvee.binpb"
    names = [file.name for file in FILES]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "proto", "--include_source_info"]
    subprocess.run([*command, f"--descriptor_set_out={out}", *names], cwd=ROOT, check=True)
    files = FileDescriptorSet.FromString(out.read_bytes()).file
    assert {file.name for file in files} == set(names)

    bare, seen = [], 0
    for file in files:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        for path, name in _elements(file):
            seen += 1
            if len(comments.get(path, "").split()) < 2:
                bare.append(f"{file.name}: {name}")
    assert not bare
    assert seen > 400  # the walk itself found the contract


def _paged() -> list[Descriptor]:
    return [m for m in MESSAGES if m.name.startswith("List") and m.name.endswith("Request")]


def test_every_list_is_paged() -> None:
    assert _paged()
    for request in _paged():
        assert {"page_size", "page_token"} <= set(request.fields_by_name), request.name
        response = request.file.message_types_by_name[request.name.replace("Request", "Response")]
        assert "next_page_token" in response.fields_by_name, response.name


def test_a_page_size_never_comes_without_tokens() -> None:
    for message in MESSAGES:
        if "page_size" in message.fields_by_name:
            assert "page_token" in message.fields_by_name, message.name


def test_sibling_answers_share_their_numbers() -> None:
    """A field that two answers have in common is the same field: one reader fits all four."""
    answers = [
        recommendation_pb2.RecommendResponse.DESCRIPTOR,
        recommendation_pb2.SimilarItemsResponse.DESCRIPTOR,
        recommendation_pb2.RankResponse.DESCRIPTOR,
        recommendation_pb2.RecommendUsersResponse.DESCRIPTOR,
    ]
    first: dict[str, FieldDescriptor] = {}
    for answer in answers:
        for name, field in answer.fields_by_name.items():
            known = first.setdefault(name, field)
            assert (field.number, field.type) == (known.number, known.type), f"{answer.name}.{name}"


def test_degraded_reasons_are_the_engines() -> None:
    prefix = "DEGRADED_REASON_"
    wire = {name.removeprefix(prefix) for name in recommendation_pb2.DegradedReason.keys()}  # noqa: SIM118 (no mapping)
    assert wire == {reason.value for reason in errors.DegradedReason} | {"UNSPECIFIED"}


def _tree(error: type[errors.CuveeError]) -> Iterator[type[errors.CuveeError]]:
    yield error
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


@pytest.mark.parametrize("error", [e for e in _tree(errors.CuveeError) if e is not errors.SourceFailure])
def test_every_error_has_its_reason_in_the_contract(error: type[errors.CuveeError]) -> None:
    """All but SourceFailure, which never leaves the server as an error."""
    assert f"ERROR_REASON_{error.reason}" in recommendation_pb2.ErrorReason.keys()  # noqa: SIM118 (no mapping)
