"""The ways in which people call the SDKs: each drives one call and yields the text that it was given."""

from dataclasses import dataclass
from typing import Callable

import anthropic
import openai

PROMPT = [{"role": "user", "content": "count"}]


@dataclass(frozen=True)
class Surface:
    """One method of one SDK. `kind` is `create` (an iterator), `helper` (a context manager) or `whole`."""

    name: str
    path: str
    kind: str
    start: Callable
    text: Callable
    final: str = ""

    @property
    def sdk(self):
        return anthropic if self.path == "/v1/messages" else openai

    def client(self, base, asynchronous, **options):
        if self.sdk is anthropic:
            kind = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
            return kind(base_url=base, api_key="sk-client", **options)
        kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        return kind(base_url=base + "/v1", api_key="sk-client", **options)

    def run(self, client, model, out):
        """Calls to the end; what raised on the way is the caller's to catch, `out` holds the text until then."""
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
            async for event in await call:
                out.extend(filter(None, [self.text(event)]))
        else:
            async with call as stream:
                async for event in stream:
                    out.extend(filter(None, [self.text(event)]))
                await getattr(stream, self.final)()


def of_type(kind, member):
    return lambda event: getattr(event, member) if event.type == kind else None


CHAT, EMBEDDINGS, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"

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
        lambda answer: answer,
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
]
