import assert from 'node:assert/strict';
import { test } from 'node:test';

import { jittered } from '../src/core/backoff.js';

test('many clients come back over half the delay, around it', () => {
  assert.deepEqual([0, 0.5, 1].map((random) => jittered(1_000, random)), [750, 1_000, 1_250]);
});

test('what is to happen at once happens at once', () => assert.equal(jittered(0, 0.9), 0));
