// Better Auth's api-key plugin on SQLite in memory: every request is one verifyApiKey, with its rate limit.
//
// node better_auth.mjs PORT KEYS: the file KEYS has a key of 64 characters on each line.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { apiKey } from "@better-auth/api-key";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";

const LIMIT = 10_000_000;
const WINDOW_MS = 60_000;

const [port, keysFile] = process.argv.slice(2);
const database = new DatabaseSync(":memory:");
const auth = betterAuth({
  database,
  secret: "of the benchmark alone, and of nothing else",
  baseURL: `http://127.0.0.1:${port}`,
  telemetry: { enabled: false },
  logger: { level: "error" },
  emailAndPassword: { enabled: true },
  plugins: [apiKey({ rateLimit: { enabled: true, maxRequests: LIMIT, timeWindow: WINDOW_MS } })],
});
await (await getMigrations(auth.options)).runMigrations();

const context = await auth.$context;
const keys = readFileSync(keysFile, "ascii").trim().split("\n");
const { user } = await auth.api.signUpEmail({ body: { name: "Bench", email: "b@example.com", password: "a-long-one" } });
for (const [number, key] of keys.entries()) {
  const now = new Date();
  await context.adapter.create({
    model: "apikey",
    data: {
      configId: "default",
      name: `bench-${number}`,
      key: createHash("sha256").update(key).digest("base64url"),
      referenceId: user.id,
      enabled: true,
      rateLimitEnabled: true,
      rateLimitMax: LIMIT,
      rateLimitTimeWindow: WINDOW_MS,
      requestCount: 0,
      remaining: null,
      createdAt: now,
      updatedAt: now,
    },
  });
}

const server = createServer(async (request, response) => {
  if (request.url === "/") return response.end("ready");
  const { valid } = await auth.api.verifyApiKey({ body: { key: request.headers["x-api-key"] ?? "" } });
  response.writeHead(valid ? 200 : 401, { "Content-Type": "application/json" });
  response.end(valid ? '{"ok":true}' : '{"ok":false}');
});
server.keepAliveTimeout = 600_000;
server.listen(Number(port), "127.0.0.1");
