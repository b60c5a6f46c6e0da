// Receives Firebreak's webhooks: npm install; SECRET=whsec_... PORT=9000 node receiver.mjs
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.SECRET);
const seen = new Set(); // yours belongs in a database: a retry may come a day later

createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces).toString("utf8");
  try {
    // The text as it came, before anything parses it; refuses what is forged or older than five minutes.
    webhook.verify(body, request.headers);
  } catch {
    response.writeHead(400).end();
    return;
  }
  // Every retry has the same id: act once, answer 2xx each time, within 15 seconds.
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    const message = JSON.parse(body);
    console.log(message.type, message.data.because ?? "");
  }
  response.writeHead(204).end();
}).listen(Number(process.env.PORT), "127.0.0.1");
