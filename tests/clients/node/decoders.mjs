// Reads a JSON array of streams from stdin, and writes what eventsource-parser finds in each.
import { readFileSync } from "node:fs";
import { createParser } from "eventsource-parser";

function decode(stream) {
  const events = [];
  const errors = [];
  const parser = createParser({
    onEvent: ({ event, data }) => events.push([event ?? null, data]),
    onError: (error) => errors.push(error.message),
    onRetry: (milliseconds) => errors.push(`retry: ${milliseconds}`),
  });
  parser.feed(stream);
  return { events, errors };
}

const streams = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(streams.map(decode)));
