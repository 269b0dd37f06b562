"""An inference server that can be killed: answers /health and chat completions, and knows nothing else.

upstream.py PORT [--hang | --busy]
"""

import asyncio
import re
import sys

ANSWER = b'{"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}]}'


def http(status, body, content_type=b"application/json"):
    head = b"HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (status, content_type, len(body))
    return head + body


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if "--hang" in sys.argv:
                await asyncio.sleep(3600)
            length = re.search(rb"(?i)content-length:\s*(\d+)", head)
            if length:
                await reader.readexactly(int(length[1]))
            if head.startswith(b"GET /health"):
                writer.write(http(503, b"") if "--busy" in sys.argv else http(200, b""))
            else:
                writer.write(http(200, ANSWER))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024, reuse_port=True)
    await server.serve_forever()


asyncio.run(main())
