"""What the page sends, in the API's own names; limits are the server's."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "AboutFile",
    "AboutItem",
    "AboutProduct",
    "AboutUser",
    "ApplyFile",
    "DeleteUser",
    "HideItem",
    "NewFile",
    "UseSnapshot",
]


class AboutProduct(BaseModel):
    """One product."""

    model_config = ConfigDict(extra="forbid")

    product: str


class AboutItem(AboutProduct):
    """An item, by its id or words of its title."""

    item_id: str


class HideItem(AboutItem):
    """Take an item out of every list, or bring it back."""

    available: bool


class AboutUser(AboutProduct):
    """A user."""

    user_id: str
    everywhere: bool = False
    """In every product, not this one alone."""


class DeleteUser(AboutUser):
    """Delete what is stored about a user; without ``confirmed`` only look what there is."""

    confirmed: str = ""
    """The user's id, typed once more."""


class UseSnapshot(AboutProduct):
    """Another snapshot."""

    action: Literal["activate", "rollback", "release"]
    version: str = ""


class NewFile(AboutProduct):
    """A product's file as somebody wants it."""

    text: str


class ApplyFile(NewFile):
    """Write it over the file that this is the etag of."""

    etag: str


class AboutFile(AboutProduct):
    """Bring back the earlier file of a product."""

    etag: str
