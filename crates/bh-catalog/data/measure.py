"""What the recordings say about OVERHEADS in generate.py: how far a bill exceeds the text.

Two kinds of evidence. Plain conversations (../shared/tokens): billed tokens beyond the text's own tokens (o200k), per
message. Whole requests (../shared/recordings): billed tokens beyond the bytes of all strings and keys the model reads,
which is what must stay below the bound; requests with images, files or tools of the provider are left out.
"""
import collections
import json

from generate import profile

PROVIDERS = {"openai": "openai", "azure": "openai", "anthropic": "anthropic", "groq": "groq", "deepseek": "deepseek",
             "mistral": "mistral", "xai": "xai", "openrouter": None, "snowflake": None, "doubleword": None,
             "zai": "zai", "cerebras": "groq", "moonshot": "moonshot", "alibaba": "alibaba"}
READ = ["messages", "system", "tools", "functions", "response_format", "output_format", "output_config"]


def family(provider, name):
    owner, _, short = (name or "").rpartition("/")
    own = PROVIDERS.get(provider)
    if own is None:
        own = {"openai": "openai", "anthropic": "anthropic", "x-ai": "xai", "deepseek": "deepseek"}.get(owner)
        own = own or ("anthropic" if short.startswith("claude") else None)
    return own and profile(own, short)


def size(value):
    """Bytes of strings and keys, or None when something is not text."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, dict):
        kind = value.get("type")
        if kind in ("image", "image_url", "document", "file", "input_audio", "search_result") or (
                isinstance(kind, str) and kind[-8:].isdigit()):
            return None
        parts = [size(part) for part in value.values()] + [len(key.encode()) for key in value]
    elif isinstance(value, list):
        parts = [size(part) for part in value]
    else:
        return 0 if value is None else len(json.dumps(value))
    return None if None in parts else sum(parts)


def usages(response):
    if "sse" in response:
        bodies = [line[5:] for line in response["sse"].splitlines() if line.startswith("data:") and "usage" in line]
    else:
        bodies = [json.dumps(response.get("body") or response.get("json"))]
    for body in bodies:
        try:
            event = json.loads(body)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event.get("usage") or (event.get("message") or {}).get("usage")


def prompt(usage):
    keys = ["prompt_tokens", "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
    return sum(usage.get(key) or 0 for key in keys) if isinstance(usage, dict) else 0


def main(shared):
    plain, whole = collections.defaultdict(list), collections.defaultdict(list)
    for line in (shared / "tokens" / "recorded_input_tokens.jsonl").read_text().splitlines():
        row = json.loads(line)
        name = family(row["provider"], row["served_model"] or row["model"]) or family(row["provider"], row["model"])
        # Long texts would show how tokenizers differ, not what is added.
        if name and row["o200k_content"] < 200 and "compound" not in (row["model"] or ""):
            messages = len(row["messages"]) + bool(row["system"])
            plain[name].append(((row["recorded_input_tokens"] - row["o200k_content"]) / messages, row["model"]))
    for path in sorted((shared / "recordings").glob("*/*/*.json")):
        row = json.loads(path.read_text())
        body = row["request"].get("body")
        if row["api"] not in ("chat_completions", "messages") or not isinstance(body, dict):
            continue
        name = family(row["provider"], body.get("model"))
        text = size({key: body[key] for key in READ if key in body})
        billed = max(map(prompt, usages(row["response"])), default=0)
        if name and text is not None and billed:
            tools = len(body.get("tools") or body.get("functions") or [])
            whole[name].append((billed - text, f"{tools} tools", row["case"]))
    for title, table in (("billed beyond the text's tokens, per message", plain), ("billed beyond all bytes", whole)):
        print(title)
        for name, rows in sorted(table.items()):
            rows.sort(key=lambda row: -row[0])
            worst = ", ".join(f"{row[0]:.0f} ({' '.join(map(str, row[1:]))})" for row in rows[:3])
            print(f"  {name:10} {len(rows):4} rows, largest: {worst}")
