"""Claude Code in print mode, as a person at a terminal would use it. Prints one JSON line for each scenario.

Run by the `clients` crate, which says where the gateway is and judges what is printed. Needs nothing but Python.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENVIRONMENT = Path(os.environ["CLIENTS_ENVIRONMENT"])
WRAPPER = ENVIRONMENT / "node_modules" / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
MODEL = os.environ["CLIENTS_MODEL"]
IMAGE = os.environ["CLIENTS_IMAGE"]
DEADLINE_S = 60
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}


def environment(home, token, retries):
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "CLAUDE_CONFIG_DIR": f"{home}/claude",
        "ANTHROPIC_BASE_URL": os.environ["CLIENTS_URL"],
        "ANTHROPIC_AUTH_TOKEN": token,
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": MODEL,
        "CLAUDE_CODE_MAX_RETRIES": str(retries),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "NO_COLOR": "1",
    }


class Folder:
    """A home and a project of their own for each scenario, removed afterwards."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="bulkhead-claude-code-")
        self.home = self.temporary.name
        self.project = Path(self.home) / "project"
        self.project.mkdir()
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def start(self, *arguments, retries=0, token=os.environ["CLIENTS_TOKEN"], stdin=subprocess.DEVNULL):
        return subprocess.Popen(
            ["node", str(WRAPPER), *arguments],
            cwd=self.project,
            env=environment(self.home, token, retries),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def finished(process, given=None):
    """What it printed, once it has ended; it is killed at the deadline."""
    try:
        out, err = process.communicate(given, timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise TimeoutError(f"still running after {DEADLINE_S} s: {out[-500:]} {err[-500:]}") from None
    return out, err


def ask(prompt, *arguments, **options):
    """The result of one prompt, and the folder's state does not outlive it."""
    with Folder() as folder:
        return asked(folder, prompt, *arguments, **options)


def asked(folder, prompt, *arguments, **options):
    out, err = finished(folder.start("-p", prompt, "--output-format", "json", *arguments, **options))
    try:
        return json.loads(out)
    except ValueError:
        raise RuntimeError(f"it printed no result: {out[-500:]} {err[-500:]}") from None


def usage(result):
    return {"input": result["usage"]["input_tokens"], "output": result["usage"]["output_tokens"]}


def plain():
    result = ask("Hello [[plain]]")
    return {"text": result["result"], "finish": result["stop_reason"], "usage": usage(result)}


def stream():
    with Folder() as folder:
        process = folder.start(
            "-p", "Hello [[stream]]", "--output-format", "stream-json", "--verbose", "--include-partial-messages"
        )
        lines = [json.loads(line) for line in finished(process)[0].splitlines()]
    events = [line["event"] for line in lines if line["type"] == "stream_event"]
    pieces = [e["delta"]["text"] for e in events if e["type"] == "content_block_delta"]
    finish = [e["delta"]["stop_reason"] for e in events if e["type"] == "message_delta"]
    return {"text": "".join(pieces), "pieces": len(pieces), "finish": finish, "usage": usage(lines[-1])}


def read_files(scenario, names):
    """Has it read files with its own tool: one call for each, all in one answer."""
    with Folder() as folder:
        paths = [folder.project / name for name in names]
        for path in paths:
            path.write_text(f"the content of {path.name}\n")
        paths = [str(path.resolve()) for path in paths]
        result = asked(folder, f"Read them [[{scenario} {' '.join(paths)}]]")
    return {"text": result["result"], "turns": result["num_turns"], "finish": result["stop_reason"]}


def tools():
    return read_files("tools", ["a.txt"])


def parallel_tools():
    return read_files("parallel-tools", ["a.txt", "b.txt"])


def structured_output():
    result = ask("Hello [[structured-output]]", "--json-schema", json.dumps(WEATHER))
    return {"value": result.get("structured_output")}


def image():
    content = [
        {"type": "text", "text": "What is this? [[image]]"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
    ]
    turn = {"type": "user", "message": {"role": "user", "content": content}}
    with Folder() as folder:
        process = folder.start(
            "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose", stdin=subprocess.PIPE
        )
        out, _ = finished(process, json.dumps(turn) + "\n")
    return {"text": json.loads(out.splitlines()[-1])["result"]}


def seen_error(scenario, *arguments, **options):
    result = ask(f"Hello [[{scenario}]]", *arguments, **options)
    return {"is_error": result["is_error"], "status": result["api_error_status"], "message": result["result"]}


def error():
    return {
        "400": seen_error("error-400"),
        "429": seen_error("error-429"),
        "500": seen_error("error-500"),
        "529": seen_error("error-529"),
        "unknown model": seen_error("never-asked", "--model", "no-such-model"),
        "bad token": seen_error("never-asked", token="bh_not.a.token"),
    }


def retry():
    seen = {}
    for scenario in ("retry-429", "retry-500"):
        begun = time.monotonic()
        result = ask(f"Hello [[{scenario}]]", retries=2)
        seen[scenario] = {"text": result["result"], "seconds": time.monotonic() - begun}
    return seen


def cancel():
    """Interrupts it in the middle of an answer without end."""
    pieces = 0
    with Folder() as folder:
        process = folder.start(
            "-p", "Hello [[cancel]]", "--output-format", "stream-json", "--verbose", "--include-partial-messages"
        )
        for line in process.stdout:
            event = json.loads(line).get("event") or {}
            pieces += event.get("type") == "content_block_delta"
            if pieces == 3:
                os.killpg(process.pid, signal.SIGINT)
                break
        finished(process)
    return {"pieces": pieces}


def refusal():
    result = ask("Hello [[refusal]]")
    return {"text": result["result"], "finish": result["stop_reason"]}


SCENARIOS = [plain, stream, tools, parallel_tools, structured_output, image, error, retry, cancel, refusal]

if __name__ == "__main__":
    for scenario in SCENARIOS:
        name = scenario.__name__.replace("_", "-")
        try:
            line = {"scenario": name, "seen": scenario()}
        except Exception as failure:  # whatever it is, the driver reports it
            line = {"scenario": name, "failed": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(line), flush=True)
    sys.exit(0)
