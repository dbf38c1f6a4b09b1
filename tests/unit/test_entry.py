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

import os
import pathlib
import tempfile

import hypothesis
from hypothesis import strategies as st
from nova.virt.libvirt import imagecache as nova_imagecache

from cache_aware_sched.imagecache import entry
from cache_aware_sched.imagecache.entry import Kind
from cache_aware_sched.imagecache.entry import ParsedName
from tests.unit import base
from tests.unit import factories

GIB = factories.GIB
SHA1 = '0123456789abcdef0123456789abcdef01234567'

#: Names that differ from an entry's by a little, or not at all.
NEAR = st.lists(st.sampled_from([
    SHA1, SHA1[:-1], SHA1.upper(), '_', '20', '0', '9' * 18, 'sm', '.part',
    '.converted', '.', 'swap', 'ephemeral', 'default', 'abcdef0', '\n', ' ',
    '\u0661', '\u00b2', '-1', '+1']), max_size=6).map(''.join)


class TestParse(base.TestCase):

    def test_image(self):
        self.assertEqual(ParsedName(Kind.IMAGE, SHA1), entry.parse(SHA1))

    def test_fetch(self):
        for suffix in ('.part', '.converted'):
            self.assertEqual(ParsedName(Kind.TEMPORARY, SHA1),
                             entry.parse(SHA1 + suffix))

    def test_copy_that_rsync_writes(self):
        self.assertEqual(ParsedName(Kind.TEMPORARY, SHA1),
                         entry.parse(f'.{SHA1}.part.aB3dE6'))
        for name in (f'.{SHA1}.aB3dE6', f'{SHA1}.part.aB3dE6',
                     f'.{SHA1}.part.aB3dE', f'.{SHA1}.part.aB3d.6'):
            self.assertIsNone(entry.parse(name))

    def test_resized_copy_named_in_gib(self):
        self.assertEqual(ParsedName(Kind.RESIZED, SHA1, 20 * GIB),
                         entry.parse(f'{SHA1}_20'))

    def test_resized_copy_named_in_bytes(self):
        self.assertEqual(ParsedName(Kind.RESIZED, SHA1, 20 * GIB),
                         entry.parse(f'{SHA1}_{20 * GIB}'))

    def test_between_gib_and_bytes(self):
        self.assertEqual(ParsedName(Kind.RESIZED, SHA1, (2 ** 20 - 1) * GIB),
                         entry.parse(f'{SHA1}_{2 ** 20 - 1}'))
        self.assertEqual(ParsedName(Kind.RESIZED, SHA1, 2 ** 20),
                         entry.parse(f'{SHA1}_{2 ** 20}'))

    def test_resized_copy_of_one_gib(self):
        self.assertEqual(ParsedName(Kind.RESIZED, SHA1, GIB),
                         entry.parse(f'{SHA1}_1'))

    def test_resized_copy_of_a_very_old_release(self):
        self.assertEqual(ParsedName(Kind.RESIZED, SHA1, None),
                         entry.parse(f'{SHA1}_sm'))

    def test_swap(self):
        self.assertEqual(ParsedName(Kind.SWAP), entry.parse('swap_512'))

    def test_ephemeral(self):
        for name in ('ephemeral_10_default', 'ephemeral_10_40d1d2c'):
            self.assertEqual(ParsedName(Kind.EPHEMERAL), entry.parse(name))

    def test_what_is_near_an_image(self):
        for name in (SHA1[:-1], f'{SHA1}0', SHA1.upper(), f'x{SHA1}',
                     f'{SHA1}x', f' {SHA1}', f'{SHA1} ', f'{SHA1}\n',
                     f'\n{SHA1}', f'.{SHA1}', f'./{SHA1}', f'{SHA1}.',
                     f'{SHA1}.bak', f'{SHA1}.info', f'{SHA1}\0',
                     f'{SHA1[:-1]}\u0661', f'{SHA1[:-1]}\uff11'):
            self.assertIsNone(entry.parse(name), name)

    def test_what_is_near_a_fetch(self):
        for name in (f'{SHA1}.PART', f'{SHA1}part', f'{SHA1}-part',
                     f'{SHA1}-converted', f'{SHA1}.part\n',
                     f'{SHA1}.part.part', f'{SHA1}.part.converted',
                     f'{SHA1}_20.part', f'{SHA1}.partial', '.part'):
            self.assertIsNone(entry.parse(name), name)

    def test_what_is_near_a_resized_copy(self):
        for name in (f'{SHA1}_', f'{SHA1}_x', f'{SHA1}_-1', f'{SHA1}_+1',
                     f'{SHA1}_1.5', f'{SHA1}_2_0', f'{SHA1}_20\n',
                     f'{SHA1}_ 20', f'{SHA1}__20', f'{SHA1}_0x10',
                     f'{SHA1}_\u0661', f'{SHA1}_\u00b2', f'{SHA1}_SM',
                     f'{SHA1}_{"9" * 19}'):
            self.assertIsNone(entry.parse(name), name)

    def test_what_is_near_swap(self):
        for name in ('swap', 'swap_', 'swap_x', 'swap_512_1', 'swap_512\n',
                     'swap_-512', 'SWAP_512', 'swap_\u0661', 'swap_512.part',
                     'xswap_512'):
            self.assertIsNone(entry.parse(name), name)

    def test_what_is_near_ephemeral(self):
        for name in ('ephemeral', 'ephemeral_10', 'ephemeral_10_',
                     'ephemeral_10_abcdef', 'ephemeral_10_abcdef01',
                     'ephemeral__abcdef0', 'ephemeral_x_abcdef0',
                     'ephemeral_10_abc_ef0', 'ephemeral_10_abc/ef0',
                     'ephemeral_10_abcdef0\n', 'ephemeral_\u0661_abcdef0'):
            self.assertIsNone(entry.parse(name), name)

    def test_special_names(self):
        for name in ('', '.', '..', '/', '_', '\n', '\0', 'README',
                     'compute_nodes', 'locks'):
            self.assertIsNone(entry.parse(name), name)

    @hypothesis.given(st.one_of(
        NEAR, st.text(max_size=60),
        st.binary(max_size=60).map(os.fsdecode)))
    def test_any_name(self, name):
        parsed = entry.parse(name)

        if parsed is not None:
            self.assertNotIn('/', name)
            self.assertNotIn(name, ('.', '..'))
            self.assertEqual(parsed.sha1 is None,
                             parsed.kind in (Kind.SWAP, Kind.EPHEMERAL))
            if parsed.sha1 is not None:
                self.assertEqual(name.removeprefix('.')[:40], parsed.sha1)
                self.assertTrue(name.isprintable())
                self.assertLessEqual(set(parsed.sha1),
                                     set('0123456789abcdef'))

    @hypothesis.given(
        st.text('0123456789abcdef', min_size=40, max_size=40),
        st.integers(0, 10 ** 18 - 1))
    def test_any_size(self, sha1, number):
        parsed = entry.parse(f'{sha1}_{number}')

        self.assertEqual((Kind.RESIZED, sha1), (parsed.kind, parsed.sha1))
        self.assertIn(parsed.grown, (number, number * GIB))


class TestNova(base.TestCase):
    """What nova's own manager takes for an entry."""

    def entries_of_nova(self, name):
        manager = nova_imagecache.ImageCacheManager()
        manager._reset_state()
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, name).touch()
            manager._scan_base_images(directory)
        return {
            Kind.SWAP: bool(manager.back_swap_images),
            Kind.EPHEMERAL: bool(manager.back_ephemeral_images),
            Kind.IMAGE: bool(manager.originals),
            Kind.RESIZED: bool(
                set(manager.unexplained_images) - set(manager.originals))}

    def test_kinds(self):
        for name, kind in ((SHA1, Kind.IMAGE),
                           (f'{SHA1}_20', Kind.RESIZED),
                           (f'{SHA1}_sm', Kind.RESIZED),
                           ('swap_512', Kind.SWAP),
                           ('ephemeral_10_default', Kind.EPHEMERAL),
                           ('ephemeral_1_40d1d2c', Kind.EPHEMERAL)):
            self.assertEqual(
                [kind],
                [known for known, found in self.entries_of_nova(name).items()
                 if found])
            self.assertIs(kind, entry.parse(name).kind)

    @hypothesis.given(st.one_of(
        st.builds('{}_{}'.format, st.just(SHA1),
                  st.integers(10, 10 ** 18 - 1)),
        st.builds('swap_{}'.format, st.integers(0, 10 ** 9)),
        st.builds('ephemeral_{}_{}'.format, st.integers(0, 10 ** 9),
                  st.text('0123456789abcdefghi.-\n', min_size=7,
                          max_size=7))))
    def test_any_entry(self, name):
        self.assertTrue(self.entries_of_nova(name)[entry.parse(name).kind])


class TestEntry(base.TestCase):

    def test_last_use_in_seconds(self):
        file = entry.Entry(SHA1, Kind.IMAGE, SHA1, 1, 1_500_000_000)

        self.assertEqual(1.5, file.last_used)
