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

"""A real Prometheus, and its promtool."""

import json
import os
import shutil
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

_PATIENCE = 90

_CONF = """\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: cache-aware-sched
    static_configs:
      - targets: [{target}]
"""

needs_prometheus = unittest.skipUnless(
    shutil.which('prometheus') and shutil.which('promtool'),
    'no prometheus and promtool: install prometheus, or what bindep.txt lists '
    'for other systems')


def promtool(*argv, **how):
    """Run promtool; return its status and all that it printed."""
    done = subprocess.run(
        ['promtool', *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=_PATIENCE, check=False, **how)
    return done.returncode, done.stdout


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(('127.0.0.1', 0))
        return bound.getsockname()[1]


def wait_until(condition, what):
    """Wait until a condition holds; return what made it hold."""
    end = time.monotonic() + _PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'never: {what}')
        time.sleep(0.2)
    return found


def get(url):
    """Return the text behind a URL, '' as long as nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError:
        raise
    except OSError:
        return ''


class Prometheus:
    """A server that scrapes a target every second.

    :param path: of a directory for it
    :param target: HOST:PORT
    :param rules: the path of a file
    """

    def __init__(self, path, target, rules):
        conf = os.path.join(path, 'prometheus.yml')
        with open(conf, 'w') as file:
            file.write(_CONF.format(target=target, rules=rules))
        self._url = f'http://127.0.0.1:{free_port()}'
        with open(os.path.join(path, 'log'), 'w') as log:
            self._process = subprocess.Popen(
                ['prometheus', f'--config.file={conf}',
                 f'--storage.tsdb.path={path}/data',
                 f'--web.listen-address={self._url.partition("//")[2]}'],
                stdout=log, stderr=log)
        try:
            wait_until(lambda: get(f'{self._url}/-/ready'),
                       'prometheus is ready')
        except BaseException:
            self.close()
            raise

    def close(self):
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, expression):
        """Return labels and value of what an expression gives now.

        :raises urllib.error.HTTPError: if it is none
        """
        answer = get(f'{self._url}/api/v1/query?' + urllib.parse.urlencode(
            {'query': expression}))
        return [(one['metric'], float(one['value'][1]))
                for one in json.loads(answer)['data']['result']]
