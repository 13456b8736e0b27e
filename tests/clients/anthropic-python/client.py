"""The Anthropic SDK for Python, as an application would use it. Prints one JSON line for each scenario.

Run by the `clients` crate, which says where the gateway is and judges what is printed.
"""

import json
import os
import sys
import time

import anthropic
from pydantic import BaseModel

BASE_URL = os.environ["CLIENTS_URL"]
TOKEN = os.environ["CLIENTS_TOKEN"]
MODEL = os.environ["CLIENTS_MODEL"]
IMAGE = os.environ["CLIENTS_IMAGE"]
DEADLINE_S = 30

client = anthropic.Anthropic(base_url=BASE_URL, auth_token=TOKEN, timeout=DEADLINE_S)
once = client.with_options(max_retries=0)

WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}


class Weather(BaseModel):
    city: str
    degrees: int


def ask(scenario):
    return {
        "model": MODEL,
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": f"Hello [[{scenario}]]"}],
    }


def usage(answer):
    return {"input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def text_of(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def plain():
    answer = once.messages.create(**ask("plain"))
    return {
        "text": text_of(answer),
        "finish": answer.stop_reason,
        "usage": usage(answer),
        "request_id": answer._request_id,
    }


def stream():
    with once.messages.stream(**ask("stream")) as events:
        pieces = list(events.text_stream)
        answer = events.get_final_message()
    return {"text": "".join(pieces), "pieces": len(pieces), "finish": [answer.stop_reason], "usage": usage(answer)}


def calls_of(answer):
    return [{"id": b.id, "name": b.name, "input": b.input} for b in answer.content if b.type == "tool_use"]


def answered(request, answer, results):
    """The conversation with the model's calls and what the tools said."""
    said = [
        {"type": "tool_result", "tool_use_id": call["id"], "content": text}
        for call, text in zip(calls_of(answer), results)
    ]
    turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": said}]
    return {**request, "messages": [*request["messages"], *turns]}


def tools():
    request = ask("tools") | {"tools": [WEATHER]}
    first = once.messages.create(**request, tool_choice={"type": "any"})
    last = once.messages.create(**answered(request, first, ["21 degrees"]))
    return {"calls": calls_of(first), "finish": first.stop_reason, "text": text_of(last)}


def parallel_tools():
    request = ask("parallel-tools") | {"tools": [WEATHER]}
    with once.messages.stream(**request) as events:
        first = events.get_final_message()
    with once.messages.stream(**answered(request, first, ["21 degrees", "4 degrees"])) as events:
        last = events.get_final_message()
    return {"calls": calls_of(first), "finish": first.stop_reason, "text": text_of(last)}


def structured_output():
    answer = once.messages.parse(**ask("structured-output"), output_format=Weather)
    return {"value": answer.parsed_output.model_dump(), "finish": answer.stop_reason}


def image():
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    content = [{"type": "text", "text": "What is this? [[image]]"}, {"type": "image", "source": source}]
    answer = once.messages.create(**ask("image") | {"messages": [{"role": "user", "content": content}]})
    return {"text": text_of(answer)}


def seen_error(attempt):
    try:
        attempt()
    except anthropic.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "message": error.message,
            "type": (body.get("error") or {}).get("type"),
            "request_id": error.request_id,
        }
    except anthropic.APIError as error:
        return {"class": type(error).__name__, "message": error.message}
    return {"class": None}


def error():
    def create(scenario, by=once, **more):
        return lambda: list(by.messages.create(**ask(scenario) | more))

    stranger = anthropic.Anthropic(base_url=BASE_URL, auth_token="bh_not.a.token", max_retries=0)
    return {
        "400": seen_error(create("error-400")),
        "400 stream": seen_error(create("error-400", stream=True)),
        "429": seen_error(create("error-429")),
        "500": seen_error(create("error-500")),
        "529": seen_error(create("error-529")),
        "mid-stream": seen_error(create("error-mid-stream", stream=True)),
        "unknown model": seen_error(create("never-asked", model="no-such-model")),
        "bad token": seen_error(create("never-asked", by=stranger)),
    }


def retry():
    seen = {}
    for scenario in ("retry-429", "retry-500"):
        begun = time.monotonic()
        answer = client.messages.create(**ask(scenario))
        seen[scenario] = {"text": text_of(answer), "seconds": time.monotonic() - begun}
    return seen


def cancel():
    pieces = 0
    with once.messages.stream(**ask("cancel")) as events:
        for _ in events.text_stream:
            pieces += 1
            if pieces == 3:
                break
    return {"pieces": pieces}


def refusal():
    answer = once.messages.create(**ask("refusal"))
    return {"text": text_of(answer), "finish": answer.stop_reason}


def count_tokens():
    request = ask("count-tokens")
    del request["max_tokens"]
    return {"input_tokens": once.messages.count_tokens(**request).input_tokens}


def models():
    listed = [model.id for model in client.models.list(limit=1000)]
    return {"listed": listed, "one": client.models.retrieve(MODEL).id}


SCENARIOS = [
    plain, stream, tools, parallel_tools, structured_output,
    image, error, retry, cancel, refusal, count_tokens, models,
]  # fmt: skip

if __name__ == "__main__":
    for scenario in SCENARIOS:
        name = scenario.__name__.replace("_", "-")
        try:
            line = {"scenario": name, "seen": scenario()}
        except Exception as failure:  # whatever it is, the driver reports it
            line = {"scenario": name, "failed": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(line), flush=True)
    sys.exit(0)
