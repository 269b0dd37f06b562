"""How another gateway of this kind ends a stream: one last word for each category, in each dialect."""

from apis import Chat, Cohere, Gemini, Messages, Ollama, Responses, event, line
from contract import CATEGORIES

MESSAGE = "The gateway further up has read this already."


def openai(shown, members):
    return {"message": MESSAGE, "type": shown.openai_type, "param": None, "code": shown.openai_code, **members}


def chat(shown, members):
    return event({"error": openai(shown, members)})


def responses(shown, members):
    flat = {"code": shown.openai_code, "message": MESSAGE, "param": None, "sequence_number": 50}
    return event({"type": "error", **flat, "error": openai(shown, members)}, "error")


def messages(shown, members):
    return event({"type": "error", "error": {"type": shown.anthropic, "message": MESSAGE, **members}}, "error")


def gemini(shown, members):
    return event({"error": {"code": shown.status, "message": MESSAGE, "status": shown.google, **members}})


def ollama(shown, members):
    return line({"error": MESSAGE, **members})


def cohere(shown, members):
    return event({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": MESSAGE}, **members}, "message-end")


SHAPES = {Chat: chat, Responses: responses, Messages: messages, Gemini: gemini, Ollama: ollama, Cohere: cohere}


def last_word(api, category):
    shown = CATEGORIES[category]
    return SHAPES[type(api)](shown, {"category": category, "retryable": shown.retryable, "origin": "upstream"})
