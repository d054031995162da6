"""A Loki that accepts, hangs, refuses or is gone, as it is told."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loki:
    """Counts the lines it was given, and keeps all requests; `mood` is `well`, `hanging` or `refusing`."""

    def __init__(self) -> None:
        self.mood = "well"
        self.lines = 0
        self.requests: list[str] = []
        loki = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                loki.requests.append(f"{self.headers}\n{text}")
                body = json.loads(text)
                if loki.mood == "hanging":
                    time.sleep(20)
                accepted = loki.mood == "well"
                if accepted:
                    loki.lines += sum(len(stream["values"]) for stream in body["streams"])
                self.send_response(204 if accepted else 503)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """No lines on the console."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def options(self) -> dict[str, object]:
        """The section `loki` of a job that logs to it."""
        return {"enabled": True, "url": "http://127.0.0.1", "port": self.port}

    @property
    def texts(self) -> list[str]:
        """All lines so far."""
        bodies = [json.loads(request.rpartition("\n")[2]) for request in list(self.requests)]
        return [text for body in bodies for stream in body["streams"] for _, text in stream["values"]]
