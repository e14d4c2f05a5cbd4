import assert from 'node:assert/strict';
import { test } from 'node:test';

import { qualityOf, sampleOf } from '../src/core/quality.js';

const INBOUND = {
  type: 'inbound-rtp', kind: 'audio', packetsReceived: 100, packetsLost: 2, concealedSamples: 960, silentConcealedSamples: 480,
  totalSamplesReceived: 96_000, jitter: 0.012,
};

test('a report of getStats becomes a sample', () => {
  const report = [
    INBOUND,
    { type: 'inbound-rtp', kind: 'video', packetsReceived: 9 },
    { type: 'remote-inbound-rtp', kind: 'audio', fractionLost: 0.25 },
    { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.08 },
    { type: 'candidate-pair', nominated: false, currentRoundTripTime: 9 },
  ];
  assert.deepEqual(sampleOf(report, 5), {
    at: 5, received: 100, lost: 2, concealed: 480, played: 96_000, jitterMs: 12, roundTripMs: 80, lossThere: 0.25,
  });
});

test('a browser that says less is read too', () => {
  const sample = sampleOf([{ type: 'inbound-rtp', kind: 'audio' }, { type: 'candidate-pair', nominated: true }], 0);
  assert.ok(Object.values(sample).every((value) => value === 0));
});

const before = sampleOf([INBOUND], 0);
const after = (changes = {}) => ({ ...before, received: 200, played: 192_000, ...changes });

test('what is good', () => {
  assert.equal(qualityOf(before, after()), 'good');
  assert.equal(qualityOf(before, after({ lost: before.lost + 5 })), 'good');
  assert.equal(qualityOf(before, after({ lost: before.lost - 1 })), 'good', 'a packet that came late after all');
  assert.equal(qualityOf(before, before), 'good', 'silence is not sent');
});

for (const [name, changes] of Object.entries({
  'packets lost on the way here': { lost: before.lost + 12 },
  'sound made up': { concealed: before.concealed + 9_600 },
  'a long way': { roundTripMs: 450 },
  'an unsteady way': { jitterMs: 80 },
  'packets lost on the way there': { lossThere: 0.1 },
})) {
  test(`what is poor: ${name}`, () => assert.equal(qualityOf(before, after(changes)), 'poor'));
}
