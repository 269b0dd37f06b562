"""The ways in which people call the SDKs for Python: each drives one call and gives back what came of it."""

import asyncio
import time
from dataclasses import dataclass
from typing import AsyncIterator, Callable

import anthropic
import cohere
import ollama
import openai
from google import genai

PROMPT = [{"role": "user", "content": "count"}]
CALL_TIMEOUT = 10


def report(loop, context):
    """As asyncio does, but for the generators that google-genai leaves open when it raises."""
    if "asyncgen" not in context:
        loop.default_exception_handler(context)


@dataclass(frozen=True)
class Surface:
    """One method of one SDK. `kind` is `create` (an iterator), `helper` (a context manager) or `whole`."""

    name: str
    path: str
    kind: str
    start: Callable
    text: Callable
    final: str = ""
    # What decides whether the SDK tries again: `x-should-retry`, the status alone, or nothing.
    retries: str = "as told"

    # Whether by the asynchronous client.
    flavours: tuple = (False, True)

    @property
    def sdk(self):
        return SDKS.get(self.path, "openai")

    def label(self, asynchronous):
        return self.name + (" async" if asynchronous else "")

    def client(self, base, asynchronous, retries):
        return CLIENTS[self.sdk](base, asynchronous, retries, CALL_TIMEOUT)

    def call(self, base, model, asynchronous, retries):
        """Drives one call to its end: the text, a last event that is no text, the exception, the seconds it took."""
        out, error, begin = [], None, time.monotonic()

        async def drive():
            asyncio.get_running_loop().set_exception_handler(report)
            async with self.client(base, True, retries) as client:
                await self.run_async(client, model, out)

        try:
            if asynchronous:
                asyncio.run(drive())
            else:
                with self.client(base, False, retries) as client:
                    self.run(client, model, out)
        except Exception as raised:  # noqa: BLE001, whatever it is, it is the finding
            error = raised
        last = out.pop() if out and not isinstance(out[-1], str) else None
        return "".join(out), last, error, time.monotonic() - begin

    def run(self, client, model, out):
        """Calls to the end; `out` holds what came until something raised."""
        call = self.start(client, model)
        if self.kind == "whole":
            out.append(self.text(call))
        elif self.kind == "create":
            out.extend(filter(None, map(self.text, call)))
        else:
            with call as stream:
                out.extend(filter(None, map(self.text, stream)))
                getattr(stream, self.final)()

    async def run_async(self, client, model, out):
        """As `run`, with the asynchronous client."""
        call = self.start(client, model)
        if self.kind == "whole":
            out.append(self.text(await call))
        elif self.kind == "create":
            async for event in call if isinstance(call, AsyncIterator) else await call:
                out.extend(filter(None, [self.text(event)]))
        else:
            async with call as stream:
                async for event in stream:
                    out.extend(filter(None, [self.text(event)]))
                await getattr(stream, self.final)()


def openai_client(base, asynchronous, retries, timeout):
    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return kind(base_url=base + "/v1", api_key="sk-client", max_retries=retries, timeout=timeout)


def anthropic_client(base, asynchronous, retries, timeout):
    kind = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
    return kind(base_url=base, api_key="sk-client", max_retries=retries, timeout=timeout)


def genai_client(base, asynchronous, retries, timeout):
    client = genai.Client(api_key="sk-client", http_options={"base_url": base, "timeout": timeout * 1000})
    return client.aio if asynchronous else client


def ollama_client(base, asynchronous, retries, timeout):
    return (ollama.AsyncClient if asynchronous else ollama.Client)(host=base, timeout=timeout)


def cohere_client(base, asynchronous, retries, timeout):
    kind = cohere.AsyncClientV2 if asynchronous else cohere.ClientV2
    return kind(api_key="sk-client", base_url=base, max_retries=retries, timeout=timeout)


def of_type(kind, member):
    return lambda event: getattr(event, member) if event.type == kind else None


def cohere_text(event):
    """The text; of a failed stream also its last event, which careful users look for."""
    if event.type == "message-end" and event.delta.finish_reason == "ERROR":
        return event
    return event.delta.message.content.text if event.type == "content-delta" else None


CHAT, EMBEDDINGS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"
GEMINI, OLLAMA, COHERE = "/v1/models", "/api/chat", "/v2/chat"
SDKS = {MESSAGES: "anthropic", GEMINI: "google-genai", OLLAMA: "ollama", COHERE: "cohere"}
CLIENTS = {
    "openai": openai_client,
    "anthropic": anthropic_client,
    "google-genai": genai_client,
    "ollama": ollama_client,
    "cohere": cohere_client,
}

SURFACES = [
    Surface(
        "chat stream", CHAT, "create",
        lambda c, m: c.chat.completions.create(model=m, messages=PROMPT, stream=True),
        lambda chunk: chunk.choices[0].delta.content if chunk.choices else None,
    ),
    Surface(
        "chat helper", CHAT, "helper",
        lambda c, m: c.chat.completions.stream(model=m, messages=PROMPT),
        of_type("content.delta", "delta"), "get_final_completion",
    ),
    Surface(
        "chat whole", CHAT, "whole",
        lambda c, m: c.chat.completions.create(model=m, messages=PROMPT),
        lambda answer: answer.choices[0].message.content,
    ),
    Surface(
        "embeddings", EMBEDDINGS, "whole",
        lambda c, m: c.embeddings.create(model=m, input="count", encoding_format="float"),
        lambda answer: "",
    ),
    Surface(
        "responses stream", RESPONSES, "create",
        lambda c, m: c.responses.create(model=m, input="count", stream=True),
        of_type("response.output_text.delta", "delta"),
    ),
    Surface(
        "responses helper", RESPONSES, "helper",
        lambda c, m: c.responses.stream(model=m, input="count"),
        of_type("response.output_text.delta", "delta"), "get_final_response",
    ),
    Surface(
        "responses whole", RESPONSES, "whole",
        lambda c, m: c.responses.create(model=m, input="count"),
        lambda answer: answer.output_text,
    ),
    Surface(
        "messages stream", MESSAGES, "create",
        lambda c, m: c.messages.create(model=m, messages=PROMPT, max_tokens=64, stream=True),
        lambda event: event.delta.text if event.type == "content_block_delta" else None,
    ),
    Surface(
        "messages helper", MESSAGES, "helper",
        lambda c, m: c.messages.stream(model=m, messages=PROMPT, max_tokens=64),
        of_type("text", "text"), "get_final_message",
    ),
    Surface(
        "messages whole", MESSAGES, "whole",
        lambda c, m: c.messages.create(model=m, messages=PROMPT, max_tokens=64),
        lambda answer: answer.content[0].text,
    ),
    Surface(
        "gemini stream", GEMINI, "create",
        lambda c, m: c.models.generate_content_stream(model=m, contents="count"),
        lambda chunk: chunk.text, retries="never",
    ),
    Surface(
        "gemini whole", GEMINI, "whole",
        lambda c, m: c.models.generate_content(model=m, contents="count"),
        lambda answer: answer.text, retries="never",
    ),
    Surface(
        "ollama stream", OLLAMA, "create",
        lambda c, m: c.chat(model=m, messages=PROMPT, stream=True),
        lambda part: part.message.content, retries="never",
    ),
    Surface(
        "ollama whole", OLLAMA, "whole",
        lambda c, m: c.chat(model=m, messages=PROMPT),
        lambda answer: answer.message.content, retries="never",
    ),
    Surface(
        "cohere stream", COHERE, "create",
        lambda c, m: c.chat_stream(model=m, messages=PROMPT),
        cohere_text, retries="never",
    ),
    Surface(
        "cohere whole", COHERE, "whole",
        lambda c, m: c.chat(model=m, messages=PROMPT),
        lambda answer: "".join(part.text for part in answer.message.content), retries="by status",
    ),
]
