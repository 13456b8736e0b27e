"""The OpenAI SDK for Python, as an application would use it. Prints one JSON line for each scenario.

Run by the `clients` crate, which says where the gateway is and judges what is printed.
"""

import json
import os
import sys
import time

import openai
from pydantic import BaseModel

BASE_URL = os.environ["CLIENTS_URL"] + "/v1"
TOKEN = os.environ["CLIENTS_TOKEN"]
MODEL = os.environ["CLIENTS_MODEL"]
IMAGE = os.environ["CLIENTS_IMAGE"]
DEADLINE_S = 30

client = openai.OpenAI(base_url=BASE_URL, api_key=TOKEN, timeout=DEADLINE_S)
once = client.with_options(max_retries=0)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


class Weather(BaseModel):
    city: str
    degrees: int


def ask(scenario):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Hello [[{scenario}]]"}]


def usage(answer):
    return {"input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}


def plain():
    answer = once.chat.completions.create(model=MODEL, messages=ask("plain"), max_completion_tokens=100)
    choice = answer.choices[0]
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "usage": usage(answer),
        "request_id": answer._request_id,
    }


def stream():
    pieces, finish, used = [], [], None
    chunks = once.chat.completions.create(
        model=MODEL, messages=ask("stream"), stream=True, stream_options={"include_usage": True}
    )
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.delta.content:
                pieces.append(choice.delta.content)
            if choice.finish_reason:
                finish.append(choice.finish_reason)
        if chunk.usage:
            used = usage(chunk)
    return {"text": "".join(pieces), "pieces": len(pieces), "finish": finish, "usage": used}


def stream_without_usage():
    chunks = list(once.chat.completions.create(model=MODEL, messages=ask("stream"), stream=True))
    return {"usage_chunks": sum(chunk.usage is not None or not chunk.choices for chunk in chunks)}


def calls_of(message):
    return [{"id": c.id, "name": c.function.name, "input": json.loads(c.function.arguments)} for c in message.tool_calls]


def answered(messages, message, results):
    """The conversation with the model's calls and what the tools said."""
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
        for c in message.tool_calls
    ]
    said = [{"role": "tool", "tool_call_id": c["id"], "content": text} for c, text in zip(calls, results)]
    return [*messages, {"role": "assistant", "content": None, "tool_calls": calls}, *said]


def tools():
    messages = ask("tools")
    first = once.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], tool_choice="required")
    message = first.choices[0].message
    last = once.chat.completions.create(
        model=MODEL, messages=answered(messages, message, ["21 degrees"]), tools=[WEATHER]
    )
    return {
        "calls": calls_of(message),
        "finish": first.choices[0].finish_reason,
        "text": last.choices[0].message.content,
    }


def parallel_tools():
    messages = ask("parallel-tools")
    with once.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER], parallel_tool_calls=True) as s:
        first = s.get_final_completion()
    message = first.choices[0].message
    with once.chat.completions.stream(
        model=MODEL, messages=answered(messages, message, ["21 degrees", "4 degrees"]), tools=[WEATHER]
    ) as s:
        last = s.get_final_completion()
    return {
        "calls": calls_of(message),
        "finish": first.choices[0].finish_reason,
        "text": last.choices[0].message.content,
    }


def structured_output():
    answer = once.chat.completions.parse(model=MODEL, messages=ask("structured-output"), response_format=Weather)
    return {"value": answer.choices[0].message.parsed.model_dump(), "finish": answer.choices[0].finish_reason}


def image():
    content = [
        {"type": "text", "text": "What is this? [[image]]"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
    ]
    answer = once.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    return {"text": answer.choices[0].message.content}


def seen_error(attempt):
    try:
        attempt()
    except openai.APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        return {
            "class": type(error).__name__,
            "status": error.status_code,
            "message": error.message,
            "type": body.get("type"),
            "code": body.get("code"),
            "request_id": error.request_id,
        }
    except openai.APIError as error:
        return {"class": type(error).__name__, "message": error.message}
    return {"class": None}


def error():
    def create(scenario, model=MODEL, by=once, **more):
        return lambda: list(by.chat.completions.create(model=model, messages=ask(scenario), **more))

    stranger = once.with_options(api_key="bh_not.a.token")
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
        answer = client.chat.completions.create(model=MODEL, messages=ask(scenario))
        seen[scenario] = {"text": answer.choices[0].message.content, "seconds": time.monotonic() - begun}
    return seen


def cancel():
    pieces = 0
    with once.chat.completions.create(model=MODEL, messages=ask("cancel"), stream=True) as chunks:
        for chunk in chunks:
            pieces += any(choice.delta.content for choice in chunk.choices)
            if pieces == 3:
                break
    return {"pieces": pieces}


def refusal():
    message = once.chat.completions.create(model=MODEL, messages=ask("refusal")).choices[0]
    return {"refusal": message.message.refusal, "content": message.message.content, "finish": message.finish_reason}


def models():
    listed = [model.id for model in client.models.list()]
    return {"listed": listed, "one": client.models.retrieve(MODEL).id}


SCENARIOS = [
    plain, stream, stream_without_usage, tools, parallel_tools, structured_output,
    image, error, retry, cancel, refusal, models,
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
