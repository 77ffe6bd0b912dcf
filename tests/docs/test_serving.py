"""The server that the docs show: the block of the page runs, in process and as a process.

No test waits for a time: a model that is held back says when its call has begun, and the queue how
many requests wait.
"""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx2
import pytest

from minidistil import pipeline

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "serve.md").read_text(encoding="utf-8")
(RECIPE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(COMMAND,) = re.findall(r"^uvicorn .+$", PAGE, re.MULTILINE)
TEXTS = [
    "A joy from beginning to end.",
    "I lost an hour to this mess.",
    "",
    "Fine.",
    "\u00e9\u4e2d😀",
]


def test_the_recipe_is_short():
    lines = [line for line in RECIPE.splitlines() if line]
    assert len(lines) <= 60 and max(map(len, lines)) <= 100


@pytest.fixture(scope="module")
def loaded():
    module = ModuleType("serve")
    exec(compile(RECIPE, "serve.md", "exec"), module.__dict__)
    return module


class Model:
    """Stands before the pipeline: notes each call, and can hold it back until `go` is set."""

    def __init__(self, classify):
        self.classify = classify
        self.calls: list[list[str]] = []
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, texts):
        self.calls.append(texts)
        assert threading.current_thread() is not threading.main_thread()
        assert self.lock.acquire(blocking=False), "two calls at a time"
        try:
            assert self.go.wait(200)
            return self.classify(texts)
        finally:
            self.lock.release()


@pytest.fixture
def serve(loaded, monkeypatch):
    model = Model(loaded.classify)
    monkeypatch.setattr(loaded, "classify", model)
    yield loaded
    model.go.set()


@asynccontextmanager
async def client_of(serve):
    transport = httpx2.ASGITransport(app=serve.app)  # raises what the server does not handle
    async with (
        serve.app.router.lifespan_context(serve.app),
        httpx2.AsyncClient(transport=transport, base_url="http://serve") as client,
    ):
        try:
            yield client
        finally:
            serve.classify.go.set()
            worker = serve.app.state.worker
    assert worker.cancelling() or worker.done()


def ask(client, texts):
    return asyncio.create_task(client.post("/classify", json={"texts": texts}))


async def until(condition):
    async with asyncio.timeout(200):  # of a test that has failed
        while not condition():
            await asyncio.sleep(0.001)


def assert_answers(texts, response, wanted):
    assert response.status_code == 200, response.text
    for text, label in zip(texts, response.json()["labels"], strict=True):
        assert label["label"] == wanted[text]["label"]
        assert label["score"] == pytest.approx(wanted[text]["score"], abs=1e-5)


def test_many_requests_share_few_batches_and_each_gets_its_own_answers(serve):
    wanted = dict(zip(TEXTS, pipeline("text-classification")(TEXTS), strict=True))
    asked = [[TEXTS[(n + k) % 5] for k in range(1 + n % 3)] for n in range(40)]

    async def main():
        async with client_of(serve) as client:
            serve.classify.go.clear()
            first = ask(client, TEXTS)
            await until(lambda: serve.classify.calls)
            rest = [ask(client, texts) for texts in asked]
            await until(lambda: serve.app.state.queue.qsize() == len(asked))
            health = await client.get("/healthz")  # while the model is at work
            assert (health.status_code, health.json()) == (200, {"status": "ok", "waiting": 40})
            serve.classify.go.set()
            assert_answers(TEXTS, await first, wanted)
            for texts, task in zip(asked, rest, strict=True):
                assert_answers(texts, await task, wanted)

    asyncio.run(main())
    sizes = [len(call) for call in serve.classify.calls]
    assert len(sizes) == 1 + 3  # 16 + 16 + 8 requests
    assert sum(sizes) == len(TEXTS) + sum(map(len, asked))


def test_a_batch_waits_for_others_before_it_is_closed(serve, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)
        await until(lambda: serve.app.state.queue.qsize() == 2)

    monkeypatch.setattr(serve, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": sleep}))

    async def main():
        async with client_of(serve) as client:
            for response in [await task for task in [ask(client, [text]) for text in "abc"]]:
                assert response.status_code == 200

    asyncio.run(main())
    assert [sorted(call) for call in serve.classify.calls] == [["a", "b", "c"]]
    assert waits[0] == serve.PATIENCE <= 0.01


BAD = {
    "no body": (b"", 422, "body: Field required"),
    "cut short": (b'{"texts": ["a"', 422, "JSON decode error"),
    "no JSON": (b"texts=a", 422, "JSON decode error"),
    "nested too deeply": (b"[" * 100_000, 400, "error parsing the body"),
    "a number too long": (b"1" * 10_000, 400, "error parsing the body"),
    "not UTF-8": (b'{"texts": ["\xff"]}', 400, "error parsing the body"),
    "another type": (b'["a"]', 422, "body: .*dictionary"),
    "null": (b"null", 422, "body: "),
    "no texts": (b'{"text": "a"}', 422, r"body\.texts: Field required"),
    "a text alone": (b'{"texts": "a"}', 422, r"body\.texts: .*list"),
    "an empty list": (b'{"texts": []}', 422, r"body\.texts: .* at least 1 item"),
    "a number": (b'{"texts": ["a", 1]}', 422, r"body\.texts\.1: .*string"),
    "not a number": (b'{"texts": [NaN]}', 422, r"body\.texts\.0: .*string"),
    "an object": (b'{"texts": [{"text": "a"}]}', 422, r"body\.texts\.0: .*string"),
    "too long": (json.dumps({"texts": ["a" * 1001]}), 422, r"texts\.0: .* at most 1000 char"),
    "too many": (json.dumps({"texts": ["a"] * 17}), 422, r"texts: .* at most 16 items"),
    "half a surrogate pair": (rb'{"texts": ["a", "\ud800"]}', 422, r"texts\.1: .*unicode"),
    "the other half": (rb'{"texts": ["\ude00 a"]}', 422, r"texts\.0: .*unicode"),
    "half a pair, raw": (b'{"texts": ["\xed\xa0\x80"]}', 422, r"texts\.0: .*unicode"),
    "half a pair as a name": (rb'{"\ud800": ["a"]}', 422, r"body\.texts: Field required"),
    "a large body": (b" " * 200_000, 413, "Too Large"),
}


@pytest.mark.parametrize(("body", "status", "reason"), BAD.values(), ids=BAD)
def test_a_bad_request_is_refused_with_a_reason(serve, body, status, reason):
    async def main():
        async with client_of(serve) as client:
            headers = {"Content-Type": "application/json"}
            response = await client.post("/classify", content=body, headers=headers)
            assert response.status_code == status, response.text
            assert re.search(reason, response.text), response.text
            assert len(response.content) < 300  # it does not repeat what was sent

    asyncio.run(main())
    assert serve.classify.calls == []


def test_a_body_is_declared_as_json_and_a_large_one_is_cut_off_wherever_it_ends(serve):
    async def pieces():
        for _ in range(100):
            yield b" " * 10_000

    async def main():
        async with client_of(serve) as client:
            plain = await client.post("/classify", content=b'{"texts": ["a"]}')
            assert plain.status_code == 422 and "dictionary" in plain.json()["detail"][0]
            json_type = {"Content-Type": "application/json"}
            endless = await client.post("/classify", content=pieces(), headers=json_type)
            assert endless.status_code == 413  # it had no Content-Length

    asyncio.run(main())


def test_what_keeps_the_limits_is_not_too_large(serve):
    serve.classify.classify = lambda texts: [{"label": "x", "score": len(text)} for text in texts]
    body = json.dumps({"texts": ["😀" * serve.MAX_CHARS] * serve.MAX_TEXTS})
    assert "\\ud83d\\ude00" in body

    async def main():
        async with client_of(serve) as client:
            headers = {"Content-Type": "application/json"}
            response = await client.post("/classify", content=body, headers=headers)
            assert [label["score"] for label in response.json()["labels"]] == [1000] * 16

    asyncio.run(main())


def boom(texts):
    if "boom" in texts:
        raise RuntimeError("out of memory")
    return [{"label": "x", "score": 1.0} for text in texts if text != "lost"]


@pytest.mark.parametrize(("bad", "cause"), [("boom", "out of memory"), ("lost", "StopIteration")])
def test_a_batch_that_fails_fails_its_own_requests_and_no_others(serve, caplog, bad, cause):
    serve.classify.classify = boom

    async def main():
        async with client_of(serve) as client:
            serve.classify.go.clear()
            before = ask(client, ["a"])
            await until(lambda: serve.classify.calls)
            failing = [ask(client, ["b", bad]), ask(client, ["c"])]
            await until(lambda: serve.app.state.queue.qsize() == 2)
            serve.classify.go.set()
            for task in failing:
                response = await task
                assert response.status_code == 500
                assert response.json()["detail"].startswith("the model failed on this batch")
            assert [(await task).status_code for task in (before, ask(client, ["d"]))] == [200, 200]

    asyncio.run(main())
    assert "2 requests failed" in caplog.text and cause in caplog.text


def test_a_full_queue_says_when_to_come_again(serve):
    async def main():
        async with client_of(serve) as client:
            serve.classify.go.clear()
            tasks = [ask(client, ["a"])]
            await until(lambda: serve.classify.calls)
            tasks += [ask(client, ["b"]) for _ in range(serve.MAX_WAITING)]
            await until(serve.app.state.queue.full)
            refused = await ask(client, ["c"])
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) >= 1
            assert "64 requests are waiting" in refused.json()["detail"]
            serve.classify.go.set()
            assert {(await task).status_code for task in tasks} == {200}
            assert (await ask(client, ["c"])).status_code == 200

    asyncio.run(main())
    assert max(map(len, serve.classify.calls)) == serve.MAX_TOGETHER


def test_a_request_that_is_given_up_does_not_stop_the_worker(serve):
    async def main():
        async with client_of(serve) as client:
            serve.classify.go.clear()
            gone = ask(client, ["a"])
            await until(lambda: serve.classify.calls)
            gone.cancel()
            await asyncio.wait([gone])
            serve.classify.go.set()
            assert (await ask(client, ["b"])).status_code == 200

    asyncio.run(main())


def test_health_knows_whether_the_worker_is_there(serve):
    async def main():
        async with client_of(serve) as client:
            worker = serve.app.state.worker
            worker.cancel()
            await asyncio.wait([worker])
            response = await client.get("/healthz")
            assert response.status_code == 503 and "restart" in response.json()["detail"]

    asyncio.run(main())


# Put below the recipe: a call with "wait" in it says that it has begun, and waits for a file.
WAIT = """
import pathlib, time
answer_at_once = classify

def classify(texts):
    if "wait" in texts:
        pathlib.Path("begun").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
    return answer_at_once(texts)
"""


def wait_for(condition, process, log):
    end = time.monotonic() + 200
    while not (found := condition()):
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGTERM")
def test_the_command_of_the_page_serves_and_ends_cleanly(tmp_path):
    (tmp_path / "serve.py").write_text(RECIPE + WAIT, encoding="utf-8")
    assert shlex.split(COMMAND)[:4] == ["uvicorn", "serve:app", "--port", "8000"]
    log = tmp_path / "log"
    paths = os.pathsep.join((str(ROOT), str(ROOT / "kernels")))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(COMMAND.replace("8000", "0"))],  # any free port
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": paths},
            stdout=output,
            stderr=output,
        )
    try:
        line = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
        url = wait_for(lambda: line.search(log.read_text()), process, log)[1]
        with httpx2.Client(base_url=url, timeout=200) as client:
            assert client.get("/healthz").json() == {"status": "ok", "waiting": 0}
            good = client.post("/classify", json={"texts": TEXTS[:2]})
            assert [label["label"] for label in good.json()["labels"]] == ["positive", "negative"]
            bad = client.post("/classify", json={"texts": []})
            assert bad.status_code == 422 and "at least 1 item" in bad.text

            answers = []  # of a request that is at work when the signal comes

            def post():
                answers.append(client.post("/classify", json={"texts": ["wait"]}))

            thread = threading.Thread(target=post, daemon=True)
            thread.start()
            wait_for((tmp_path / "begun").exists, process, log)
            process.send_signal(signal.SIGTERM)
            wait_for(lambda: "Shutting down" in log.read_text(), process, log)
            (tmp_path / "go").touch()
            thread.join(200)
            assert [answer.status_code for answer in answers] == [200]
        assert process.wait(60) in (0, -signal.SIGTERM)  # uvicorn passes the signal on at the end
        said = log.read_text()
        assert "Application shutdown complete" in said and "Traceback" not in said, said
    finally:
        process.kill()
        process.wait()
