"""A headless Chromium, driven by its DevTools protocol: just what the tests of the pages need."""

import base64
import json
import os
import shutil
import time

import pytest
from websockets.sync.client import connect

from program import DEADLINE, Program

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]


def find_chromium():
    """The path of Chromium. Without one the test is skipped; in CI (CI=true) it fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    if os.environ.get("CI") == "true":
        pytest.fail("there is no Chromium (Debian's package chromium)")
    return pytest.skip("there is no Chromium (Debian's package chromium): the pages are not tested")


class Browser:
    """A running Chromium with an empty profile of its own."""

    def __init__(self, profile, flags=()):
        self.program = Program([find_chromium(), *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"])
        url = self.program.stderr.expect(r"DevTools listening on (ws://\S+)").group(1)
        # Without pings: they would end the connection when Chromium has much to do.
        self._ws = connect(
            url, proxy=None, compression=None, max_size=None, open_timeout=DEADLINE, ping_interval=None, legacy=True
        )
        self._last_id = 0
        self.events = []  # (session, method, parameters)

    def call(self, method, session=None, **parameters):
        """A command and its result. What is told in the meantime goes to events."""
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": parameters}
        self._ws.send(json.dumps(command | ({"sessionId": session} if session else {})))
        while True:
            message = json.loads(self._ws.recv(120))
            if message.get("id") == self._last_id:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            if "method" in message:
                self.events.append((message.get("sessionId"), message["method"], message["params"]))

    def open(self, url, width=1280, height=800, dark=True, phone=False):
        return Page(self, url, width, height, dark, phone)

    def end(self):
        self._ws.close()
        self.program.interrupt(15)
        try:
            self.program.wait()
        finally:
            self.program.kill()


class Page:
    """A tab."""

    def __init__(self, browser, url, width, height, dark, phone):
        self._browser = browser
        self._target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")
        self.resize(width, height, phone)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        # Also when another tab lies over this one.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        result = self.call("Page.navigate", url=url)
        assert "errorText" not in result, result

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def resize(self, width, height, phone=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def evaluate(self, expression):
        """The value of a JavaScript expression; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, (expression, result["exceptionDetails"])
        return result["result"].get("value")

    def wait_for(self, condition, deadline=DEADLINE):
        """Waits in the page until the JavaScript condition holds."""
        end = time.monotonic() + deadline
        expression = f"""new Promise(resolve => {{
            const timer = setInterval(() => {{
                let held = false;
                try {{ held = Boolean({condition}); }} catch {{}}
                if (held || performance.now() > end) {{ clearInterval(timer); resolve(held); }}
            }}, 20);
            const end = performance.now() + {deadline * 1000};
        }})"""
        while time.monotonic() < end:
            # A page that is being loaded takes its promises with it.
            result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
            if result["result"].get("value"):
                return
        shown = self.evaluate("document.body.innerText")
        raise AssertionError(f"{condition} did not hold within {deadline} s; the page shows:\n{shown}")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def type(self, selector, text):
        """Types the text into a field, and Enter."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)
        enter = {"key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, **enter)

    def press(self, selector, key, code):
        """Presses a key that types nothing."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def errors(self):
        """What the console has shown as errors since the last call, and exceptions that nobody caught."""
        self.evaluate("1")  # what is told before the answer has come by then
        errors, rest = [], []
        for event in self._browser.events:
            session, method, what = event
            if session != self._session:
                rest.append(event)
            elif method == "Runtime.exceptionThrown":
                errors.append(what["exceptionDetails"]["text"])
            elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "assert"):
                errors.append(str(what["args"]))
            elif method == "Log.entryAdded" and what["entry"]["level"] == "error":
                errors.append(what["entry"]["text"])
        self._browser.events = rest
        return errors

    def close(self):
        self._browser.call("Target.closeTarget", targetId=self._target)
