// The Anthropic SDK for JavaScript, as an application would use it. Prints one JSON line for each scenario.
//
// Run by the `clients` crate, which says where the gateway is and judges what is printed.

import { createRequire } from "node:module";

const { CLIENTS_ENVIRONMENT, CLIENTS_URL, CLIENTS_TOKEN, CLIENTS_MODEL: model, CLIENTS_IMAGE } = process.env;
const require = createRequire(`${CLIENTS_ENVIRONMENT}/package.json`);
const { Anthropic } = require("@anthropic-ai/sdk");

const baseURL = CLIENTS_URL;
const timeout = 30_000;
// This one logs in by `x-api-key`, the Python one by `Authorization: Bearer`.
const client = new Anthropic({ baseURL, apiKey: CLIENTS_TOKEN, timeout });
const once = new Anthropic({ baseURL, apiKey: CLIENTS_TOKEN, timeout, maxRetries: 0 });
const stranger = new Anthropic({ baseURL, apiKey: "bh_not.a.token", timeout, maxRetries: 0 });

const weather = {
  name: "get_weather",
  description: "The weather of a city",
  input_schema: {
    type: "object",
    properties: { city: { type: "string" }, unit: { type: "string", enum: ["celsius", "kelvin"] } },
    required: ["city", "unit"],
    additionalProperties: false,
  },
};
const weatherAnswer = {
  type: "object",
  properties: { city: { type: "string" }, degrees: { type: "integer" } },
  required: ["city", "degrees"],
  additionalProperties: false,
};

const ask = (scenario) => ({
  model,
  max_tokens: 100,
  system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
  messages: [{ role: "user", content: `Hello [[${scenario}]]` }],
});
const usage = (answer) => ({ input: answer.usage.input_tokens, output: answer.usage.output_tokens });
const textOf = (answer) =>
  answer.content
    .filter((block) => block.type === "text")
    .map((block) => block.text)
    .join("");
const callsOf = (answer) =>
  answer.content
    .filter((block) => block.type === "tool_use")
    .map(({ id, name, input }) => ({ id, name, input }));

/** The conversation with the model's calls and what the tools said. */
const answered = (request, answer, results) => ({
  ...request,
  messages: [
    ...request.messages,
    { role: "assistant", content: answer.content },
    {
      role: "user",
      content: callsOf(answer).map((call, at) => ({
        type: "tool_result",
        tool_use_id: call.id,
        content: [{ type: "text", text: results[at] }],
      })),
    },
  ],
});

async function seenError(attempt) {
  try {
    const answer = await attempt();
    if (answer[Symbol.asyncIterator]) for await (const _ of answer);
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    const { status, message, requestID } = error;
    return {
      class: error.constructor.name,
      status,
      message,
      type: error.error?.error?.type,
      request_id: requestID,
    };
  }
  return { class: null };
}

const scenarios = {
  async plain() {
    const answer = await once.messages.create(ask("plain"));
    return {
      text: textOf(answer),
      finish: answer.stop_reason,
      usage: usage(answer),
      request_id: answer._request_id,
    };
  },

  async stream() {
    const pieces = [];
    const events = once.messages.stream(ask("stream")).on("text", (text) => pieces.push(text));
    const answer = await events.finalMessage();
    return { text: pieces.join(""), pieces: pieces.length, finish: [answer.stop_reason], usage: usage(answer) };
  },

  async tools() {
    const request = { ...ask("tools"), tools: [weather] };
    const first = await once.messages.create({ ...request, tool_choice: { type: "any" } });
    const last = await once.messages.create(answered(request, first, ["21 degrees"]));
    return { calls: callsOf(first), finish: first.stop_reason, text: textOf(last) };
  },

  async "parallel-tools"() {
    const request = { ...ask("parallel-tools"), tools: [weather] };
    const first = await once.messages.stream(request).finalMessage();
    const last = await once.messages.stream(answered(request, first, ["21 degrees", "4 degrees"])).finalMessage();
    return { calls: callsOf(first), finish: first.stop_reason, text: textOf(last) };
  },

  async "structured-output"() {
    const answer = await once.messages.parse({
      ...ask("structured-output"),
      output_config: { format: { type: "json_schema", schema: weatherAnswer } },
    });
    return { value: answer.parsed_output ?? JSON.parse(textOf(answer)), finish: answer.stop_reason };
  },

  async image() {
    const content = [
      { type: "text", text: "What is this? [[image]]" },
      { type: "image", source: { type: "base64", media_type: "image/png", data: CLIENTS_IMAGE } },
    ];
    return { text: textOf(await once.messages.create({ ...ask("image"), messages: [{ role: "user", content }] })) };
  },

  async error() {
    const create = (scenario, more = {}, by = once) =>
      seenError(() => by.messages.create({ ...ask(scenario), ...more }));
    return {
      "400": await create("error-400"),
      "400 stream": await create("error-400", { stream: true }),
      "429": await create("error-429"),
      "500": await create("error-500"),
      "529": await create("error-529"),
      "mid-stream": await create("error-mid-stream", { stream: true }),
      "unknown model": await create("never-asked", { model: "no-such-model" }),
      "bad token": await create("never-asked", {}, stranger),
    };
  },

  async retry() {
    const seen = {};
    for (const scenario of ["retry-429", "retry-500"]) {
      const begun = performance.now();
      const answer = await client.messages.create(ask(scenario));
      seen[scenario] = { text: textOf(answer), seconds: (performance.now() - begun) / 1000 };
    }
    return seen;
  },

  async cancel() {
    let pieces = 0;
    const events = await once.messages.create({ ...ask("cancel"), stream: true });
    for await (const event of events) {
      if (event.type === "content_block_delta") pieces += 1;
      if (pieces === 3) break;
    }
    return { pieces };
  },

  async refusal() {
    const answer = await once.messages.create(ask("refusal"));
    return { text: textOf(answer), finish: answer.stop_reason };
  },

  async "count-tokens"() {
    const { max_tokens: _, ...request } = ask("count-tokens");
    return { input_tokens: (await once.messages.countTokens(request)).input_tokens };
  },

  async models() {
    const listed = [];
    for await (const one of client.models.list({ limit: 1000 })) listed.push(one.id);
    return { listed, one: (await client.models.retrieve(model)).id };
  },
};

for (const [scenario, run] of Object.entries(scenarios)) {
  let line;
  try {
    line = { scenario, seen: await run() };
  } catch (failure) {
    line = { scenario, failed: String(failure) };
  }
  console.log(JSON.stringify(line));
}
