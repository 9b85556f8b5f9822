"""Each rpc of the contract needs exactly one scope, and is about the products that its request names."""

import pytest
from cuvee.config import Scope
from cuvee.errors import PermissionDenied
from cuvee.serving.access.caller import Caller, Kind
from cuvee.serving.access.gate import Gate
from cuvee.serving.access.rules import RULES
from cuvee.v1 import admin_pb2, catalog_pb2, events_pb2, recommendation_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

FILES = (admin_pb2, catalog_pb2, events_pb2, recommendation_pb2)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
MINE = Caller("shop", Kind.TOKEN, frozenset(Scope), frozenset({"mine"}))


def test_every_rpc_has_a_rule_and_every_rule_an_rpc() -> None:
    assert len(METHODS) > 20
    assert set(RULES) == set(METHODS)


def everything_named(message: Message, product: str) -> int:
    """Fill every field `product` of a message, however deep; how many there were."""
    count = 0
    for field in message.DESCRIPTOR.fields:
        if field.name == "product" and field.type == field.TYPE_STRING:
            message.product = product
            count += 1
        elif field.message_type is not None and "product" in field.message_type.fields_by_name:
            inner = getattr(message, field.name)
            count += everything_named(inner.add() if field.is_repeated else inner, product)
    return count


def one_named(message: Message, which: int) -> bool:
    """Fill every such field with the caller's product, and the field number ``which`` with another's."""
    seen = 0

    def fill(one: Message) -> None:
        nonlocal seen
        for field in one.DESCRIPTOR.fields:
            if field.name == "product" and field.type == field.TYPE_STRING:
                one.product = "other" if seen == which else "mine"
                seen += 1
            elif field.message_type is not None and "product" in field.message_type.fields_by_name:
                inner = getattr(one, field.name)
                fill(inner.add() if field.is_repeated else inner)

    fill(message)
    return which < seen


@pytest.mark.parametrize("name", METHODS)
def test_a_caller_of_one_product_reaches_no_other_by_any_field(name: str) -> None:
    method: MethodDescriptor = METHODS[name]
    kind, door = GetMessageClass(method.input_type), Gate().door(name)
    mine = kind()
    if everything_named(mine, "mine"):
        door.check(MINE, mine)
    else:  # about the whole server
        with pytest.raises(PermissionDenied, match="all products"):
            door.check(MINE, mine)
    which = 0
    while one_named(request := kind(), which):
        with pytest.raises(PermissionDenied, match="'other'"):
            door.check(MINE, request)
        which += 1


def test_a_caller_of_one_product_may_not_ask_for_all() -> None:
    door = Gate().door("/cuvee.v1.CatalogService/DeleteUser")
    with pytest.raises(PermissionDenied, match="all products"):
        door.check(MINE, catalog_pb2.DeleteUserRequest(product="-", user_id="1"))
