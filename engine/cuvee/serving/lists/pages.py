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
import copy
import hashlib
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cuvee.errors import InvalidArgument, PageGone
from cuvee.recommender import Ints
from cuvee.serving.live.products import Served
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["LONGEST", "Page", "Pages"]

VERSION = 1
SALT = 16
LONGEST = 32_768
"""Characters of a token."""
NONCE = bytes(12)
"""Always the same: each token is sealed by a key of its own."""
FOREIGN = (
    "was not issued for this request by this server, or is too old; repeat the request of the page before unchanged "
    "(but for page_size), or start again from the first page"
)


@dataclass(frozen=True, slots=True)
class Page:
    """Where a request stands: what it is, and what earlier pages of it showed."""

    request: bytes
    """Stands for the request's fields, less those that may change from page to page."""
    shown: Ints
    """int32[O]: positions, in the order in which they were shown."""
    version: str = ""
    revision: str = ""
    """Of the snapshot and the configuration that answered the first page; empty on that."""

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

    def page(self, request: pb.RecommendRequest | pb.SimilarItemsRequest) -> Page:
        """Where a request stands.

        Raises:
            InvalidArgument: its token is none that this server issued for this request, or too old.
        """
        plain: Any = copy.deepcopy(request)
        for name in ("page_token", "page_size", "view", "count_removed", "validate_only"):
            if name in plain.DESCRIPTOR.fields_by_name:
                plain.ClearField(name)
        kind = plain.DESCRIPTOR.name.encode()
        said = hashlib.blake2b(plain.SerializeToString(deterministic=True), digest_size=32, person=kind[:16]).digest()
        if not request.page_token:
            return Page(said, NOTHING)
        return self._read(request.page_token, said)

    def _sealed_by(self, salt: bytes) -> AESGCM:
        return AESGCM(hashlib.blake2b(salt, key=self._key, digest_size=32).digest())

    def token(self, page: Page, served: Served, now_shown: Sequence[int]) -> str:
        """The token for the page behind this one, which showed some more positions."""
        version, revision = served.snapshot.version.encode(), served.revision.encode()
        shown = np.concatenate([page.shown, np.asarray(now_shown, np.int32)]).astype("<i4")
        ends = int(time.time() + self._expire)
        head = struct.pack("<QHH", ends, len(version), len(revision))
        salt = os.urandom(SALT)
        sealed = self._sealed_by(salt).encrypt(NONCE, head + version + revision + _packed(shown), page.request)
        return base64.urlsafe_b64encode(bytes((VERSION,)) + salt + sealed).rstrip(b"=").decode()

    def _read(self, token: str, said: bytes) -> Page:
        if len(token) > LONGEST:
            raise InvalidArgument("page_token", f"has {len(token)} characters; tokens have at most {LONGEST}")
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            if raw[:1] != bytes((VERSION,)) or len(raw) <= 1 + SALT:
                raise InvalidArgument("page_token", FOREIGN)
            inside = self._sealed_by(raw[1 : 1 + SALT]).decrypt(NONCE, raw[1 + SALT :], said)
        except (InvalidTag, binascii.Error, UnicodeEncodeError):
            raise InvalidArgument("page_token", FOREIGN) from None
        # what is authenticated was written by token()
        ends, first, second = struct.unpack_from("<QHH", inside)
        if time.time() > ends:
            raise InvalidArgument("page_token", "is too old; start again from the first page")
        at = struct.calcsize("<QHH")
        version, revision = inside[at : at + first].decode(), inside[at + first : at + first + second].decode()
        return Page(said, _unpacked(inside[at + first + second :]), version, revision)


NOTHING: Ints = np.empty(0, np.int32)


def _packed(shown: Ints) -> bytes:
    """Two bytes for each position where that is enough, else four, behind a byte that says which."""
    if int(shown.max(initial=0)) < 2**16:
        return b"\x02" + shown.astype("<u2").tobytes()
    return b"\x04" + shown.astype("<u4").tobytes()


def _unpacked(data: bytes) -> Ints:
    return np.frombuffer(data[1:], "<u2" if data[:1] == b"\x02" else "<u4").astype(np.int32)
