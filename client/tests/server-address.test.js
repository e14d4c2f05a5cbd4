import assert from 'node:assert/strict';
import { test } from 'node:test';

import { serverAddress } from '../src/core/server-address.js';

for (const [serverUrl, http, webSocket] of [
  ['wss://my-server', 'https://my-server', 'wss://my-server'],
  ['https://my-server/', 'https://my-server', 'wss://my-server'],
  ['ws://127.0.0.1:8080', 'http://127.0.0.1:8080', 'ws://127.0.0.1:8080'],
  ['http://[::1]:8080/', 'http://[::1]:8080', 'ws://[::1]:8080'],
  ['https://shop.example/voice//', 'https://shop.example/voice', 'wss://shop.example/voice'],
  ['HTTPS://Shop.example/?key=1#top', 'https://shop.example', 'wss://shop.example'],
]) {
  test(`the addresses of ${serverUrl}`, () => assert.deepEqual(serverAddress(serverUrl), { http, webSocket }));
}

test('what is no URL of a server is refused at once', () => {
  for (const serverUrl of ['ftp://my-server', 'javascript:alert(1)', 'my-server', '']) {
    assert.throws(() => serverAddress(serverUrl), TypeError, serverUrl);
  }
});
