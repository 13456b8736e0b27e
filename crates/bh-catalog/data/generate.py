#!/usr/bin/env python3
"""Writes catalog-v1.json from two public tables of model prices, and says where they disagree.

    python3 crates/bh-catalog/data/generate.py            # writes the file beside this script
    python3 crates/bh-catalog/data/generate.py --check    # exits 1 if the file is not what would be written
    python3 crates/bh-catalog/data/generate.py --measure  # prints what recordings say about the overheads below

The tables are expected in ../shared/catalog beside the repository (litellm_model_prices_and_context_window.json and
models_dev.json); --measure also reads ../shared/tokens and ../shared/recordings. Only figures are taken.

Rules. Prices become integers, pico-USD per token, without passing through a float. Where both tables have a price
they must agree; where they do not, the dearer one counts (a hold may be too large, never too small) and the
disagreement is printed. Of two answer limits the smaller counts (a provider refuses a larger `max_tokens`), of two
context sizes the larger. A tier or step that lacks one price gets the standard one, scaled as its input or output is.
"""
import json
import math
import pathlib
import re
import sys
from decimal import Decimal

HERE = pathlib.Path(__file__).resolve().parent
SHARED = HERE.parents[3] / "shared"
OUT = HERE / "catalog-v1.json"

# Our provider, its name at litellm, its name at models.dev.
PROVIDERS = [
    ("openai", "openai", "openai"),
    ("anthropic", "anthropic", "anthropic"),
    ("gemini", "gemini", "google"),
    ("groq", "groq", "groq"),
    ("deepseek", "deepseek", "deepseek"),
    ("xai", "xai", "xai"),
    ("moonshot", "moonshot", "moonshotai"),
    ("minimax", "minimax", "minimax"),
    ("zai", "zai", "zai"),
    ("alibaba", "dashscope", "alibaba"),
    ("mistral", "mistral", "mistral"),
]

# Not chat models, agents with tools of their own, or other people's models at another price.
SKIP = re.compile(
    r"image|imagine|tts|embed|whisper|guard|safeguard|orpheus|compound|realtime|video|lyria|robotics|omni|"
    r"deep-research|container|learnlm|gemini-gemma|mt-|asr|ocr|livetranslate|gemini-exp|moderation|voxtral|"
    r"grok-4\.20-.*?(beta|experimental)"
)
RESOLD = {"alibaba": re.compile(r"^(deepseek|glm|kimi)"), "mistral": re.compile(r"^(deepseek|glm|zai)")}

# Models that neither table lists at their maker, with the places that sell them at the maker's price, or the prices
# the maker published (USD per million tokens: input, output, cache read).
BORROWED = [
    ("openai", "gpt-3.5-turbo-0613", {"dev": "azure/gpt-3.5-turbo-0613"}),
    ("openai", "gpt-3.5-turbo-0301", {"dev": "azure/gpt-3.5-turbo-0301"}),
    ("openai", "gpt-4-32k", {"litellm": "azure/gpt-4-32k", "dev": "azure/gpt-4-32k"}),
    ("openai", "gpt-4-turbo-preview", {"litellm": "azure/gpt-4-0125-preview"}),
    ("openai", "gpt-4.5-preview", {"litellm": "azure/gpt-4.5-preview"}),
    ("openai", "chatgpt-4o-latest", {"dev": "302ai/chatgpt-4o-latest"}),
    ("openai", "o1-mini", {"litellm": "azure/o1-mini", "dev": "azure/o1-mini"}),
    ("anthropic", "claude-3-5-haiku-20241022",
     {"litellm": "anthropic.claude-3-5-haiku-20241022-v1:0",
      "dev": "google-vertex-anthropic/claude-3-5-haiku@20241022"}),
    ("groq", "meta-llama/llama-4-maverick-17b-128e-instruct", {"litellm": "vercel_ai_gateway/meta/llama-4-maverick"}),
    ("xai", "grok-3", {"litellm": "vercel_ai_gateway/xai/grok-3", "dev": "helicone/grok-3"}),
    ("xai", "grok-3-mini", {"litellm": "vercel_ai_gateway/xai/grok-3-mini", "dev": "helicone/grok-3-mini"}),
    ("xai", "grok-4", {"litellm": "vercel_ai_gateway/xai/grok-4", "dev": "llmgateway/grok-4"}),
    ("xai", "grok-4-fast-reasoning",
     {"litellm": "azure_ai/grok-4-fast-reasoning", "dev": "302ai/grok-4-fast-reasoning"}),
    ("xai", "grok-4-fast-non-reasoning",
     {"litellm": "azure_ai/grok-4-fast-non-reasoning", "dev": "302ai/grok-4-fast-non-reasoning"}),
    ("xai", "grok-4-1-fast-reasoning",
     {"litellm": "azure_ai/grok-4-1-fast-reasoning", "dev": "302ai/grok-4-1-fast-reasoning"}),
    ("xai", "grok-4-1-fast-non-reasoning",
     {"litellm": "azure_ai/grok-4-1-fast-non-reasoning", "dev": "302ai/grok-4-1-fast-non-reasoning"}),
]

# Other names of a model at the same prices. Dated snapshots and `-latest` need no entry: the look-up strips them.
ALIASES = {
    ("openai", "gpt-4-turbo-preview"): ["gpt-4-0125-preview", "gpt-4-vision-preview", "gpt-4-1106-vision-preview"],
    ("openai", "gpt-4-32k"): ["gpt-4-32k-0613", "gpt-4-32k-0314"],
    ("openai", "gpt-4"): ["gpt-4-0314"],
    ("openai", "gpt-3.5-turbo-16k"): ["gpt-3.5-turbo-16k-0613"],
    ("openai", "gpt-4o-audio-preview"): ["gpt-4o-audio-preview-2024-10-01"],
    ("anthropic", "claude-sonnet-4"): ["claude-sonnet-4-0"],
    ("anthropic", "claude-opus-4"): ["claude-opus-4-0"],
    ("xai", "grok-4"): ["grok-4-0709"],
    ("xai", "grok-4-fast-reasoning"): ["grok-4-fast"],
    ("xai", "grok-4-1-fast-reasoning"): ["grok-4-1-fast"],
    ("zai", "glm-4.5-air"): ["glm-4-5-air"],
}

# What the tables lack and the maker published: dearer long prompts (USD per million tokens), abilities.
LONG = {
    ("xai", "grok-4"): (128_000, {"input": 6, "output": 30, "cache_read": "1.5"}),
    ("xai", "grok-4-fast-reasoning"): (128_000, {"input": "0.4", "output": 1}),
    ("xai", "grok-4-fast-non-reasoning"): (128_000, {"input": "0.4", "output": 1}),
    ("xai", "grok-4-1-fast-reasoning"): (128_000, {"input": "0.4", "output": 1}),
    ("xai", "grok-4-1-fast-non-reasoning"): (128_000, {"input": "0.4", "output": 1}),
}
ALSO_CAN = {("xai", "grok-4"): ["json_schema", "reasoning"]}

# What a provider adds to a prompt: upper bounds in tokens, at least twice the largest excess that --measure finds over
# the tokens of the text itself (o200k), where anything was measured.
#   openai     chat: 3 + role + name per message, 3 for the answer. Largest seen: 8 per message; a custom tool with a
#              grammar 150, an ordinary one 12.
#   anthropic  largest seen without tools 42 (a task budget), with one tool 506, citations 610, a JSON shape 206;
#              Anthropic states tool prompts up to 804.
#   llama, harmony (gpt-oss), deepseek: system prompts of 35, 67 and 83 that the provider adds.
#   xai        a hidden prompt of 684.
# non_ascii_growth is how far the tokenizer's Unicode normalisation can lengthen UTF-8: 1 where the published
# tokenizer has none, 3 for NFC (Qwen), 11 for NFKC and for tokenizers nobody published.
OVERHEADS = {
    "openai": (32, 16, 256, 320, 512, 1),
    "anthropic": (96, 16, 1024, 256, 1280, 11),
    "gemini": (64, 16, 512, 128, 512, 11),
    "llama": (128, 16, 1024, 256, 512, 1),
    "harmony": (192, 16, 512, 128, 512, 1),
    "deepseek": (192, 16, 1024, 256, 512, 1),
    "kimi": (64, 16, 512, 128, 512, 1),
    "qwen": (64, 16, 512, 128, 512, 3),
    "xai": (1536, 32, 1024, 256, 512, 11),
    "open": (128, 32, 1024, 256, 512, 11),
    "unknown": (1536, 32, 1024, 320, 1280, 11),
}
OVERHEAD_KEYS = ["base", "per_message", "tool_prompt", "per_tool", "per_feature", "non_ascii_growth"]

# The most tokens one image can make, by the providers' own rules for the largest image they do not scale down.
# OpenAI, tiles: base + 8 tiles of 512 px. Patches: 1,536 (from gpt-5.2 on up to 10,000) times the model's factor, the
# largest factor there is (2.46) where it is not published. Anthropic: 1,600 (4,784 from Opus 4.7 on), with margin.
IMAGES = [
    ("openai", r"^(ft:)?gpt-4o-mini", 2833 + 8 * 5667),
    ("openai", r"^(ft:)?(gpt-4\.1-mini|gpt-5-mini)", 2489),
    ("openai", r"^(ft:)?(gpt-4\.1-nano|gpt-5-nano)", 3779),
    ("openai", r"^(ft:)?o4-mini", 2642),
    ("openai", r"^(o1|o3)", 75 + 8 * 150),
    ("openai", r"^(ft:)?(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-turbo|gpt-4-1106|chatgpt-4o)", 85 + 8 * 170),
    ("openai", r"^gpt-5(\.1)?(-|$)", 3779),
    ("openai", r".", 24600),
    ("anthropic", r"^claude-(3|opus-4($|-[0156])|sonnet-4|haiku-4)", 2000),
    ("anthropic", r".", 6000),
    ("echo", r".", 1000),
]

TIERS = {"flex": "flex", "priority": "priority", "batches": "batch", "ultrafast": "ultrafast"}
FIELDS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "input_cost_per_image_token": "image_input",
}
PRICE = re.compile(
    r"^(?P<field>" + "|".join(FIELDS) + r")(?P<long>_above_1hr|_above_12hr)?"
    r"(_above_(?P<step>\d+)k_tokens)?(_(?P<tier>" + "|".join(TIERS) + r"))?$"
)
OUTPUT_FIELDS = {"output", "reasoning", "audio_output"}
ORDER = ["input", "output", "reasoning", "cache_read", "cache_write_5m", "cache_write_1h", "audio_input",
         "audio_output", "image_input"]
disagreements = []


def pico(usd_per_token):
    """Pico-USD per token, rounded up: the tables round some prices to more digits than a price has."""
    return math.ceil(Decimal(usd_per_token) * 10**12)


def load(name):
    return json.loads((SHARED / "catalog" / name).read_text(), parse_float=Decimal, parse_int=Decimal)


def from_litellm(row):
    """{(tier, step): {field: pico}} of one litellm row."""
    sets = {}
    for key, value in row.items():
        match = PRICE.match(key)
        if match is None or value is None:
            continue
        field = FIELDS[match["field"]]
        if match["long"]:
            field = "cache_write_1h"
        tier = TIERS.get(match["tier"], "standard")
        sets.setdefault((tier, int(match["step"] or 0) * 1000), {})[field] = pico(value)
    for band in row.get("tiered_pricing") or []:
        rates = sets.setdefault(("standard", int(band["range"][0])), {})
        rates.update({FIELDS[key]: pico(value) for key, value in band.items() if key in FIELDS})
    multiplier = (row.get("provider_specific_entry") or {}).get("fast")
    if multiplier:
        for (tier, step), rates in list(sets.items()):
            if tier == "standard":
                sets["fast", step] = {field: math.ceil(price * multiplier) for field, price in rates.items()}
    return sets


def from_dev(row):
    """The same of one models.dev row, whose prices are per million tokens."""
    names = {"input": "input", "output": "output", "reasoning": "reasoning", "cache_read": "cache_read",
             "cached_input": "cache_read", "cache_write": "cache_write_5m", "cached_write": "cache_write_5m",
             "input_audio": "audio_input", "output_audio": "audio_output"}

    def rates(cost):
        return {names[key]: pico(value / 10**6) for key, value in cost.items() if key in names}

    cost = row.get("cost") or {}
    sets = {("standard", 0): rates(cost)}
    for step in cost.get("tiers", []):
        sets["standard", int(step["tier"]["size"])] = rates(step)
    for mode in ((row.get("experimental") or {}).get("modes") or {}).values():
        body = (mode.get("provider") or {}).get("body") or {}
        tier = body.get("service_tier") or body.get("speed")
        if tier and mode.get("cost"):
            sets[tier, 0] = rates(mode["cost"])
    return sets


def plausible(sets):
    """Without prices that cannot be what their name says: free caching, writes cheaper than input, free input."""
    for rates in sets.values():
        whole = rates.get("input", 0)
        for field in ("cache_read", "cache_write_5m", "cache_write_1h"):
            price = rates.get(field)
            if price is not None and whole and (price == 0 or (field != "cache_read" and price < whole)):
                del rates[field]
    return {key: rates for key, rates in sets.items() if rates}


def merged(name, first, second):
    """Both tables' prices as one; the dearer where they differ."""
    sets = {key: dict(rates) for key, rates in first.items()}
    for key, rates in second.items():
        mine = sets.setdefault(key, {})
        for field, price in rates.items():
            if field in mine and mine[field] != price and key in first:
                where = key[0] + (f" above {key[1]}" if key[1] else "")
                disagreements.append(f"{name}: {where} {field}: litellm {mine[field]}, models.dev {price}")
            mine[field] = max(mine.get(field, 0), price)
    return sets


def complete(rates, model):
    """A set with every field that its model's cheapest set has, scaled where it is missing."""
    for field, price in model.items():
        whole = "output" if field in OUTPUT_FIELDS else "input"
        if field not in rates:
            rates[field] = math.ceil(Decimal(price) * rates.get(whole, model[whole]) / (model[whole] or 1))
    return rates


def shown(rates):
    """Only what the reader would not fill in by itself."""
    write = rates.get("cache_write_5m", rates["input"])
    usual = {"reasoning": rates["output"], "audio_output": rates["output"], "cache_read": rates["input"],
             "cache_write_5m": rates["input"], "cache_write_1h": write, "audio_input": rates["input"],
             "image_input": rates["input"]}
    return {field: rates[field] for field in ORDER if field in rates and rates[field] != usual.get(field)}


def schedules(provider, sets):
    """The standard schedule and the others by name."""
    base = sets["standard", 0]
    if provider == "anthropic" and "cache_write_5m" in base:
        base.setdefault("cache_write_1h", 2 * base["input"])
    standard_steps = {step: complete(rates, base) for (tier, step), rates in sets.items()
                      if tier == "standard" and step}
    tiers = {}
    for tier in sorted({tier for tier, _ in sets}):
        first = complete(dict(sets.get((tier, 0), {})), base)
        steps = []
        for step in sorted(standard_steps):
            rates = dict(sets.get((tier, step), {}))
            # A step that the tier does not price is dearer by as much as the standard one is.
            for field, price in first.items():
                dearer = Decimal(standard_steps[step][field]) / (base[field] or 1)
                rates.setdefault(field, math.ceil(price * dearer))
            steps.append({"above": step, "rates": shown(rates)})
        tiers[tier] = {"base": shown(first), **({"steps": steps} if steps else {})}
    return tiers.pop("standard"), tiers


def abilities(provider, name, lite, dev):
    def says(key):
        return bool((lite or {}).get(key))
    inputs = ((dev or {}).get("modalities") or {}).get("input", [])
    outputs = ((dev or {}).get("modalities") or {}).get("output", [])
    tools = says("supports_function_calling") or bool((dev or {}).get("tool_call"))
    reasoning = says("supports_reasoning") or bool((dev or {}).get("reasoning"))
    openai_reasoner = provider == "openai" and reasoning
    can = {
        "streaming": True,
        "system": name not in ("o1-mini",),
        "tools": tools,
        "parallel_tools": tools and (provider in ("openai", "anthropic", "gemini", "mistral", "xai")
                                     and not re.match(r"o\d", name) or says("supports_parallel_function_calling")),
        "tool_choice": tools and (says("supports_tool_choice") or lite is None),
        "images": says("supports_vision") or "image" in inputs,
        "documents": says("supports_pdf_input") or "pdf" in inputs,
        "audio_input": says("supports_audio_input") or "audio" in inputs,
        "audio_output": says("supports_audio_output") or "audio" in outputs,
        "json_schema": says("supports_native_structured_output") if provider == "anthropic"
        else says("supports_response_schema") or bool((dev or {}).get("structured_output")),
        "reasoning": reasoning,
        "sampling": (lite or {}).get("supports_sampling_params") is not False
        and (dev or {}).get("temperature") is not False and not openai_reasoner,
        "prompt_cache": says("supports_prompt_caching") or "cache_read" in ((dev or {}).get("cost") or {}),
        "web_search": says("supports_web_search") or "search" in name,
        "prefill": says("supports_assistant_prefill") or (provider == "anthropic" and name.startswith("claude-3")),
    }
    more = ALSO_CAN.get((provider, name), [])
    return [ability for ability, has in can.items() if has or ability in more]


def profile(provider, name):
    if "gpt-oss" in name:
        return "harmony"
    if "qwen" in name or name.startswith("qwq"):
        return "qwen"
    if "llama" in name:
        return "llama"
    own = {"openai": "openai", "anthropic": "anthropic", "deepseek": "deepseek", "xai": "xai", "moonshot": "kimi"}
    return "gemini" if name.startswith("gemini") else own.get(provider, "open")


def limit(name, what, values, choose):
    values = [int(value) for value in values if value]
    if len(set(values)) > 1:
        disagreements.append(f"{name}: {what}: litellm {values[0]}, models.dev {values[1]}")
    return choose(values) if values else None


def model(provider, name, lite, dev):
    path = f"{provider}/{name}"
    sets = merged(path, plausible(from_litellm(lite or {})), plausible(from_dev(dev or {})))
    if not {"input", "output"} <= set(sets.get(("standard", 0), {})):
        return None
    if (provider, name) in LONG:
        above, rates = LONG[provider, name]
        sets.setdefault(("standard", above), {field: pico(Decimal(usd) / 10**6) for field, usd in rates.items()})
    standard, tiers = schedules(provider, sets)
    lite, limits = lite or {}, (dev or {}).get("limit") or {}
    search = max(((lite.get("search_context_cost_per_query") or {}).values()), default=0)
    if provider == "anthropic":
        search = max(search, Decimal("0.01"))
    # OpenAI's search models search on every call, asked or not, and bill the call.
    always = provider == "openai" and "search" in name
    surcharge = (lite.get("provider_specific_entry") or {}).get("us") or max(
        lite.get("regional_processing_uplift_multiplier_eu") or 1,
        lite.get("regional_processing_uplift_multiplier_us") or 1)
    can = abilities(provider, name, lite or None, dev)
    image = next((most for owner, pattern, most in IMAGES if owner == provider and re.search(pattern, name)), None)
    row = {
        "id": name,
        "provider": provider,
        "aliases": sorted(ALIASES.get((provider, name), [])),
        "standard": standard,
        "tiers": tiers,
        "web_search": 0 if always else pico(search),
        "per_call": pico(search) if always else 0,
        "regional_permille": int(Decimal(surcharge) * 1000),
        "cache_writes_unasked": provider != "anthropic" and "cache_write_5m" in standard["base"],
        "context": max((int(v) for v in (lite.get("max_input_tokens"), limits.get("context")) if v), default=None),
        "output": limit(path, "answer limit", [lite.get("max_output_tokens"), limits.get("output")], min),
        "image_tokens": image if "images" in can or "vision-preview" in " ".join(ALIASES.get((provider, name), []))
        else None,
        "overheads": profile(provider, name),
        "can": can,
    }
    defaults = {"aliases": [], "tiers": {}, "web_search": 0, "per_call": 0, "regional_permille": 1000,
                "cache_writes_unasked": False, "context": None, "output": None, "image_tokens": None}
    return {key: value for key, value in row.items() if key not in defaults or value != defaults[key]}


def undated(name):
    """As the look-up strips names (Catalog::find)."""
    return re.sub(r"(-latest|[-@]20\d{6}|-20\d\d-\d\d-\d\d)$", "", name)


def collect():
    litellm, dev = load("litellm_model_prices_and_context_window.json"), load("models_dev.json")
    rows = {}
    aliased = {(provider, alias) for (provider, _), aliases in ALIASES.items() for alias in aliases}
    for provider, lite_name, dev_name in PROVIDERS:
        lite_rows = {}
        for key, row in litellm.items():
            if row.get("litellm_provider") == lite_name and row.get("mode") in ("chat", "responses"):
                lite_rows[key.removeprefix(lite_name + "/")] = row
        dev_rows = dev[dev_name]["models"]
        for name in sorted(lite_rows.keys() | dev_rows.keys()):
            resold = provider in RESOLD and RESOLD[provider].search(name)
            if not SKIP.search(name) and not resold and (provider, name) not in aliased:
                rows[provider, name] = model(provider, name, lite_rows.get(name), dev_rows.get(name))
    for provider, name, places in BORROWED:
        dev_provider, _, dev_id = places.get("dev", "/").partition("/")
        lite = litellm[places["litellm"]] if "litellm" in places else None
        rows[provider, name] = model(provider, name, lite, dev[dev_provider]["models"][dev_id] if dev_id else None)
    rows["echo", "echo"] = {
        "id": "echo", "provider": "echo", "standard": {"base": {"input": 1_000_000, "output": 2_000_000}},
        "context": 1_000_000, "output": 65_536, "image_tokens": 1000, "overheads": "openai",
        "can": ["streaming", "system", "tools", "parallel_tools", "tool_choice", "images", "json_schema", "sampling"],
    }
    return {key: row for key, row in rows.items() if row}


def folded(rows):
    """Without snapshots that cost the same as the model whose name they carry; where that model is missing, the
    snapshot takes its name."""
    kept = {}
    for (provider, name), row in sorted(rows.items(), key=lambda item: (item[0][0], len(item[0][1]), item[0][1])):
        short = undated(name)
        if short != name and not name.startswith("ft:"):
            other = kept.get((provider, short))
            if other is None and name.endswith("-latest"):
                kept[provider, name] = row
                continue
            if other is None:
                aliases = sorted(ALIASES.get((provider, short), []))
                kept[provider, short] = {"id": short, "provider": provider, **({"aliases": aliases} if aliases else {}),
                                         **{k: v for k, v in row.items() if k not in ("id", "provider", "aliases")}}
                continue
            same = ["standard", "output", "regional_permille", "cache_writes_unasked", "web_search", "per_call"]
            if all(other.get(key) == row.get(key) for key in same) \
                    and row.get("tiers", {}).items() <= other.get("tiers", {}).items():
                continue
        kept[provider, name] = row
    taken = {}
    for (provider, name), row in kept.items():
        for alias in row.get("aliases", []):
            if (provider, alias) in kept or taken.setdefault((provider, alias), name) != name:
                sys.exit(f"{provider}/{alias}: an alias of {name} is a model of its own")
    return [kept[key] for key in sorted(kept)]


def text():
    overheads = {name: dict(zip(OVERHEAD_KEYS, figures)) for name, figures in OVERHEADS.items()}
    compact = {"separators": (",", ":")}
    lines = ",\n".join(json.dumps(row, **compact) for row in folded(collect()))
    return f'{{"format":1,"overheads":{json.dumps(overheads, **compact)},\n"models":[\n{lines}\n]}}\n'


def main():
    if "--measure" in sys.argv:
        import measure
        return measure.main(SHARED)
    written = text()
    print(f"{len(disagreements)} disagreements (pico-USD per token; the dearer price and the smaller limit count):")
    print("\n".join(f"  {line}" for line in disagreements))
    if "--check" in sys.argv:
        return 0 if OUT.read_text() == written else sys.exit("catalog-v1.json differs from what the tables say")
    OUT.write_text(written)
    print(f"{OUT.name}: {written.count(chr(10)) - 3} models, {len(written)} bytes")


if __name__ == "__main__":
    main()
