/** What `npm pack` would publish. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const CLIENT = new URL('../', import.meta.url);
/** gzip, of what a bundler takes into a page that imports this entry point, before it shortens names. */
const MAX_BYTES = { '.': 12_000, './element': 20_000 }; // the element, with the core

const { exports: entryPoints } = JSON.parse(read('package.json'));
let packed;

function read(path) {
  return readFileSync(new URL(path, CLIENT), 'utf8');
}

/** The module and all that it imports, directly or not. */
function modulesOf(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  for (const [, specifier] of read(path).matchAll(/(?:from|import) '(\.[^']+)'/g)) {
    modulesOf(new URL(specifier, new URL(path, CLIENT)).pathname.slice(CLIENT.pathname.length), found);
  }
  return found;
}

before(() => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--silent'], { cwd: fileURLToPath(CLIENT), encoding: 'utf8' });
  packed = JSON.parse(output.slice(output.indexOf('[')))[0].files.map(({ path }) => path);
});

test('the package has its modules with types and source maps, and nothing else', () => {
  const modules = packed.filter((path) => path.endsWith('.js'));
  assert.ok(modules.includes('dist/src/voice-agent.js'));
  for (const module of modules) {
    const stem = module.slice(0, -'.js'.length);
    assert.ok(packed.includes(`${stem}.d.ts`) && packed.includes(`${stem}.js.map`), module);
    assert.ok(!/\n\s*\/\*\*/.test(read(module)), `comments in ${module}`);
  }
  const others = packed.filter((path) => !/^dist\/.*(\.js|\.js\.map|\.d\.ts)$/.test(path));
  assert.deepEqual(others.sort(), ['LICENSE', 'README.md', 'package.json']);
  assert.equal(read('LICENSE'), read('../LICENSE'));
});

test('the package has the version of the server', () => {
  const { version } = JSON.parse(read('package.json'));
  assert.equal(version, read('../pyproject.toml').match(/^version = "(.*)"$/m)[1]);
});

test('the types refer to nothing that is missing', () => {
  for (const types of packed.filter((path) => path.endsWith('.d.ts'))) {
    for (const [, specifier] of read(types).matchAll(/(?:from |import\()'(\.[^']+)'/g)) {
      const target = new URL(specifier.replace(/\.js$/, '.d.ts'), new URL(types, CLIENT));
      assert.ok(existsSync(target), `${types} refers to ${specifier}`);
    }
  }
});

test('a server that renders pages can import it: nothing of the browser is touched before a call', async () => {
  const { VoiceAgentClient } = await import(new URL(entryPoints['.'].default, CLIENT).href);
  assert.equal(typeof VoiceAgentClient, 'function');
});

for (const [entryPoint, maxBytes] of Object.entries(MAX_BYTES)) {
  test(`the size of antiphon-client${entryPoint.slice(1)} is bounded`, (t) => {
    const modules = [...modulesOf(entryPoints[entryPoint].default.slice('./'.length))];
    const code = modules.map((path) => read(path).replace(/\/\/# sourceMappingURL.*/, '')).join('');
    const bytes = gzipSync(code, { level: 9 }).length;
    const served = modules.map((path) => gzipSync(read(path.replace('dist/', ''))).length).reduce((sum, each) => sum + each);
    t.diagnostic(`${bytes} of ${maxBytes} bytes in ${modules.length} modules; ${served} as a gateway serves them, with comments`);
    assert.ok(bytes <= maxBytes, `${bytes} bytes`);
  });
}
