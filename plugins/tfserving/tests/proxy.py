"""A TCP proxy that holds every packet for up to some milliseconds: ``python proxy.py PORT TARGET MILLISECONDS``.

A line on stdin is a number of milliseconds by which each request is held from then on, beside that.
"""

import asyncio
import random
import sys

HELD = [0.0]
"""Seconds."""


def hear():
    HELD[0] = float(sys.stdin.readline() or 0) / 1000


async def pass_on(reader, writer, jitter, held=(0.0,)):
    while data := await reader.read(65536):
        await asyncio.sleep(random.uniform(0, jitter) + held[0])
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(port, target, milliseconds):
    async def serve(reader, writer):
        there_reader, there_writer = await asyncio.open_connection(*target.split(":"))
        ways = pass_on(reader, there_writer, jitter, HELD), pass_on(there_reader, writer, jitter)
        await asyncio.gather(*ways, return_exceptions=True)

    asyncio.get_running_loop().add_reader(sys.stdin, hear)
    jitter = float(milliseconds) / 2000  # both ways together
    async with await asyncio.start_server(serve, "127.0.0.1", int(port)) as server:
        print("listening", flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
