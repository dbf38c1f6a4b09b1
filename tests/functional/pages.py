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

"""Pages with figures, opened in a real browser."""

import json
import tempfile
import unittest

from oslotest import base

from tests.functional import browser

HOSTILE = '</script><img src=https://example.org/x onerror="hacked = 1">'

needs_browser = unittest.skipIf(
    browser.found() is None,
    f'no browser: one of {", ".join(browser.NAMES)} is needed')


def opened(path, **how):
    """Return a page whose figures are drawn."""
    shown = browser.Page(path, **how)
    try:
        shown.wait_until('document.documentElement?.dataset.drawn === "yes"')
    except BaseException:
        shown.close()
        raise
    return shown


def count(shown, selector):
    return shown.evaluate(
        f'document.querySelectorAll({json.dumps(selector)}).length')


class PageTestCase(base.BaseTestCase):
    """Has a page that all tests only look at."""

    @classmethod
    def write(cls, directory):
        """Write the page.

        :returns: its path
        """
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.path = cls.write(directory.name)


class OpenPageTestCase(PageTestCase):
    """Has it open, too."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = opened(cls.path)
        cls.addClassCleanup(cls.page.close)

    def test_nothing_leaves_the_page(self):
        urls = [event['request']['url'] for event
                in self.page.named('Network.requestWillBeSent')]
        [requested] = [url for url in urls if not url.startswith('data:')]
        self.assertTrue(requested.endswith(self.path))
        self.assertEqual([], self.page.evaluate(
            'performance.getEntriesByType("resource").map(e => e.name)'
            '.filter(name => !name.startsWith("data:"))'))

    def test_no_errors(self):
        for kind in ('Runtime.exceptionThrown', 'Runtime.consoleAPICalled',
                     'Log.entryAdded'):
            self.assertEqual([], self.page.named(kind))


class ScreensTestCase(PageTestCase):
    """Opens it on other screens.

    :cvar TEXTS: selectors of texts in figures
    """

    TEXTS = ()

    def open(self, **how):
        shown = opened(self.path, **how)
        self.addCleanup(shown.close)
        return shown

    def test_fits_a_telephone(self):
        shown = self.open(width=390)

        self.assertEqual(390, shown.evaluate(
            'document.documentElement.scrollWidth'))

    def test_dark_theme(self):
        shown = self.open(dark=True)

        for text in self.TEXTS:
            self.assertEqual('rgb(228, 231, 235)', shown.evaluate(
                f'getComputedStyle(document.querySelector("{text}")).fill'))
