"""Drives a headless Chromium through its DevTools protocol: just what the tests of the page need."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
from websockets.sync.client import connect

BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
    "--remote-debugging-port=0",
)  # fmt: skip
_KEYS = {"Tab": 9, "Enter": 13, " ": 32}


@contextmanager
def chromium(folder: Path) -> Iterator[str]:
    """The address of a browser with a profile of its own; ended with the block."""
    assert BINARY is not None
    command = [BINARY, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{_port(process, folder / 'DevToolsActivePort')}"
    finally:
        process.terminate()
        process.wait(20)


def _port(process: subprocess.Popen[bytes], file: Path) -> str:
    for _ in range(600):
        assert process.poll() is None, "chromium has ended"
        if file.exists() and (lines := file.read_text().splitlines()):
            return lines[0]
        time.sleep(0.05)
    raise AssertionError("chromium does not open its port")


class Tab:
    """One tab; scripts run in its page, and what its console says is kept."""

    def __init__(self, browser: str) -> None:
        self._browser = browser
        opened = httpx.put(f"http://{browser}/json/new?about:blank", trust_env=False).json()
        self._id = opened["id"]
        self._closing = ExitStack()
        self._socket = self._closing.enter_context(connect(opened["webSocketDebuggerUrl"], max_size=None, proxy=None))
        self._numbers = itertools.count(1)
        self.console: list[str] = []
        self.requests: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()
        httpx.get(f"http://{self._browser}/json/close/{self._id}", trust_env=False)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(60))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return dict(message["result"])
            self._keep(message)

    def _keep(self, event: dict[str, Any]) -> None:
        match event["method"]:
            case "Log.entryAdded":
                self.console.append(event["params"]["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.console.append(str([each.get("value") for each in event["params"]["args"]]))
            case "Runtime.exceptionThrown":
                self.console.append(str(event["params"]["exceptionDetails"]))
            case "Network.requestWillBeSent":
                self.requests.append(event["params"]["request"])

    def run(self, script: str) -> Any:
        """The value of an expression; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 60.0) -> Any:
        """The first true value of an expression."""
        ends_at = time.monotonic() + seconds
        while not (value := self.run(condition)):
            assert time.monotonic() < ends_at, f"never true: {condition}\n{self.run('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.body?.dataset.ready === 'true'")
        self.console.clear()
        self.requests.clear()

    def choose(self, selector: str, *paths: Path) -> None:
        """Files for a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, key: str, *, shift: bool = False) -> None:
        common = {
            "key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": _KEYS[key],
            "modifiers": 8 if shift else 0,
        }  # fmt: skip
        text = {"Enter": "\r", " ": " "}.get(key)
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def look(self, *, dark: bool = False, width_px: int = 1280, still: bool = False) -> None:
        """The scheme, width and motion that the page is shown with."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width_px, height=900, deviceScaleFactor=1, mobile=width_px < 600
        )
