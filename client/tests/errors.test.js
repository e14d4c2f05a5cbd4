import assert from 'node:assert/strict';
import { test } from 'node:test';

import { VoiceAgentError } from '../src/core/errors.js';

test('an error says what a person can do', () => {
  const error = new VoiceAgentError('microphone_denied', 'The microphone is not allowed.');
  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.code, error.message], ['VoiceAgentError', 'microphone_denied', 'The microphone is not allowed.']);
  assert.match(error.cure, /Allow the microphone/);
});

test('a full server says when', () => {
  assert.equal(new VoiceAgentError('no_capacity', 'full', 1_500).cure, 'Please try again in 2 s.');
});

test('an error that nobody can do anything about says so', () => {
  for (const code of ['no_pipeline', 'constructor', 'toString']) assert.equal(new VoiceAgentError(code, '').cure, '');
});
