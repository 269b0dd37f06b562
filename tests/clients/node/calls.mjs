// Drives the SDKs for Node: each line of stdin asks for one call, each line of stdout says what came of it.
import { createInterface } from "node:readline";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const messages = [{ role: "user", content: "count" }];

const openai = ({ base, retries, timeout }) =>
  new OpenAI({ baseURL: `${base}/v1`, apiKey: "sk-client", maxRetries: retries, timeout });
const anthropic = ({ base, retries, timeout }) =>
  new Anthropic({ baseURL: base, apiKey: "sk-client", maxRetries: retries, timeout });

const chatText = (chunk) => chunk.choices?.[0]?.delta?.content;
const responseText = (event) => (event.type === "response.output_text.delta" ? event.delta : "");
const messageText = (event) => (event.type === "content_block_delta" ? event.delta.text : "");
const chat = (job) => openai(job).chat.completions;
const responses = (job) => openai(job).responses;
const message = (job) => ({ model: job.model, messages, max_tokens: 64 });

// Iterates over a stream, and asks a helper for what it put together.
async function iterate(stream, text, say, final) {
  for await (const event of stream) say(text(event));
  if (final) await stream[final]();
}

// Listens to a helper, as those do who want nothing but the text.
async function listen(stream, event, say, final) {
  stream.on(event, (delta) => say(delta.delta ?? delta));
  await stream[final]();
}

const surfaces = {
  "chat stream": async (job, say) =>
    iterate(await chat(job).create({ model: job.model, messages, stream: true }), chatText, say),
  "chat helper": (job, say) =>
    iterate(chat(job).stream({ model: job.model, messages }), chatText, say, "finalChatCompletion"),
  "chat events": (job, say) =>
    listen(chat(job).stream({ model: job.model, messages }), "content", say, "finalChatCompletion"),
  "chat whole": async (job, say) =>
    say((await chat(job).create({ model: job.model, messages })).choices[0].message.content),
  embeddings: async (job) =>
    (await openai(job).embeddings.create({ model: job.model, input: "count", encoding_format: "float" })).data[0].embedding,
  "responses stream": async (job, say) =>
    iterate(await responses(job).create({ model: job.model, input: "count", stream: true }), responseText, say),
  "responses helper": (job, say) =>
    iterate(responses(job).stream({ model: job.model, input: "count" }), responseText, say, "finalResponse"),
  "responses events": (job, say) =>
    listen(responses(job).stream({ model: job.model, input: "count" }), "response.output_text.delta", say, "finalResponse"),
  "responses whole": async (job, say) =>
    say((await responses(job).create({ model: job.model, input: "count" })).output_text),
  "messages stream": async (job, say) =>
    iterate(await anthropic(job).messages.create({ ...message(job), stream: true }), messageText, say),
  "messages helper": (job, say) =>
    iterate(anthropic(job).messages.stream(message(job)), messageText, say, "finalMessage"),
  "messages events": (job, say) => listen(anthropic(job).messages.stream(message(job)), "text", say, "finalMessage"),
  "messages whole": async (job, say) => say((await anthropic(job).messages.create(message(job))).content[0].text),
};

const shown = (error) => ({
  class: error.constructor.name,
  message: error.message,
  status: error.status,
  code: error.code,
  type: error.type,
  body: error.error,
  headers: error.headers && Object.fromEntries(error.headers),
});

class Hung extends Error {}

async function run(job) {
  const out = [];
  let error;
  let timer;
  // Neither SDK has a time-out once the headers are there.
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Hung("no end in time")), job.timeout);
  });
  try {
    await Promise.race([surfaces[job.surface](job, (text) => text && out.push(text)), late]);
  } catch (thrown) {
    error = shown(thrown);
  }
  clearTimeout(timer);
  process.stdout.write(`${JSON.stringify({ id: job.id, text: out.join(""), error })}\n`);
}

createInterface({ input: process.stdin }).on("line", (line) => run(JSON.parse(line)));
