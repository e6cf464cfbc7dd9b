"""A hub with one model: lists its files page by page, and sends them, large ones after a redirect."""

import hashlib
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILES = {"config.json": b"{}", "model.safetensors": b"weights", "model.bin": b"not wanted", "sub/vocab.txt": b"words"}
HOST, PORT = os.environ["HOST"], int(os.environ["PORT"])


class Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") != "Bearer hf_token" and not self.path.startswith("/large/"):
            return self.send_error(401)
        if self.path.startswith("/api/models/org/small/tree/main"):
            return self.page()
        name = self.path.removeprefix("/org/small/resolve/main/").removeprefix("/large/")
        if name not in FILES:
            return self.send_error(404)
        if name.endswith(".safetensors") and not self.path.startswith("/large/"):
            return self.answer(302, b"", Location=f"/large/{name}")
        return self.answer(200, FILES[name])

    def page(self):
        names = sorted(FILES)
        number = int(self.path.partition("cursor=")[2] or 0)
        name = names[number]
        item = {"type": "file", "path": name, "size": len(FILES[name])}
        if name.endswith(".safetensors"):
            item["lfs"] = {"oid": hashlib.sha256(FILES[name]).hexdigest()}
        here = f"http://{self.headers['Host']}{self.path.partition('&cursor')[0]}"
        more = {"Link": f'<{here}&cursor={number + 1}>; rel="next"'} if number + 1 < len(names) else {}
        self.answer(200, json.dumps([item]).encode(), **more)

    def answer(self, code, body, **headers):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer((HOST, PORT), Hub).serve_forever()
