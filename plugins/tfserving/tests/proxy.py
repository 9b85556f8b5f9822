"""A TCP proxy that holds every packet for up to some milliseconds: ``python proxy.py PORT TARGET MILLISECONDS``."""

import asyncio
import random
import sys


async def pass_on(reader, writer, jitter):
    while data := await reader.read(65536):
        await asyncio.sleep(random.uniform(0, jitter))
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(port, target, milliseconds):
    async def serve(reader, writer):
        there_reader, there_writer = await asyncio.open_connection(*target.split(":"))
        ways = pass_on(reader, there_writer, jitter), pass_on(there_reader, writer, jitter)
        await asyncio.gather(*ways, return_exceptions=True)

    jitter = float(milliseconds) / 2000  # both ways together
    async with await asyncio.start_server(serve, "127.0.0.1", int(port)) as server:
        print("listening", flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
