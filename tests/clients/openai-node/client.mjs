// The OpenAI SDK for JavaScript, as an application would use it. Prints one JSON line for each scenario.
//
// Run by the `clients` crate, which says where the gateway is and judges what is printed.

import { createRequire } from "node:module";

const { CLIENTS_ENVIRONMENT, CLIENTS_URL, CLIENTS_TOKEN, CLIENTS_MODEL: model, CLIENTS_IMAGE } = process.env;
const require = createRequire(`${CLIENTS_ENVIRONMENT}/package.json`);
const OpenAI = require("openai");

const baseURL = `${CLIENTS_URL}/v1`;
const timeout = 30_000;
const client = new OpenAI({ baseURL, apiKey: CLIENTS_TOKEN, timeout });
const once = new OpenAI({ baseURL, apiKey: CLIENTS_TOKEN, timeout, maxRetries: 0 });
const stranger = new OpenAI({ baseURL, apiKey: "bh_not.a.token", timeout, maxRetries: 0 });

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, unit: { type: "string", enum: ["celsius", "kelvin"] } },
      required: ["city", "unit"],
      additionalProperties: false,
    },
  },
};
const weatherAnswer = {
  type: "object",
  properties: { city: { type: "string" }, degrees: { type: "integer" } },
  required: ["city", "degrees"],
  additionalProperties: false,
};

const ask = (scenario) => [
  { role: "system", content: "Be brief." },
  { role: "user", content: `Hello [[${scenario}]]` },
];
const usage = (answer) => ({ input: answer.usage.prompt_tokens, output: answer.usage.completion_tokens });
const callsOf = (message) =>
  message.tool_calls.map((call) => ({
    id: call.id,
    name: call.function.name,
    input: JSON.parse(call.function.arguments),
  }));

/** The conversation with the model's calls and what the tools said. */
const answered = (messages, message, results) => [
  ...messages,
  {
    role: "assistant",
    content: null,
    tool_calls: message.tool_calls.map(({ id, function: { name, arguments: text } }) => ({
      id,
      type: "function",
      function: { name, arguments: text },
    })),
  },
  ...message.tool_calls.map((call, at) => ({ role: "tool", tool_call_id: call.id, content: results[at] })),
];

async function seenError(attempt) {
  try {
    const answer = await attempt();
    if (answer[Symbol.asyncIterator]) for await (const _ of answer);
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, message, type, code, requestID } = error;
    return { class: error.constructor.name, status, message, type, code, request_id: requestID };
  }
  return { class: null };
}

const scenarios = {
  async plain() {
    const answer = await once.chat.completions.create({ model, messages: ask("plain"), max_completion_tokens: 100 });
    const [choice] = answer.choices;
    return {
      text: choice.message.content,
      finish: choice.finish_reason,
      usage: usage(answer),
      request_id: answer._request_id,
    };
  },

  async stream() {
    const pieces = [], finish = [];
    let used = null;
    const chunks = await once.chat.completions.create({
      model,
      messages: ask("stream"),
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of chunks) {
      for (const choice of chunk.choices) {
        if (choice.delta.content) pieces.push(choice.delta.content);
        if (choice.finish_reason) finish.push(choice.finish_reason);
      }
      if (chunk.usage) used = usage(chunk);
    }
    return { text: pieces.join(""), pieces: pieces.length, finish, usage: used };
  },

  async "stream-without-usage"() {
    let usageChunks = 0;
    for await (const chunk of await once.chat.completions.create({ model, messages: ask("stream"), stream: true })) {
      if (chunk.usage || chunk.choices.length === 0) usageChunks += 1;
    }
    return { usage_chunks: usageChunks };
  },

  async tools() {
    const messages = ask("tools");
    const tools = [weather];
    const first = await once.chat.completions.create({ model, messages, tools, tool_choice: "required" });
    const [{ message, finish_reason }] = first.choices;
    const last = await once.chat.completions.create({
      model,
      messages: answered(messages, message, ["21 degrees"]),
      tools,
    });
    return { calls: callsOf(message), finish: finish_reason, text: last.choices[0].message.content };
  },

  async "parallel-tools"() {
    const messages = ask("parallel-tools");
    const tools = [weather];
    const first = await once.chat.completions
      .stream({ model, messages, tools, parallel_tool_calls: true })
      .finalChatCompletion();
    const [{ message, finish_reason }] = first.choices;
    const last = await once.chat.completions
      .stream({ model, messages: answered(messages, message, ["21 degrees", "4 degrees"]), tools })
      .finalChatCompletion();
    return { calls: callsOf(message), finish: finish_reason, text: last.choices[0].message.content };
  },

  async "structured-output"() {
    const answer = await once.chat.completions.parse({
      model,
      messages: ask("structured-output"),
      response_format: { type: "json_schema", json_schema: { name: "Weather", schema: weatherAnswer, strict: true } },
    });
    const [{ message, finish_reason }] = answer.choices;
    return { value: message.parsed ?? JSON.parse(message.content), finish: finish_reason };
  },

  async image() {
    const content = [
      { type: "text", text: "What is this? [[image]]" },
      { type: "image_url", image_url: { url: `data:image/png;base64,${CLIENTS_IMAGE}` } },
    ];
    const answer = await once.chat.completions.create({ model, messages: [{ role: "user", content }] });
    return { text: answer.choices[0].message.content };
  },

  async error() {
    const create = (scenario, more = {}, by = once) =>
      seenError(() => by.chat.completions.create({ model, messages: ask(scenario), ...more }));
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
      const answer = await client.chat.completions.create({ model, messages: ask(scenario) });
      seen[scenario] = { text: answer.choices[0].message.content, seconds: (performance.now() - begun) / 1000 };
    }
    return seen;
  },

  async cancel() {
    let pieces = 0;
    const chunks = await once.chat.completions.create({ model, messages: ask("cancel"), stream: true });
    for await (const chunk of chunks) {
      if (chunk.choices.some((choice) => choice.delta.content)) pieces += 1;
      if (pieces === 3) break;
    }
    return { pieces };
  },

  async refusal() {
    const [choice] = (await once.chat.completions.create({ model, messages: ask("refusal") })).choices;
    return { refusal: choice.message.refusal, content: choice.message.content, finish: choice.finish_reason };
  },

  async models() {
    const listed = [];
    for await (const one of client.models.list()) listed.push(one.id);
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
