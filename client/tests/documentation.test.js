/** docs/client.md names whatever a user can set, call, listen to or style. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const CLIENT = new URL('../', import.meta.url);
const read = (path) => readFileSync(new URL(path, CLIENT), 'utf8');
const documentation = read('../docs/client.md');
const client = read('src/voice-agent.js');
const element = ['src/voice-agent-element.js', ...readdirSync(new URL('src/element/', CLIENT)).map((file) => `src/element/${file}`)].map(read).join('\n');

function found(text, pattern) {
  const names = [...text.matchAll(pattern)].flatMap((match) => match[1].split(/[, ]+/));
  assert.ok(names.length > 3, String(pattern));
  return new Set(names);
}

const lineOf = (typedef) => client.slice(client.indexOf(`@typedef {object} ${typedef}`)).split('\n *\n')[0].split('*/')[0];

for (const [what, names] of Object.entries({
  option: found(lineOf('VoiceAgentConfig'), /@property {.*?} \[?(\w+)/g),
  'part of the state': found(lineOf('CallState'), /@property {.*?} \[?(\w+)/g),
  callback: found(client, /^ {2}(on\w+)\(/gm),
  attribute: found(element, /Attribute\('((?!aria|part)[\w-]+-\w+)'\)/g),
  variable: found(element, /var\((--voice-agent-[\w-]+)/g),
  'part of the element': found(element, /\bpart(?:="|', ')([\w -]+)/g),
  code: found(client + read('src/core/microphone.js') + read('src/core/connection.js'), /(?:VoiceAgentError\('|code: ')(\w+)'/g),
  export: found(read('react/index.ts').replace(/, type \w+/g, ''), /^export { (.+) } from/gm),
})) {
  test(`each ${what} is documented`, () => {
    const missing = [...names].filter((name) => !new RegExp(`[\`<.\\s{]${name}\\b`).test(documentation));
    assert.deepEqual(missing, []);
  });
}
