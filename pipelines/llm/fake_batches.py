"""Files and batches of OpenAI's protocol on the server's side: every line is answered as if it had been asked by itself."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from pipelines.llm.serving import Answer, Asked, Http, content_of, error

FAULTS = ("expired", "failed")
"""Faults of a line that are its batch's: the batch expires before this line is served; the batch is refused as a whole."""


@dataclass
class Batch:
    """One batch: what was asked, line by line, and when it is done.

    Attributes:
        body: as the protocol shows it.
        lines: the custom id of each line, its request and its answer.
        ready_at: seconds on the server's clock from which on it may be done.
    """

    body: dict[str, Any]
    lines: list[tuple[str, Asked, Answer]]
    ready_at: float


@dataclass
class Batches:
    """Files and batches of one server, in memory."""

    server: Http
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)

    def said(self, asked: Asked) -> Answer | None:
        """Return what a request about files or batches is answered; None: it is about neither."""
        parts = asked.path.strip("/").split("/")[1:]
        if parts[:1] == ["files"]:
            return self._file(asked, parts[1:])
        if parts[:1] == ["batches"]:
            return self._batch(asked, parts[1:])
        return None

    def _file(self, asked: Asked, parts: list[str]) -> Answer:
        if not parts and asked.method == "POST":
            return Answer(body={"id": self._keep(asked.body["file"]), "object": "file", "purpose": "batch"})
        if len(parts) == 2 and parts[0] in self.files:
            return Answer(data=self.files[parts[0]])
        return error(404, "", "no such file")

    def _batch(self, asked: Asked, parts: list[str]) -> Answer:
        if not parts and asked.method == "POST":
            return self._make(asked)
        if not parts:
            return self._list(asked.query)
        if parts[0] not in self.batches:
            return error(404, "", "no such batch")
        return Answer(body=self._state(self.batches[parts[0]], asked.at))

    def _make(self, asked: Asked) -> Answer:
        data = self.files.get(asked.body["input_file_id"])
        if data is None:
            return error(400, "invalid_request_error", "no such input file")
        lines = []
        for line in map(json.loads, data.decode().splitlines()):
            content = json.dumps(line["body"]).encode()
            lines.append((line["custom_id"], *self.server.ask(line["method"], line["url"], {}, content)))
        name = f"batch_{len(self.batches)}"
        body = {
            "id": name,
            "object": "batch",
            "endpoint": asked.body["endpoint"],
            "input_file_id": asked.body["input_file_id"],
            "completion_window": asked.body["completion_window"],
            "metadata": asked.body.get("metadata"),
            "status": "in_progress",
            "created_at": int(time.time()),
        }
        self.batches[name] = Batch(body, lines, asked.at + max((answer.latency_s for *_, answer in lines), default=0.0))
        return Answer(body=body)

    def _list(self, query: dict[str, str]) -> Answer:
        """Return a page of the batches, the newest first."""
        names = list(self.batches)[::-1]
        begin = names.index(query["after"]) + 1 if "after" in query else 0
        end = begin + int(query.get("limit", 20))
        page = [self.batches[name].body for name in names[begin:end]]
        return Answer(body={"object": "list", "data": page, "has_more": end < len(names)})

    def _state(self, batch: Batch, now: float) -> dict[str, Any]:
        if batch.body["status"] != "in_progress" or now < batch.ready_at:
            return batch.body
        if not all(answer.ready() for *_, answer in batch.lines):
            return batch.body
        faults = {answer.fault for *_, answer in batch.lines}
        if "failed" in faults:
            problem = {"code": "invalid_request", "message": "the file is no good", "line": 1}
            batch.body |= {"status": "failed", "errors": {"object": "list", "data": [problem]}}
            return batch.body
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for custom_id, asked, answer in batch.lines:
            line: dict[str, Any] = {
                "id": f"line-{asked.number}",
                "custom_id": custom_id,
                "response": None,
                "error": None,
            }
            if answer.fault:
                bad.append(line | {"error": {"code": "batch_expired", "message": "not served in time"}})
                continue
            content = content_of(asked, answer)
            line["response"] = {"status_code": answer.status, "request_id": f"req-{asked.number}", "body": content}
            (good if answer.status == 200 else bad).append(line)
            self.server.answered(asked, answer)
        batch.body["status"] = "expired" if "expired" in faults else "completed"
        for name, lines in (("output_file_id", good), ("error_file_id", bad)):
            batch.body[name] = (
                self._keep("".join(json.dumps(line) + "\n" for line in lines).encode()) if lines else None
            )
        return batch.body

    def _keep(self, data: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = data
        return name
