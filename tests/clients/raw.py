"""Streams as bytes on the wire, over HTTP/1 and HTTP/2, where the SDKs show only what they made of them."""

import http.client
import json
import shutil
import subprocess
import tempfile

import expect
from apis import APIS, delivered
from cells import NUMBER, Cell
from surfaces import CALL_TIMEOUT, CHAT, COHERE, EMBEDDINGS, GEMINI, MESSAGES, OLLAMA, RESPONSES

PATHS = [CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA, COHERE]
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-client", "anthropic-version": "2023-06-01"}


def payload(path, model, stream):
    prompt = {"input": "count"} if path in (RESPONSES, EMBEDDINGS) else {"messages": [{"role": "user", "content": "count"}]}
    return json.dumps({"model": model, "stream": stream, "max_tokens": 64, **prompt})


def target(path, model, stream):
    """Gemini's path says what the others say in their bodies."""
    return f"{path}/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent") if path == GEMINI else path


def http1(base, path, body):
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=CALL_TIMEOUT)
    try:
        connection.request("POST", path, body, HEADERS)
        response = connection.getresponse()
        return response.status, response.headers.get("content-type"), response.read()
    finally:
        connection.close()


def http2(base, path, body):
    headers = [argument for name, value in HEADERS.items() for argument in ("-H", f"{name}: {value}")]
    with tempfile.NamedTemporaryFile() as out:
        command = ["curl", "-sS", "--http2-prior-knowledge", "--noproxy", "*", "--max-time", str(CALL_TIMEOUT), "-X", "POST"]
        report = ["-o", out.name, "-w", "%{http_version} %{http_code} %{content_type}", "--data-binary", body, base + path]
        done = subprocess.run(command + headers + report, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())
        version, status, content_type = done.stdout.split(" ", 2)
        if version != "2":
            raise OSError(f"HTTP/{version}")
        return int(status), content_type, out.read()


def transports():
    """Both, where there is a curl that speaks HTTP/2."""
    curl = shutil.which("curl")
    if curl and "HTTP2" in subprocess.run([curl, "--version"], capture_output=True, text=True, check=True).stdout:
        return [http1, http2]
    print("HTTP/2: skipped, no curl that speaks it")
    return [http1]


def cell(base, upstream, path, fault, transport):
    """The bytes on the wire: identical when healthy, well-formed to the end when broken."""
    streamed = fault != "ok_whole"
    model = f"{fault}.{next(NUMBER)}"
    cell = Cell(path, fault, f"raw {transport.__name__}", "raw")
    try:
        status, content_type, body = transport(base, target(path, model, streamed), payload(path, model, streamed))
    except (OSError, http.client.HTTPException) as error:
        cell.wrong.append(f"{type(error).__name__} {error}")
        return cell
    if status != 200 or content_type != (APIS[path].content_type if streamed else "application/json"):
        cell.wrong.append(f"{status} {content_type}")
    if fault.startswith("ok"):
        if body != bytes(upstream.sent[model]):
            cell.wrong.append(f"body is not the upstream's: {body[:200]!r}")
    else:
        failure = expect.failure_of(expect.STREAMS, fault, path)
        cell.wrong += expect.bytes_differ(path, failure, model, body, delivered(APIS[path], model))
    return cell


def jobs(base, upstream, stalls, transports):
    """The calls that need short time-outs, or the others."""
    for path in PATHS:
        for fault in faults(path, stalls):
            for transport in transports:
                yield cell, base, upstream, path, fault, transport


def faults(path, stalls):
    """Ollama's lines know no comments; Cohere's body fails after its last word, so that no library hands it out."""
    healthy = ["ok", "ok_split", "ok_whole"] + (["ok_comments"] if path != OLLAMA else [])
    late = [fault for fault in expect.STREAMS if fault.endswith("_3") and fault not in expect.SAID]
    broken = [fault for fault in late if fault.startswith("stall") == stalls]
    return ([] if stalls else healthy) + (broken if path != COHERE else [])
