"""A small typed client, sync and async, over the same requests.

::

    with Client("localhost:50051") as cuvee:
        for item in cuvee.recommend("movies", user_id="196").items:
            print(item.title, item.score)

    async with AsyncClient("localhost:50051") as cuvee:
        answer = await cuvee.recommend("movies", context_item_ids=["50", "181"])

    with Client("localhost:50051") as cuvee:
        event = Event(product="movies", user_id="196", item_id="50", type=EVENT_TYPE_VIEW, event_id="a1")
        cuvee.events.WriteEvents(WriteEventsRequest(events=[event]), timeout=2)

    with Client("dns:///cuvee:50051", replicas=Replicas()) as cuvee:
        ...  # calls are spread over all servers that the name has

    with Client("cuvee.example:50051", tls="ca.pem", token=os.environ["CUVEE_TOKEN"]) as cuvee:
        ...

``events``, ``catalog`` and ``admin`` are the generated stubs of those services. Methods return the messages of
``cuvee.v1`` and raise ``grpc.RpcError``; :func:`failure_of` reads what such an error says.
"""

from cuvee.channels import TlsFiles
from cuvee.client.calls import AsyncClient, Client
from cuvee.client.failures import Failure, failure_of
from cuvee.client.policy import SERVICE_CONFIG
from cuvee.client.profiles import profile, profile_in_texts
from cuvee.client.replicas import Replicas

__all__ = [
    "SERVICE_CONFIG",
    "AsyncClient",
    "Client",
    "Failure",
    "Replicas",
    "TlsFiles",
    "failure_of",
    "profile",
    "profile_in_texts",
]
