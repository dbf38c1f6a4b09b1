#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""A real browser without a window, driven over its debugging pipe.

That speaks the Chrome DevTools Protocol: JSON between zero bytes, on the file
descriptors 3 and 4 of the browser.
"""

import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')

_FLAGS = (
    '--headless', '--disable-gpu', '--hide-scrollbars', '--no-first-run',
    '--disable-background-networking', '--disable-component-update',
    '--disable-default-apps', '--disable-dev-shm-usage', '--disable-sync',
    '--remote-debugging-pipe',
    # Whatever is not the page itself would be told, and get nowhere.
    '--host-resolver-rules=MAP * ~NOTFOUND',
)

# Puts the pipes where the browser looks for them. No shell: dash knows no file
# descriptor of two digits, and the two may be 3 and 4 already, or 4 and 3.
_LAUNCHER = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 5)
                 for fd in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""

#: Seconds for an answer of a busy machine.
_PATIENCE = 90


def found():
    """Return the path of a browser, None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A page in a browser of its own.

    :ivar events: what the browser told of it
    """

    def __init__(self, path, width=1200, height=900, dark=False):
        self._numbers = itertools.count(1)
        self._received = b''
        self.events = []
        self._start(width, height)
        try:
            self._attach(width, height, dark)
            self.call('Page.navigate', url=f'file://{path}')
        except BaseException:
            self.close()
            raise

    def _start(self, width, height):
        self._profile = tempfile.mkdtemp(prefix='browser-')
        reads, self._out = os.pipe()
        self._in, writes = os.pipe()
        flags = [*_FLAGS, f'--user-data-dir={self._profile}',
                 f'--window-size={width},{height}']
        if os.geteuid() == 0:
            flags.append('--no-sandbox')
        self._process = subprocess.Popen(
            [sys.executable, '-c', _LAUNCHER, str(reads), str(writes),
             found(), *flags, 'about:blank'],
            pass_fds=(reads, writes), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(reads)
        os.close(writes)

    def _attach(self, width, height, dark):
        self._session = None
        target = self.call('Target.createTarget', url='about:blank')
        self._session = self.call(
            'Target.attachToTarget', targetId=target['targetId'],
            flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width,
                  height=height, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setEmulatedMedia', features=[{
            'name': 'prefers-color-scheme',
            'value': 'dark' if dark else 'light'}])

    def close(self):
        # It ends by itself, after all of its processes, when the pipe does.
        os.close(self._out)
        os.close(self._in)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method, **parameters):
        """Return what a method of the protocol returns."""
        number = next(self._numbers)
        message = {'id': number, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._out, json.dumps(message).encode() + b'\0')
        while True:
            message = self._receive()
            if message.get('id') == number:
                if 'error' in message:
                    raise AssertionError(f'{method}: {message["error"]}')
                return message['result']
            self.events.append(message)

    def _receive(self):
        end = time.monotonic() + _PATIENCE
        while b'\0' not in self._received:
            left = max(0, end - time.monotonic())
            if not select.select([self._in], [], [], left)[0]:
                raise AssertionError('the browser does not answer')
            more = os.read(self._in, 1 << 20)
            if not more:
                raise AssertionError('the browser has ended')
            self._received += more
        text, _zero, self._received = self._received.partition(b'\0')
        return json.loads(text)

    def evaluate(self, expression):
        """Return the value of a JavaScript expression, of a promise too."""
        answer = self.call('Runtime.evaluate', expression=expression,
                           awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in answer:
            raise AssertionError(f'{expression}: {answer["result"]}')
        return answer['result'].get('value')

    def wait_until(self, expression):
        """Wait until a JavaScript expression holds."""
        end = time.monotonic() + _PATIENCE
        while not self.evaluate(f'!!({expression})'):
            if time.monotonic() > end:
                raise AssertionError(f'never: {expression}')
            time.sleep(0.1)

    def point_at(self, selector):
        """Move the mouse to the middle of an element."""
        place = self.evaluate(
            f'(() => {{const e = document.querySelector({selector!r});'
            'e.scrollIntoView({block: "center"});'
            'const b = e.getBoundingClientRect();'
            'return {x: b.x + b.width / 2, y: b.y + b.height / 2}})()')
        for shift in (3, 0):
            self.call('Input.dispatchMouseEvent', type='mouseMoved',
                      x=place['x'] + shift, y=place['y'])

    def named(self, method):
        """Return the parameters of the events of a name."""
        return [event['params'] for event in self.events
                if event.get('method') == method]
