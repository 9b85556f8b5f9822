"""The console: what does a person see?

Web pages over the same gRPC API that every client uses; without an admin's token they only read. The console knows
the client and the messages of ``cuvee.v1``, nothing of the engine's insides, so it may run on another machine than
the server. Needs the extra ``console``. docs/console.md has pictures.
"""
