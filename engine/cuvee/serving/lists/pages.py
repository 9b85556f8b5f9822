"""Tokens for the next page of a list: what was shown so far, sealed, so that no server has to remember it.

A token pins the snapshot, the configuration's revision and the request, and holds the positions of the items that
earlier pages showed, in their order. The next page is made of the user's history as it is then, behind what the token
holds: so nothing is shown twice and nothing is left out, whatever was written, learnt or reloaded in between. What is
inside is encrypted and authenticated (AES-GCM, a key of its own for each token), and nothing in it is of the user: the
request is only authenticated with it, so a token fits no other user's request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeAlias

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.descriptor import Descriptor

from cuvee.errors import InvalidArgument, PageGone
from cuvee.recommender import Ints
from cuvee.serving.live.products import Served
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["LONGEST", "Page", "Paged", "Pages", "packed", "unpacked"]

Paged: TypeAlias = pb.RecommendRequest | pb.SimilarItemsRequest | pb.RecommendUsersRequest

CHANGING = ("page_token", "page_size", "view", "count_removed", "validate_only")
"""Fields that may change from page to page."""
_VERSION = b"\x01"
_HEAD = struct.Struct("<QHH")
SALT = 16
LONGEST = 32_768
"""Characters of a token."""
NONCE = bytes(12)
"""Always the same: each token is sealed by a key of its own."""
FOREIGN = (
    "was not issued for this request by this server, or is too old; repeat the request of the page before unchanged "
    "(but for page_size), or start again from the first page"
)


@dataclass(frozen=True)
class Page:
    """Where a request stands: what it is, and what earlier pages of it showed."""

    request: bytes
    """Stands for the request's fields, less those that may change from page to page."""
    shown: bytes = b""
    """What earlier pages showed, as it was given to :meth:`Pages.token`."""
    version: str = ""
    revision: str = ""
    """Of the snapshot and the configuration that answered the first page; empty on that."""

    @cached_property
    def positions(self) -> Ints:
        """int32[O]: ``shown``, where it was made by :func:`packed`."""
        return unpacked(self.shown)

    def check(self, served: Served) -> None:
        """Raises PageGone where another snapshot or configuration answers now."""
        if self.version and (self.version, self.revision) != (served.snapshot.version, served.revision):
            raise PageGone(
                "the models or the configuration of this list were replaced since its first page; start again without "
                "page_token"
            )


class Pages:
    """Issues tokens, and reads them."""

    def __init__(self, key: bytes, expire: float, most: int) -> None:
        self._key, self._expire, self.most = key, expire, most

    def page(self, request: Paged, longest: int = LONGEST) -> Page:
        """Where a request stands. ``longest``: the characters that a token of its kind has at most.

        Raises:
            InvalidArgument: its token is none that this server issued for this request, or too old.
        """
        kind = type(request)
        plain = kind()
        plain.CopyFrom(request)  # type: ignore[arg-type] # of its own type
        for name in _changing(kind.DESCRIPTOR):
            plain.ClearField(name)  # type: ignore[arg-type] # one of its fields
        text, person = plain.SerializeToString(deterministic=True), kind.DESCRIPTOR.name.encode()[:16]
        said = hashlib.blake2b(text, digest_size=32, person=person).digest()
        return self._read(request.page_token, said, longest) if request.page_token else Page(said)

    def _sealed_by(self, salt: bytes) -> AESGCM:
        return AESGCM(hashlib.blake2b(salt, key=self._key, digest_size=32).digest())

    def token(self, page: Page, served: Served, shown: bytes) -> str:
        """The token for the page behind this one, up to which all that is in ``shown`` was shown."""
        version, revision = served.snapshot.version.encode(), served.revision.encode()
        head = _HEAD.pack(int(time.time() + self._expire), len(version), len(revision))
        salt = os.urandom(SALT)
        sealed = self._sealed_by(salt).encrypt(NONCE, head + version + revision + shown, page.request)
        return base64.urlsafe_b64encode(_VERSION + salt + sealed).rstrip(b"=").decode()

    def mark(self, user_id: str) -> bytes:
        """8 bytes that stand for a user in a token: nobody without the key can tell whom."""
        return hashlib.blake2b(user_id.encode(), key=self._key, digest_size=8, person=b"cuvee user").digest()

    def _read(self, token: str, said: bytes, longest: int) -> Page:
        if len(token) > longest:
            raise InvalidArgument("page_token", f"has {len(token)} characters; tokens have at most {longest}")
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            if raw[:1] != _VERSION or len(raw) <= 1 + SALT:
                raise InvalidArgument("page_token", FOREIGN)
            inside = self._sealed_by(raw[1 : 1 + SALT]).decrypt(NONCE, raw[1 + SALT :], said)
        except (InvalidTag, binascii.Error, UnicodeEncodeError):
            raise InvalidArgument("page_token", FOREIGN) from None
        # what is authenticated was written by token()
        ends, first, second = _HEAD.unpack_from(inside)
        if time.time() > ends:
            raise InvalidArgument("page_token", "is too old; start again from the first page")
        at = _HEAD.size
        version, revision = inside[at : at + first].decode(), inside[at + first : at + first + second].decode()
        return Page(said, inside[at + first + second :], version, revision)


@cache
def _changing(kind: Descriptor) -> tuple[str, ...]:
    """The fields of a request that may change from page to page."""
    return tuple(name for name in CHANGING if name in kind.fields_by_name)


def packed(shown: Sequence[int]) -> bytes:
    """Positions: two bytes for each where that is enough, else four, behind a byte that says which."""
    if max(shown, default=0) < 2**16:
        return struct.pack(f"<B{len(shown)}H", 2, *shown)
    return struct.pack(f"<B{len(shown)}I", 4, *shown)


def unpacked(data: bytes) -> Ints:
    """int32[O]: what :func:`packed` packed; of nothing, none."""
    return np.frombuffer(data[1:], "<u2" if data[:1] == b"\x02" else "<u4").astype(np.int32)
