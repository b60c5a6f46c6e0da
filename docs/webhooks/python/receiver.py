"""Receives Firebreak's webhooks: pip install standardwebhooks; SECRET=whsec_... PORT=9000 python receiver.py"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["SECRET"])
seen: set[str] = set()  # yours belongs in a database: a retry may come a day later


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            # The bytes as they came, before anything parses them; refuses what is forged or older than five minutes.
            webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.answer(400)
            return
        # Every retry has the same id: act once, answer 2xx each time, within 15 seconds.
        if self.headers["webhook-id"] not in seen:
            seen.add(self.headers["webhook-id"])
            message = json.loads(body)
            print(message["type"], message["data"].get("because", ""), flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver).serve_forever()
